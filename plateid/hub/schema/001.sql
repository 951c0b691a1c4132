-- Extensions that any owner of a database may create ("trusted").
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS fuzzystrmatch;

CREATE TABLE site (
  name text PRIMARY KEY,
  latitude double precision,
  longitude double precision
);

-- One row for each device that the hub has heard of.
CREATE TABLE device (
  name text PRIMARY KEY,
  site text REFERENCES site ON DELETE SET NULL,
  groups text[] NOT NULL DEFAULT '{}',
  online boolean,
  health jsonb,                -- the last health report
  health_at timestamptz,       -- when the hub got it
  last_event_at timestamptz,   -- the latest first_seen
  token_sha256 text UNIQUE,    -- of an enrolled device
  revoked_at timestamptz,
  reported jsonb               -- what it has applied of its desired state
);

CREATE TABLE event (
  id uuid NOT NULL,
  pass_id uuid NOT NULL,
  event_type text NOT NULL,
  device text NOT NULL,
  camera text NOT NULL,
  seq bigint NOT NULL,
  plate text COLLATE "C" NOT NULL,
  -- confusable characters are one, as in plateid.core.lists.FOLDED
  folded text COLLATE "C" NOT NULL GENERATED ALWAYS AS (translate(plate, 'OIBSZGDQ', '01852600')) STORED,
  confidence real NOT NULL,
  list_kind text,
  first_seen timestamptz NOT NULL,
  last_seen timestamptz NOT NULL,
  stored_at timestamptz NOT NULL DEFAULT now(),
  payload jsonb NOT NULL,
  PRIMARY KEY (id, first_seen)
) PARTITION BY RANGE (first_seen);

CREATE INDEX ON event (first_seen);
CREATE INDEX ON event (device, first_seen);
CREATE INDEX ON event (pass_id);
CREATE INDEX ON event (plate, first_seen);                        -- exact, and prefixes by COLLATE "C"
CREATE INDEX ON event (folded, first_seen);                       -- confusable characters, first halves
CREATE INDEX ON event (reverse(folded) COLLATE "C", first_seen);  -- second halves
CREATE INDEX ON event USING gin (plate gin_trgm_ops);             -- parts

-- The sequence numbers that the hub has, for each device and epoch: gaps are lost events.
CREATE TABLE sequence (
  device text NOT NULL,
  epoch bigint NOT NULL,
  seen int8multirange NOT NULL,        -- counters
  last bigint NOT NULL DEFAULT 0,      -- the highest counter that the device has reported
  missing int8multirange NOT NULL DEFAULT '{}',  -- counters that were missing at the last look
  requests integer NOT NULL DEFAULT 0, -- how often the hub asked for them
  request_at timestamptz NOT NULL DEFAULT now(), -- the next look; infinity: after the next event
  PRIMARY KEY (device, epoch)
) WITH (fillfactor = 70);
CREATE INDEX ON sequence (request_at);

-- Messages that are no events, counted by device and reason; the last one is kept in part.
CREATE TABLE quarantine (
  device text NOT NULL,
  reason text NOT NULL,
  messages bigint NOT NULL,
  first_at timestamptz NOT NULL DEFAULT now(),
  last_at timestamptz NOT NULL DEFAULT now(),
  topic text NOT NULL,
  sample bytea NOT NULL,
  PRIMARY KEY (device, reason)
);

-- One-time codes: each enrols one device.
CREATE TABLE enrolment (
  code_sha256 text PRIMARY KEY,
  device text NOT NULL,
  expires_at timestamptz NOT NULL
);

-- Every certificate that the hub has signed; a new one revokes those before it.
CREATE TABLE certificate (
  serial text PRIMARY KEY,     -- hexadecimal
  device text NOT NULL,
  revoked_at timestamptz
);

-- Each version of the master list.
CREATE TABLE list_version (
  version bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  stored_at timestamptz NOT NULL DEFAULT now(),
  content text NOT NULL
);

-- What each device is to apply: the document that its signed message names.
CREATE TABLE desired (
  device text PRIMARY KEY,
  version bigint NOT NULL,
  sha256 text NOT NULL,
  document text NOT NULL
);
CREATE SEQUENCE desired_version;

-- Plates to delete everywhere. The plate goes when all devices have confirmed.
CREATE TABLE purge (
  id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  plate text NOT NULL,
  requested_at timestamptz NOT NULL DEFAULT now(),
  devices text[] NOT NULL        -- that have to confirm
);

-- Images of events, found by the digest that the event names.
CREATE TABLE snapshot (
  sha256 text PRIMARY KEY,
  stored_at timestamptz NOT NULL DEFAULT now(),
  jpeg bytea NOT NULL
);
CREATE INDEX ON snapshot (stored_at);

-- Devices that have to confirm a purge.
CREATE VIEW waiting AS SELECT purge.id AS purge, device.name FROM purge
  JOIN device ON name = ANY(devices)
  WHERE token_sha256 IS NOT NULL AND NOT coalesce(reported -> 'purged', '[]') @> to_jsonb(purge.id);

-- Names that an entry of the master list may have in its column `cameras`.
CREATE VIEW list_name AS
  SELECT name FROM site UNION SELECT unnest(groups) FROM device UNION SELECT name FROM device;

-- Faults of devices that have not ended.
CREATE TABLE alert (
  device text NOT NULL,
  kind text NOT NULL,
  since timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (device, kind)
);

-- A device sends a health report each 30 seconds.
CREATE VIEW fault AS
  SELECT name AS device, kind FROM device CROSS JOIN LATERAL (VALUES
    ('offline', NOT coalesce(online, TRUE) OR health_at < now() - interval '90 seconds'),
    ('disk', health ->> 'disk' = 'failed'),
    ('clock', health ->> 'clock_synced' = 'false')) AS state (kind, is_fault)
  WHERE is_fault AND revoked_at IS NULL;

-- What the page of devices shows.
CREATE VIEW device_state AS
  SELECT device.*, desired.version AS wanted,
    ARRAY(SELECT kind FROM alert WHERE alert.device = name ORDER BY kind) AS alerts
  FROM device LEFT JOIN desired ON desired.device = device.name;
