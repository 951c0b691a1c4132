-- Plates that devices offer for review, within their [privacy], and what people said of them.
CREATE TABLE label (
  id uuid PRIMARY KEY,                     -- of an event
  device text NOT NULL,
  jpeg bytea,                              -- the plate and what is around it; NULL: not offered
  offered_at timestamptz NOT NULL DEFAULT now(),
  verdict text,                            -- NULL: not reviewed
  text text NOT NULL DEFAULT '',
  box real[],                              -- x1, y1, x2, y2 in pixels of the image
  labelled_by text NOT NULL DEFAULT '',    -- a user of the hub; empty: on the device
  labelled_at timestamptz
);
CREATE INDEX ON label (device) WHERE verdict IS NULL;
CREATE INDEX ON label (text) WHERE text <> '';
