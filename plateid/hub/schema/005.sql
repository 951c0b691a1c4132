-- Drops what a device sends late: a pass that began before a purge that not all devices have confirmed.
CREATE FUNCTION drop_purged() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM purge WHERE requested_at > NEW.first_seen -- the pattern is that of `traces`
      AND NEW.payload::text ~ format('"%s"', regexp_replace(plate, '', '[ .·-]*', 'g'))) THEN
    RETURN NULL;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER drop_purged BEFORE INSERT ON event FOR EACH ROW EXECUTE FUNCTION drop_purged();

-- As before, but a device that is revoked during a rollout does not hold it up, unless it is the canary.
CREATE OR REPLACE VIEW rollout_progress AS
  SELECT each.*, wrong.problem, revoked_at IS NOT NULL AND each.wave > 1
    OR each.state = 'installed' AND wrong.problem IS NULL
    AND each.state_at <= now() - hold AND health_at > each.state_at AS is_healthy
  FROM rollout_device AS each JOIN rollout ON id = each.rollout LEFT JOIN device ON name = each.device
  CROSS JOIN LATERAL (SELECT CASE
    WHEN revoked_at IS NOT NULL THEN NULL
    WHEN each.state IN ('failed', 'rolled back') THEN concat_ws(': ', each.state, nullif(each.reason, ''))
    WHEN each.state = 'installed' AND health_at < now() - greatest(hold, interval '5 minutes') THEN 'no health report'
    WHEN each.state = 'installed' AND reported #>> '{bundle,rollout}' = each.rollout::text THEN device.problem
    END AS problem) AS wrong;
