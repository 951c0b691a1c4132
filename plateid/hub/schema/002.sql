-- Plates that devices offer for review, within their [privacy], and what people said of them.
CREATE TABLE label (
  id uuid PRIMARY KEY,                     -- of an event
  device text NOT NULL,
  jpeg bytea,                              -- the plate and what is around it; NULL: not offered
  offered_at timestamptz NOT NULL DEFAULT now(),
  verdict text,                            -- NULL: not reviewed
  text text COLLATE "C" NOT NULL DEFAULT '' CHECK (text ~ '^[A-Z0-9]{0,16}$'),
  box real[]                               -- x1, y1, x2, y2 in pixels of the image
    CHECK (array_length(box, 1) = 4 AND -1e5 < ALL (box) AND 1e5 > ALL (box)),
  is_of_device boolean NOT NULL DEFAULT TRUE, -- the device may replace what was said
  labelled_at timestamptz
);
CREATE INDEX ON label (device) WHERE verdict IS NULL;
CREATE INDEX ON label (text) WHERE text <> '';

-- The image of an event: that which its device has published, or the plate that it offers.
CREATE FUNCTION image_of(digest text, event uuid) RETURNS bytea LANGUAGE sql STABLE AS $$
  SELECT coalesce((SELECT jpeg FROM snapshot WHERE sha256 = digest), (SELECT jpeg FROM label WHERE id = event)) $$;

-- Whether the plate in the image of an event may be seen.
CREATE FUNCTION is_legible(payload jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(payload #>> '{snapshot,file}' NOT LIKE '%-hidden.jpg', FALSE) $$;

-- Stores what a device, or with an empty name a user of the hub, said of an event. What users said stays.
CREATE FUNCTION store_label(event uuid, sender text, new_verdict text, new_text text, new_box real[])
  RETURNS void LANGUAGE sql AS $$
  INSERT INTO label (id, device, verdict, text, box, is_of_device, labelled_at)
    SELECT id, device, new_verdict, new_text, new_box, sender <> '', now() FROM event AS known
    WHERE id = event AND sender IN (device, '') AND is_legible(payload) LIMIT 1
  ON CONFLICT (id) DO UPDATE SET verdict = excluded.verdict, text = excluded.text,
    box = excluded.box, is_of_device = excluded.is_of_device, labelled_at = now()
  WHERE (label.is_of_device OR NOT excluded.is_of_device) AND (label.verdict, label.text,
    label.box) IS DISTINCT FROM (excluded.verdict, excluded.text, excluded.box) $$;

-- Takes events that a device offers, the most useful first, as long as fewer than 30 of its images
-- (3 MB) wait for review. Returns those of offered and labelled events whose image is missing.
CREATE FUNCTION offer_events(sender text, offered uuid[], labelled uuid[])
  RETURNS SETOF text LANGUAGE sql AS $$
  INSERT INTO label (id, device)
    SELECT id, device FROM unnest(offered) WITH ORDINALITY AS offer (id, place) JOIN event USING (id)
    WHERE device = sender AND is_legible(payload) AND NOT EXISTS (SELECT FROM label WHERE label.id = offer.id)
    ORDER BY place LIMIT greatest(0, 30 - (SELECT count(*) FROM label WHERE device = sender
      AND verdict IS NULL AND (jpeg IS NOT NULL OR id = ANY(offered))))
    ON CONFLICT DO NOTHING;
  SELECT id::text FROM label WHERE device = sender AND id = ANY(offered || labelled)
    AND jpeg IS NULL AND verdict IS DISTINCT FROM 'skip' $$;

ALTER TABLE site
  ADD CHECK (latitude BETWEEN -90 AND 90),
  ADD CHECK (longitude BETWEEN -180 AND 180);

-- What the map shows. A degree of longitude is `squeeze` degrees of latitude long.
CREATE VIEW site_state AS
  SELECT site.name, latitude, longitude, cos(radians(avg(latitude) OVER ())) AS squeeze,
    count(device.name) AS devices,
    CASE WHEN bool_or(alerts <> '{}') THEN 'fault' WHEN bool_or(online) THEN 'online'
      ELSE 'unknown' END AS state
  FROM site LEFT JOIN device_state AS device ON device.site = site.name AND revoked_at IS NULL
  GROUP BY site.name;
