ALTER TABLE device
  ADD token_sha256 text UNIQUE,  -- of an enrolled device
  ADD certificate text,          -- serial number, hexadecimal
  ADD revoked_at timestamptz,
  ADD reported jsonb;            -- what it has applied of its desired state

-- One-time codes: each enrols one device.
CREATE TABLE enrolment (
  code_sha256 text PRIMARY KEY,
  device text NOT NULL,
  expires_at timestamptz NOT NULL
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
  SELECT name AS device, 'offline' AS kind FROM device
    WHERE NOT coalesce(online, TRUE) OR health_at < now() - interval '90 seconds'
  UNION ALL SELECT name, 'disk' FROM device WHERE health ->> 'disk' = 'failed'
  UNION ALL SELECT name, 'clock' FROM device WHERE health ->> 'clock_synced' = 'false';

-- What the page of devices shows.
CREATE VIEW device_state AS
  SELECT device.*, desired.version AS wanted,
    ARRAY(SELECT kind FROM alert WHERE alert.device = name ORDER BY kind) AS alerts
  FROM device LEFT JOIN desired ON desired.device = device.name;
