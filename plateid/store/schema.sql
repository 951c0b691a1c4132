CREATE TABLE device (
        instance TEXT NOT NULL, last_seq INTEGER NOT NULL,
        privacy_policy TEXT NOT NULL, old_policy_up_to INTEGER NOT NULL
    ) STRICT

INSERT INTO device VALUES (lower(hex(randomblob(4))), 0, '', 0)

CREATE TABLE event (
        position INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE, pass_id TEXT NOT NULL,
        event_type TEXT NOT NULL, camera TEXT NOT NULL, plate TEXT NOT NULL,
        plate_form TEXT NOT NULL DEFAULT 'plain'
            CHECK (plate_form IN ('plain', 'hashed', 'dropped')),
        confidence REAL NOT NULL, first_seen TEXT NOT NULL, list_kind TEXT,
        clock_set INTEGER NOT NULL, policy_applied INTEGER NOT NULL DEFAULT 0,
        payload TEXT NOT NULL
    ) STRICT

-- each output, and the events that it has not acknowledged
CREATE TABLE output (name TEXT PRIMARY KEY) STRICT

CREATE TABLE delivery (
        output TEXT NOT NULL REFERENCES output (name) ON DELETE CASCADE,
        position INTEGER NOT NULL REFERENCES event (position) ON DELETE CASCADE,
        sent INTEGER NOT NULL DEFAULT 0, queued_at REAL, PRIMARY KEY (output, position)
    ) STRICT, WITHOUT ROWID

CREATE INDEX delivery_position ON delivery (position)

CREATE INDEX delivery_queued_at ON delivery (output, queued_at)

CREATE VIEW settled AS SELECT position FROM event
        WHERE NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.position = event.position)

-- components that Home Assistant knows, and retained topics (platform "topic")
CREATE TABLE component (id TEXT PRIMARY KEY, platform TEXT NOT NULL) STRICT

-- passes that the last stop ended
CREATE TABLE stopped_pass (pass_id TEXT PRIMARY KEY, stopped TEXT NOT NULL) STRICT

-- the last event of each list entry
CREATE TABLE list_entry (
        name TEXT PRIMARY KEY,
        position INTEGER NOT NULL UNIQUE REFERENCES event (position) ON DELETE CASCADE
    ) STRICT

CREATE INDEX event_policy ON event (position) WHERE NOT policy_applied

CREATE INDEX event_age ON event (clock_set, id)

CREATE INDEX event_clock_set ON event (position) WHERE clock_set

-- indexes of the search: newest first, and filters read the index only
CREATE INDEX event_pass ON event (pass_id)

CREATE INDEX event_plate ON event (plate, first_seen)

CREATE INDEX event_first_seen ON event (first_seen, plate, plate_form, confidence)

CREATE INDEX event_camera ON event (camera, first_seen, plate, plate_form, confidence)

CREATE INDEX event_unsure ON event (first_seen, confidence) WHERE confidence < {unsure}

CREATE INDEX event_camera_unsure ON event (camera, first_seen, confidence)
        WHERE confidence < {unsure}

CREATE INDEX event_list ON event (list_kind, first_seen) WHERE list_kind IS NOT NULL

-- each plain plate once
CREATE TABLE plate (
        plate TEXT PRIMARY KEY, folded TEXT NOT NULL AS ({folded}) VIRTUAL
    ) STRICT, WITHOUT ROWID

CREATE INDEX plate_folded ON plate (folded)

CREATE TRIGGER plate_added AFTER INSERT ON event WHEN NEW.plate_form = 'plain' BEGIN
        INSERT OR IGNORE INTO plate VALUES (NEW.plate);
    END

CREATE TRIGGER plate_changed AFTER UPDATE OF plate, plate_form ON event BEGIN
        INSERT OR IGNORE INTO plate SELECT NEW.plate WHERE NEW.plate_form = 'plain';
        DELETE FROM plate WHERE plate = OLD.plate AND NOT EXISTS
            (SELECT 1 FROM event WHERE plate = OLD.plate AND plate_form = 'plain');
    END

CREATE TRIGGER plate_removed AFTER DELETE ON event BEGIN
        DELETE FROM plate WHERE plate = OLD.plate AND NOT EXISTS
            (SELECT 1 FROM event WHERE plate = OLD.plate AND plate_form = 'plain');
    END
