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
  last_event_at timestamptz    -- the latest first_seen
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
  request_at timestamptz NOT NULL DEFAULT now(), -- the next look
  PRIMARY KEY (device, epoch)
) WITH (fillfactor = 70);

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
