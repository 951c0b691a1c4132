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

-- Faults of devices that have not ended.
CREATE TABLE alert (
  device text NOT NULL,
  kind text NOT NULL,
  since timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (device, kind)
);
