-- Makes the partitions of the months of some moments, UTC, as far as they do not exist.
CREATE FUNCTION make_partitions(moments timestamptz[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  month timestamp;
BEGIN
  PERFORM pg_advisory_xact_lock(x'504C4944'::bigint); -- one process at a time changes tables
  FOR month IN SELECT DISTINCT date_trunc('month', moment AT TIME ZONE 'UTC') FROM unnest(moments) AS moment ORDER BY 1 LOOP
    EXECUTE format('CREATE TABLE IF NOT EXISTS %I PARTITION OF event FOR VALUES FROM (%L) TO (%L)',
      to_char(month, '"event_"YYYY_MM'), month AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC');
  END LOOP;
END $$;

CREATE FUNCTION make_months_ahead() RETURNS void LANGUAGE sql AS $$
  SELECT make_partitions(ARRAY(SELECT now() + n * interval '1 month' FROM generate_series(0, 2) AS n)) $$;
