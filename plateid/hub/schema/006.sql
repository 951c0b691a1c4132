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
