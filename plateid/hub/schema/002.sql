-- Plates that devices offer for review, within their [privacy], and what people said of them.
CREATE TABLE label (
  id uuid PRIMARY KEY,                     -- of an event
  device text NOT NULL,
  jpeg bytea,                              -- the plate and what is around it; NULL: not offered
  offered_at timestamptz NOT NULL DEFAULT now(),
  verdict text,                            -- NULL: not reviewed
  text text NOT NULL DEFAULT '' CHECK (text ~ '^[A-Z0-9]{0,16}$'),
  box real[]                               -- x1, y1, x2, y2 in pixels of the image
    CHECK (array_length(box, 1) = 4 AND -1e5 < ALL (box) AND 1e5 > ALL (box)),
  is_of_device boolean NOT NULL DEFAULT TRUE, -- the device may replace what was said
  labelled_at timestamptz
);
CREATE INDEX ON label (device) WHERE verdict IS NULL;
CREATE INDEX ON label (text) WHERE text <> '';

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
