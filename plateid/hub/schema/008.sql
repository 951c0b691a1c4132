-- Indexes that alone give the events of a plate, of a beginning or an end, and the similar plates:
-- a search then reads the rows that it shows, and no others.
DROP INDEX event_plate_first_seen_idx, event_folded_first_seen_idx, event_reverse_first_seen_idx;
CREATE INDEX ON event (plate, first_seen) INCLUDE (id, pass_id, device);  -- exact, and beginnings
CREATE INDEX ON event (folded, plate);                                    -- similar plates, first halves
CREATE INDEX ON event (reverse(folded) COLLATE "C", first_seen)           -- ends, second halves
  INCLUDE (folded, plate, id, pass_id, device);
