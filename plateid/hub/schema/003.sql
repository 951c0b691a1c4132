-- Model bundles in waves, and what health reports say over time.

-- A bundle for some devices; each wave starts when the devices of the one before are healthy.
CREATE TABLE rollout (
  id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  target text NOT NULL,             -- a site, group or device; empty: all devices
  bundle text NOT NULL,
  version bigint NOT NULL,
  sha256 text NOT NULL,             -- of the archive
  signature text NOT NULL,          -- of the archive, hexadecimal
  archive bytea NOT NULL,
  trial_minutes double precision NOT NULL,
  hold interval NOT NULL,           -- how long a wave must be healthy
  max_errors integer NOT NULL,      -- percentage of a wave's devices
  started_at timestamptz NOT NULL DEFAULT now(),
  wave integer NOT NULL DEFAULT 1,  -- the last one that has started
  state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done', 'stopped', 'rolled back')),
  reason text NOT NULL DEFAULT ''
);
ALTER TABLE rollout ALTER archive SET STORAGE EXTERNAL;  -- parts of it are read, and it hardly compresses

CREATE TABLE rollout_device (
  rollout bigint NOT NULL REFERENCES rollout ON DELETE CASCADE,
  device text NOT NULL,
  wave integer NOT NULL,
  wanted text CHECK (wanted IN ('install', 'roll back')),
  -- waiting, and then what the device reports: downloading, trial, installed, rolled back or failed
  state text NOT NULL DEFAULT 'waiting',
  reason text NOT NULL DEFAULT '',
  state_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (rollout, device)
);
CREATE INDEX ON rollout_device (device, rollout);

-- The newest rollout of each device, as its desired state has it; without those that have gone back.
CREATE VIEW wanted_bundle AS
  SELECT DISTINCT ON (device) device, jsonb_build_object('rollout', id, 'sha256', sha256,
    'signature', signature, 'minutes', trial_minutes, 'roll_back', wanted = 'roll back') AS bundle
  FROM rollout_device AS each JOIN rollout ON id = rollout
  WHERE wanted = 'install' OR wanted = 'roll back' AND each.state NOT IN ('rolled back', 'failed')
  ORDER BY device, rollout DESC;

-- Changes with them.
CREATE VIEW wanted_hash AS
  SELECT sum(hashtext(concat(rollout, device, wanted, state IN ('rolled back', 'failed'))))
  FROM rollout_device WHERE wanted IS NOT NULL;

-- Health reports by hour, and by the rollout whose bundle the device has installed, else 0.
CREATE TABLE health_hour (
  device text NOT NULL,
  hour timestamptz NOT NULL,
  rollout bigint NOT NULL,
  seconds numeric NOT NULL,         -- for which there are reports
  restarts integer NOT NULL,
  passes numeric NOT NULL,
  confidence numeric,               -- mean of the last passes (0-1)
  hit_rate numeric,                 -- of the report card (0-1)
  latency_ms numeric,               -- of the networks, a frame
  PRIMARY KEY (device, hour, rollout)
);

ALTER TABLE device ADD falls text[] NOT NULL DEFAULT '{}';  -- what the last day has worse than the days before
ALTER TABLE device ADD problem text;                        -- what the bundle of a running rollout has worse

-- The sum of the numbers at a path of a report, which may hold anything.
CREATE FUNCTION number_in(report jsonb, path jsonpath) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$
  SELECT sum(least(greatest(value::numeric, 0), 1e15)) FROM jsonb_path_query(report, path) AS value
  WHERE jsonb_typeof(value) = 'number' $$;

-- What has become worse since a time: with the bundle of a rollout, if one is given. A device is
-- compared with its own two weeks before, and plates per hour with the same hours of the day.
CREATE FUNCTION falls(of text, since timestamptz, new bigint DEFAULT NULL)
  RETURNS TABLE (kind text, reason text) LANGUAGE sql STABLE AS $$
  WITH known AS (
    SELECT *, hour >= date_trunc('hour', since) AND rollout = coalesce(new, rollout) AS is_recent
    FROM health_hour WHERE device = of AND hour >= since - interval '14 days'
  ), sums AS (
    SELECT is_recent, sum(seconds) AS seconds, sum(passes) AS passes, sum(restarts) AS restarts,
      sum(confidence * passes) / nullif(sum(passes) FILTER (WHERE confidence IS NOT NULL), 0) AS confidence,
      avg(hit_rate) AS hit_rate, avg(latency_ms) AS latency_ms
    FROM known GROUP BY is_recent
  ), usual AS (
    SELECT extract(hour FROM hour) AS clock, sum(passes) / nullif(sum(seconds), 0) AS per_s
    FROM known WHERE NOT is_recent GROUP BY 1
  ), expected AS (
    SELECT sum(seconds * per_s) AS passes FROM known JOIN usual ON clock = extract(hour FROM hour) WHERE is_recent
  )
  SELECT each.kind, each.reason FROM sums AS now LEFT JOIN sums AS old ON NOT old.is_recent, expected CROSS JOIN LATERAL (VALUES
    ('hit rate', now.hit_rate < old.hit_rate - 0.05,
      format('hit rate falls from %s to %s', round(old.hit_rate, 2), round(now.hit_rate, 2))),
    ('confidence', least(old.passes, now.passes) >= 30 AND now.confidence < old.confidence - 0.05,
      format('confidence falls from %s to %s', round(old.confidence, 2), round(now.confidence, 2))),
    ('plates', expected.passes >= 30 AND now.passes < expected.passes / 2,
      format('%s plates instead of %s', round(now.passes), round(expected.passes))),
    ('latency', now.seconds >= 600 AND now.latency_ms > 1.5 * old.latency_ms, -- the first frames take longer
      format('latency rises from %s to %s ms', round(old.latency_ms), round(now.latency_ms))),
    ('restarts', now.restarts > 3 + coalesce(2 * now.seconds * old.restarts / nullif(old.seconds, 0), 0),
      format('%s restarts', now.restarts))
  ) AS each (kind, is_worse, reason)
  WHERE now.is_recent AND each.is_worse $$;

CREATE FUNCTION note_health() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  is_restarted boolean := coalesce(number_in(NEW.health, '$.uptime_s') < number_in(OLD.health, '$.uptime_s'), FALSE);
  passes numeric := coalesce(number_in(NEW.health, '$.cameras.*.events.plate_left'), 0);
  passes_before numeric := coalesce(number_in(OLD.health, '$.cameras.*.events.plate_left'), 0);
  own bigint := 0;
BEGIN
  IF NEW.reported #>> '{bundle,state}' = 'installed' THEN
    own := coalesce(number_in(NEW.reported, '$.bundle.rollout'), 0);
  END IF;
  INSERT INTO health_hour AS known VALUES (NEW.name, date_trunc('hour', NEW.health_at), own,
    greatest(0, extract(epoch FROM least(NEW.health_at - OLD.health_at, interval '90 seconds'))), is_restarted::integer,
    CASE WHEN is_restarted THEN passes ELSE greatest(0, passes - passes_before) END,
    number_in(NEW.health, '$.confidence'), number_in(NEW.health, '$.hit_rate'), number_in(NEW.health, '$.latency_ms'))
  ON CONFLICT (device, hour, rollout) DO UPDATE SET seconds = known.seconds + excluded.seconds,
    restarts = known.restarts + excluded.restarts, passes = known.passes + excluded.passes,
    confidence = coalesce(excluded.confidence, known.confidence), hit_rate = coalesce(excluded.hit_rate, known.hit_rate),
    latency_ms = coalesce(excluded.latency_ms, known.latency_ms);
  IF date_trunc('hour', NEW.health_at) <> date_trunc('hour', OLD.health_at) THEN
    DELETE FROM health_hour WHERE device = NEW.name AND hour < now() - interval '16 days';
    NEW.falls := ARRAY(SELECT reason FROM falls(NEW.name, NEW.health_at - interval '1 day')
      WHERE kind IN ('hit rate', 'confidence', 'plates'));
  END IF;
  NEW.problem := (SELECT string_agg(worse.reason, ', ') FROM rollout_device AS each
    JOIN rollout ON id = each.rollout, falls(each.device, each.state_at, id) AS worse
    WHERE each.device = NEW.name AND id = own AND rollout.state = 'running' AND each.state = 'installed');
  RETURN NEW;
END $$;
CREATE TRIGGER note_health BEFORE UPDATE OF health_at ON device FOR EACH ROW
  WHEN (NEW.health_at IS DISTINCT FROM OLD.health_at AND OLD.health_at IS NOT NULL)
  EXECUTE FUNCTION note_health();

-- The devices of all rollouts, with what is wrong with them, and whether they have been healthy long enough.
CREATE VIEW rollout_progress AS
  SELECT each.*, wrong.problem, each.state = 'installed' AND wrong.problem IS NULL
    AND each.state_at <= now() - hold AND health_at > each.state_at AS is_healthy
  FROM rollout_device AS each JOIN rollout ON id = each.rollout LEFT JOIN device ON name = each.device
  CROSS JOIN LATERAL (SELECT CASE
    WHEN each.state IN ('failed', 'rolled back') THEN concat_ws(': ', each.state, nullif(each.reason, ''))
    WHEN each.state = 'installed' AND health_at < now() - greatest(hold, interval '5 minutes') THEN 'no health report'
    WHEN each.state = 'installed' AND reported #>> '{bundle,rollout}' = each.rollout::text THEN device.problem
    END AS problem) AS wrong;

CREATE OR REPLACE VIEW fault AS
  SELECT name AS device, kind FROM device CROSS JOIN LATERAL (VALUES
    ('offline', NOT coalesce(online, TRUE) OR health_at < now() - interval '90 seconds'),
    ('disk', health ->> 'disk' = 'failed'),
    ('clock', health ->> 'clock_synced' = 'false'),
    ('accuracy', falls <> '{}')) AS state (kind, is_fault)
  WHERE is_fault AND revoked_at IS NULL
  UNION ALL  -- until another rollout starts
  SELECT 'hub', 'rollout' FROM (SELECT * FROM rollout ORDER BY id DESC LIMIT 1) AS newest
  WHERE state = 'rolled back' AND reason LIKE 'wave %';

CREATE OR REPLACE VIEW device_state AS
  SELECT name, site, groups, online, health, health_at, last_event_at, token_sha256, revoked_at, reported,
    desired.version AS wanted, ARRAY(SELECT kind FROM alert WHERE alert.device = name ORDER BY kind) AS alerts, falls
  FROM device LEFT JOIN desired ON desired.device = device.name;

-- The waves of rollouts: numbers of devices by state, and some problems.
CREATE VIEW rollout_wave AS
  SELECT rollout, wave, sum(devices)::integer AS devices, sum(healthy)::integer AS healthy,
    sum(errors)::integer AS errors, jsonb_object_agg(state, devices) AS states,
    (array_agg(problems) FILTER (WHERE problems <> ''))[1:6] AS problems
  FROM (
    SELECT rollout, wave, state, count(*) AS devices, count(*) FILTER (WHERE is_healthy) AS healthy,
      count(problem) AS errors,
      array_to_string((array_agg(device || ': ' || problem ORDER BY device) FILTER (WHERE problem IS NOT NULL))[1:20], '; ') AS problems
    FROM rollout_progress GROUP BY 1, 2, 3) AS by_state
  GROUP BY 1, 2;

-- What the page of rollouts shows.
CREATE VIEW rollout_state AS
  SELECT id, target, bundle, version, started_at, hold, max_errors, wave, state, reason,
    ARRAY(SELECT to_jsonb(each) FROM rollout_wave AS each WHERE rollout = id ORDER BY each.wave) AS waves
  FROM rollout;

-- Ends a rollout. Rolled back: the devices of a wave, or of all, get the bundle before; those that
-- have not begun keep theirs. Returns whether it has not ended before.
CREATE FUNCTION end_rollout(ended bigint, new_state text, why text, of_wave integer DEFAULT NULL)
  RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  UPDATE rollout SET state = new_state, reason = why WHERE id = ended
    AND (state = 'running' OR new_state = 'rolled back');
  IF NOT FOUND THEN
    RETURN FALSE;
  END IF;
  IF new_state = 'rolled back' THEN
    UPDATE rollout_device SET wanted = 'roll back' WHERE rollout = ended
      AND (wanted IS NOT NULL OR state <> 'waiting') AND wave = coalesce(of_wave, wave);
  END IF;
  IF new_state <> 'done' THEN
    UPDATE rollout_device SET wanted = NULL WHERE rollout = ended AND state = 'waiting' AND wanted = 'install';
  END IF;
  RETURN TRUE;
END $$;

CREATE FUNCTION start_wave(started bigint) RETURNS void LANGUAGE sql AS $$
  UPDATE rollout_device AS each SET wanted = 'install' FROM rollout
  WHERE id = started AND each.rollout = id AND each.wave = rollout.wave $$;

-- Notes what devices report, starts waves and ends rollouts, by the rules of Eclipse hawkBit: more
-- errors in a wave than the threshold stop the rollout; the next wave starts when 80 % of the
-- devices are healthy, as some may be away. Returns each change.
CREATE FUNCTION advance_rollouts() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  each record;
  why text;
BEGIN
  UPDATE rollout_device SET state = said ->> 'state', reason = said ->> 'reason', state_at = now()
    FROM (SELECT name, reported -> 'bundle' AS said FROM device) AS report
    WHERE name = device AND said ->> 'rollout' = rollout::text
      AND (state, reason) <> (said ->> 'state', said ->> 'reason');
  FOR each IN SELECT id, max_errors, rollout.wave AS last, rollout_wave.* FROM rollout
      JOIN rollout_wave ON rollout_wave.rollout = id
      WHERE state = 'running' AND rollout_wave.wave <= rollout.wave ORDER BY id, rollout_wave.wave LOOP
    IF 100 * each.errors > each.max_errors * each.devices THEN
      why := format('wave %s: %s of %s devices failed', each.wave, each.errors, each.devices);
      IF end_rollout(each.id, 'rolled back', why, each.wave) THEN
        RETURN NEXT format('rollout %s rolled back: %s', each.id, why);
      END IF;
    ELSIF each.wave = each.last AND 100 * each.healthy >= 80 * each.devices THEN
      UPDATE rollout SET wave = wave + 1 WHERE id = each.id AND state = 'running'
        AND wave < (SELECT max(wave) FROM rollout_device WHERE rollout = each.id);
      IF FOUND THEN
        PERFORM start_wave(each.id);
        RETURN NEXT format('rollout %s: wave %s starts', each.id, each.wave + 1);
      ELSIF each.healthy + each.errors = each.devices AND end_rollout(each.id, 'done', '') THEN
        RETURN NEXT format('rollout %s done', each.id);
      END IF;
    END IF;
  END LOOP;
END $$;

-- The wave of a device by its place: 2 % of the devices, at least one; 10 %; all.
CREATE FUNCTION wave_of(place bigint, devices bigint) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN place <= greatest(1, devices / 50) THEN 1
    WHEN place <= greatest(1 + greatest(1, devices / 50), ceil(devices / 10.0)) THEN 2 ELSE 3 END $$;

-- Starts a rollout to the enrolled devices of a target; those that are online come first. Returns it as a text.
CREATE FUNCTION start_rollout(made rollout) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  members text[] := ARRAY(SELECT name FROM device WHERE token_sha256 IS NOT NULL
    AND (made.target = '' OR made.target IN (name, site) OR made.target = ANY(groups))
    ORDER BY coalesce(online, FALSE) DESC, md5(name || made.sha256));
  other bigint;
BEGIN
  LOCK TABLE rollout IN EXCLUSIVE MODE;
  IF members = '{}' THEN
    RAISE EXCEPTION '% has no enrolled device', coalesce(nullif(made.target, ''), 'the fleet');
  END IF;
  SELECT max(id) INTO other FROM rollout JOIN rollout_device ON rollout = id
    WHERE rollout.state = 'running' AND device = ANY(members);
  IF other IS NOT NULL THEN
    RAISE EXCEPTION 'rollout % of some of these devices is still running', other;
  END IF;
  SELECT max(version) INTO other FROM rollout JOIN rollout_device AS each ON rollout = id
    WHERE each.state = 'installed' AND device = ANY(members);
  IF made.version < other THEN
    RAISE EXCEPTION 'version % is older than %, which a device has', made.version, other;
  END IF;
  INSERT INTO rollout (target, bundle, version, sha256, signature, archive, trial_minutes, hold, max_errors)
    SELECT made.target, made.bundle, made.version, made.sha256, made.signature, made.archive,
      made.trial_minutes, made.hold, made.max_errors RETURNING id INTO other;
  INSERT INTO rollout_device (rollout, device, wave) SELECT other, name, wave_of(place, cardinality(members))
    FROM unnest(members) WITH ORDINALITY AS member (name, place);
  PERFORM start_wave(other);
  RETURN format('rollout %s: %s %s to %s devices', other, made.bundle, made.version, cardinality(members));
END $$;
