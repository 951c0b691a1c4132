-- Drops what a device sends late: a pass of before a purge that not all devices have confirmed.
CREATE FUNCTION drop_purged() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM purge WHERE requested_at > NEW.first_seen -- the pattern is that of `traces`
      AND NEW.payload::text ~ format('"%s"', regexp_replace(plate, '', '[ .·-]*', 'g'))) THEN
    RETURN NULL;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER drop_purged BEFORE INSERT ON event FOR EACH ROW EXECUTE FUNCTION drop_purged();
