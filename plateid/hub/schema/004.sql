-- Statements of the hub's processes, as functions.

-- The counters that are missing in a row of `sequence`.
CREATE FUNCTION gaps(each sequence) RETURNS int8multirange LANGUAGE sql IMMUTABLE AS $$
  SELECT int8multirange(int8range(1, greatest(each.last + 1, upper(each.seen), 1))) - each.seen $$;

-- The gaps to ask devices for now: those of two looks, as a message may be late. A device is asked
-- if its health report is less than two minutes old, for the same events ever more rarely up to once
-- an hour. Several hubs may look at once.
CREATE FUNCTION due_gaps(look_s integer)
  RETURNS TABLE (device text, epoch bigint, missing int8multirange) LANGUAGE sql AS $$
  WITH gap AS (
    SELECT device, epoch, missing AS before, gaps(sequence) AS after FROM sequence
    WHERE request_at <= now() AND (isempty(gaps(sequence)) OR EXISTS (
      SELECT FROM device WHERE name = sequence.device AND health_at > now() - interval '120 seconds'))
    ORDER BY request_at LIMIT 1000 FOR UPDATE OF sequence SKIP LOCKED
  )
  UPDATE sequence SET missing = after,
    requests = CASE WHEN before = after AND NOT isempty(after) THEN requests + 1 ELSE 0 END,
    request_at = CASE WHEN isempty(after) THEN 'infinity' ELSE now() + interval '1 second'
      * least(3600, look_s * CASE WHEN before = after THEN 2 ^ least(requests, 12) ELSE 1 END) END
  FROM gap WHERE (sequence.device, sequence.epoch) = (gap.device, gap.epoch)
  RETURNING gap.device, gap.epoch, before * after $$;

CREATE FUNCTION alert_change(of text, kind text, state text) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_strip_nulls(jsonb_build_object('device', of, 'alert', kind, 'state', state,
    'at', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'reason',
    CASE kind WHEN 'accuracy' THEN
      (SELECT array_to_string(falls, ', ') FROM device WHERE name = of AND falls <> '{}')
    WHEN 'rollout' THEN
      (SELECT format('rollout %s: %s', id, reason) FROM rollout ORDER BY id DESC LIMIT 1) END)) $$;

-- Updates the table of alerts; returns each start and end.
CREATE FUNCTION changed_alerts() RETURNS SETOF jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY INSERT INTO alert (device, kind) SELECT device, kind FROM fault
    ON CONFLICT DO NOTHING RETURNING alert_change(device, kind, 'started');
  RETURN QUERY DELETE FROM alert WHERE (device, kind) NOT IN (SELECT device, kind FROM fault)
    RETURNING alert_change(device, kind, 'ended');
END $$;

-- Uses a one-time code up; returns its device, NULL if the code is not valid.
CREATE FUNCTION use_code(sha256 text) RETURNS text LANGUAGE sql AS $$
  DELETE FROM enrolment WHERE code_sha256 = sha256 AND expires_at > now() RETURNING device $$;

-- Makes the token, the unused codes and all certificates of a device invalid.
CREATE FUNCTION revoke_device(gone text) RETURNS void LANGUAGE sql AS $$
  UPDATE device SET revoked_at = now(), token_sha256 = NULL WHERE name = gone;
  DELETE FROM enrolment WHERE device = gone;
  UPDATE certificate SET revoked_at = now() WHERE device = gone AND revoked_at IS NULL $$;

-- Enrols a device, with a certificate that replaces those before.
CREATE FUNCTION enrol_device(new text, new_serial text, token text) RETURNS void LANGUAGE sql AS $$
  UPDATE certificate SET revoked_at = now() WHERE device = new AND revoked_at IS NULL;
  INSERT INTO certificate (serial, device) VALUES (new_serial, new);
  INSERT INTO device (name, token_sha256) VALUES (new, token) ON CONFLICT (name) DO UPDATE
    SET revoked_at = NULL, reported = NULL, token_sha256 = excluded.token_sha256 $$;

-- Places a device, which may be new, at a site (empty: none) and into groups.
CREATE FUNCTION place_device(placed text, new_site text, new_groups text[]) RETURNS void LANGUAGE sql AS $$
  INSERT INTO site (name) SELECT new_site WHERE new_site <> '' ON CONFLICT DO NOTHING;
  INSERT INTO device (name, site, groups) VALUES (placed, nullif(new_site, ''), new_groups)
    ON CONFLICT (name) DO UPDATE SET site = excluded.site, groups = excluded.groups $$;

-- What ingests store beside events; plpgsql keeps the plans of these statements.
-- Notes counters of an epoch that were received, and the last one that was reported. A record of more than
-- 100 kB, which only lies make, does not grow: that of a real device is a few ranges.
CREATE FUNCTION note_sequence(of text, in_epoch bigint, new int8multirange, reported bigint) RETURNS void
  LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO sequence (device, epoch, seen, last) VALUES (of, in_epoch, new, reported)
  ON CONFLICT (device, epoch) DO UPDATE SET
    seen = CASE WHEN pg_column_size(sequence.seen) < 100000 THEN sequence.seen + excluded.seen ELSE sequence.seen END,
    last = greatest(sequence.last, excluded.last),
    request_at = CASE sequence.request_at WHEN 'infinity' THEN now() ELSE sequence.request_at END;
END $$;

-- Notes the time of a device's last event, and its health report; NULL: there is none.
CREATE FUNCTION note_device(of text, at timestamptz, report jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO device (name, last_event_at, health, health_at)
  VALUES (of, at, report, CASE WHEN report IS NOT NULL THEN now() END)
  ON CONFLICT (name) DO UPDATE SET last_event_at = greatest(device.last_event_at, excluded.last_event_at),
    health = coalesce(excluded.health, device.health), health_at = coalesce(excluded.health_at, device.health_at);
END $$;

CREATE FUNCTION note_refusal(of text, why text, count bigint, last_topic text, part bytea) RETURNS void
  LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO quarantine (device, reason, messages, topic, sample) VALUES (of, why, count, last_topic, part)
  ON CONFLICT (device, reason) DO UPDATE SET messages = quarantine.messages + excluded.messages,
    last_at = now(), topic = excluded.topic, sample = excluded.sample;
END $$;

-- The events and passes with a plate among their texts: reading, candidate, name of a list entry, or label.
CREATE FUNCTION traces(wanted text, pattern text) RETURNS TABLE (id uuid, pass_id uuid) LANGUAGE sql STABLE AS $$
  SELECT id, pass_id FROM event WHERE payload::text ~ format('"%s"', pattern)
    OR id IN (SELECT id FROM label WHERE text = wanted) $$;

-- Deletes every pass with a plate, with images, labels, lists and quarantined messages, and asks all
-- enrolled devices to. It reads all events: minutes for millions. Returns the number of the purge.
CREATE FUNCTION purge_plate(wanted text, pattern text, OUT request bigint, OUT events bigint) LANGUAGE plpgsql AS $$
DECLARE
  ids uuid[];
  images text[];
BEGIN
  SELECT array_agg(id), array_agg(payload -> 'snapshot' ->> 'sha256') INTO ids, images FROM event
    WHERE pass_id IN (SELECT traces.pass_id FROM traces(wanted, pattern));
  DELETE FROM label WHERE id = ANY(ids);
  DELETE FROM snapshot WHERE sha256 = ANY(images);
  DELETE FROM event WHERE id = ANY(ids);
  GET DIAGNOSTICS events = ROW_COUNT;
  DELETE FROM quarantine WHERE encode(sample, 'escape') ~ pattern;
  DELETE FROM list_version WHERE content ~ pattern;
  INSERT INTO purge (plate, devices)
    SELECT wanted, coalesce(array_agg(name), '{}') FROM device WHERE token_sha256 IS NOT NULL
    RETURNING id INTO request;
END $$;
