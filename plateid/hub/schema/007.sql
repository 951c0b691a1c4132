-- As before, but two purges of one millisecond have two numbers.
CREATE SEQUENCE purge_in_ms MINVALUE 0 MAXVALUE 999 CYCLE;
ALTER TABLE purge ALTER id
  SET DEFAULT (extract(epoch FROM clock_timestamp()) * 1000)::bigint * 1000 + nextval('purge_in_ms');

-- As before, but the reason of a rollout that is rolled back names a device, and what is wrong with it.
CREATE OR REPLACE FUNCTION advance_rollouts() RETURNS SETOF text LANGUAGE plpgsql AS $$
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
      SELECT format('wave %s: %s of %s devices failed, for example %s: %s', each.wave, each.errors, each.devices, device, problem)
        INTO why FROM rollout_progress AS failed
        WHERE failed.rollout = each.id AND failed.wave = each.wave AND problem IS NOT NULL ORDER BY device LIMIT 1;
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
