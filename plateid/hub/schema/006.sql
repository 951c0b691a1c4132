-- What the hub asked a device for, and when it asks for the same events again.
ALTER TABLE sequence
  ADD asked int8multirange NOT NULL DEFAULT '{}',
  ADD ask_at timestamptz NOT NULL DEFAULT '-infinity';

-- The gaps to ask devices for now: those of two looks, as a message may be late. The end is not asked for
-- while events arrive there, nor are gaps of before an absence of device or hub: the device is sending them.
-- A device is asked if its health report is less than two minutes old, for the same events ever more rarely
-- up to once an hour. Several hubs may look at once.
CREATE OR REPLACE FUNCTION due_gaps(look_s integer)
  RETURNS TABLE (device text, epoch bigint, missing int8multirange) LANGUAGE sql AS $$
  WITH gap AS (
    SELECT device, epoch, asked, ask_at, requests, gaps(sequence) AS after,
      CASE WHEN request_at < now() - interval '10 minutes' THEN '{}' ELSE missing * gaps(sequence)
        * int8multirange(int8range(NULL, (SELECT lower(part) FROM unnest(missing) AS part WHERE part @> upper(seen) - 1)))
        END AS lasting
    FROM sequence
    WHERE request_at <= now() AND (isempty(gaps(sequence)) OR EXISTS (
      SELECT FROM device WHERE name = sequence.device AND health_at > now() - interval '120 seconds'))
    ORDER BY request_at LIMIT 1000 FOR UPDATE OF sequence SKIP LOCKED
  ), state AS (
    SELECT *, NOT isempty(lasting) AND (lasting <> asked OR ask_at <= now()) AS is_due,
      CASE WHEN lasting = asked THEN requests ELSE 0 END AS before
    FROM gap
  ), due AS (
    SELECT device, epoch, after, lasting, is_due, before + is_due::integer AS requests, CASE WHEN is_due
      THEN now() + interval '1 second' * least(3600, look_s * 2 ^ least(before, 12)) ELSE ask_at END AS ask_at
    FROM state
  )
  UPDATE sequence SET missing = after, asked = lasting, requests = due.requests, ask_at = due.ask_at,
    request_at = CASE WHEN isempty(after) THEN 'infinity' WHEN after = lasting THEN due.ask_at
      ELSE now() + interval '1 second' * look_s END
  FROM due WHERE (sequence.device, sequence.epoch) = (due.device, due.epoch)
  RETURNING due.device, due.epoch, CASE WHEN due.is_due THEN due.lasting ELSE '{}' END $$;

-- As before, but a new gap is looked at now, however rarely the hub asks for an older one.
CREATE OR REPLACE FUNCTION note_sequence(of text, in_epoch bigint, new int8multirange, reported bigint) RETURNS void
  LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO sequence (device, epoch, seen, last) VALUES (of, in_epoch, new, reported)
  ON CONFLICT (device, epoch) DO UPDATE SET
    seen = CASE WHEN pg_column_size(sequence.seen) < 100000 THEN sequence.seen + excluded.seen ELSE sequence.seen END,
    last = greatest(sequence.last, excluded.last),
    request_at = CASE WHEN sequence.request_at = 'infinity' OR NOT sequence.seen + excluded.seen @> int8range(
        greatest(upper(sequence.seen), sequence.last + 1), greatest(upper(sequence.seen), upper(excluded.seen),
        sequence.last + 1, excluded.last + 1))
      THEN least(sequence.request_at, now()) ELSE sequence.request_at END;
END $$;

-- Changes of desired states in their order; the versions of each device are its own.
ALTER TABLE desired ADD change bigint NOT NULL DEFAULT nextval('desired_version');

-- Notes what a device reports. If a hub has given it a higher version, its database was restored from a backup:
-- the desired state gets a version that the device takes, and the next rollout a number that it does not know.
CREATE FUNCTION note_report(of text, report jsonb) RETURNS void LANGUAGE sql AS $$
  UPDATE device SET reported = report WHERE name = of;
  UPDATE desired SET version = applied + 1, change = nextval('desired_version')
    FROM (SELECT number_in(report, '$.version')::bigint AS applied) AS known WHERE device = of AND version < applied;
  SELECT setval('rollout_id_seq', least(known, last_value + 1000)::bigint) -- as a report may lie
    FROM rollout_id_seq, number_in(report, '$.bundle.rollout') AS known WHERE last_value < known $$;

-- Stores the desired state of a device; a changed one gets a higher version.
CREATE FUNCTION store_desired(of text, digest text, content text) RETURNS void LANGUAGE sql AS $$
  INSERT INTO desired (device, version, sha256, document)
    SELECT of, 1 + coalesce(number_in(reported, '$.version'), 0)::bigint, digest, content FROM device WHERE name = of
  ON CONFLICT (device) DO UPDATE SET version = greatest(desired.version + 1, excluded.version),
    change = nextval('desired_version'), sha256 = excluded.sha256, document = excluded.document
  WHERE desired.sha256 <> excluded.sha256 $$;

-- Starts and ends of alerts, as long as they wait to be sent by some way: mqtt or webhook.
CREATE TABLE alert_news (
  id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  news jsonb NOT NULL,
  ways text[] NOT NULL
);

-- Updates the table of alerts; returns each start and end, which is then to be sent by some ways.
DROP FUNCTION changed_alerts();
CREATE FUNCTION changed_alerts(wanted text[] DEFAULT '{mqtt}') RETURNS SETOF jsonb LANGUAGE sql AS $$
  DELETE FROM alert_news WHERE NOT ways && wanted;
  WITH started AS (INSERT INTO alert (device, kind) SELECT device, kind FROM fault
      ON CONFLICT DO NOTHING RETURNING alert_change(device, kind, 'started') AS news),
    ended AS (DELETE FROM alert WHERE (device, kind) NOT IN (SELECT device, kind FROM fault)
      RETURNING alert_change(device, kind, 'ended') AS news)
  INSERT INTO alert_news (news, ways) SELECT news, wanted FROM (TABLE started UNION ALL TABLE ended) AS each RETURNING news $$;

-- A number that no hub has given before its database was restored: devices remember those that they have confirmed.
ALTER TABLE purge ALTER id DROP IDENTITY;
ALTER TABLE purge ALTER id SET DEFAULT (extract(epoch FROM clock_timestamp()) * 1000)::bigint;
