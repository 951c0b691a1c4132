"""Deletes a plate from the database of a fleet, and nothing else."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from plateid.config.hub import DatabaseConfig
from plateid.hub.database import connect
from plateid.hub.purge import drop_old, purge_plate, traces, waiting
from tests.support.fleets import insert_events
from tests.support.histories import with_plate


def test_only_passes_with_the_plate_are_deleted(database: DatabaseConfig) -> None:
    plates = ("1234", "12345", "SEQ", "KX73LPH")
    events = [with_plate(n, plate=plate) for n, plate in enumerate(plates, 1)]
    events = [replace(each, pass_id=each.id, confidence=0.1234) for each in events]
    insert_events(database, events)
    with connect(database, purpose="test") as db:
        assert [traces(db, plate) for plate in plates] == [1, 1, 1, 1]
        assert purge_plate(db, "12-34").events == 1
        assert purge_plate(db, "SEQ").events == 1
        assert [traces(db, plate) for plate in plates] == [0, 1, 0, 1]


def test_purge_is_confirmed_though_the_database_was_restored_from_a_backup(
    database: DatabaseConfig,
) -> None:
    confirm = "UPDATE device SET reported = jsonb_build_object('purged', ARRAY[%s::bigint])"
    with connect(database, purpose="test") as db:
        db.execute("INSERT INTO device (name, token_sha256) VALUES ('one', '1')")
        lost = purge_plate(db, "SEQ").id
        db.execute(confirm, (lost,))
        db.execute("TRUNCATE purge RESTART IDENTITY")
        again = purge_plate(db, "SEQ").id
        assert waiting(db, again) == ["one"]
        db.execute(confirm, (again,))
        assert waiting(db, again) == []


def test_purges_of_one_millisecond_have_different_numbers(database: DatabaseConfig) -> None:
    insert = "INSERT INTO purge (plate, devices) SELECT 'SEQ', '{}' FROM generate_series(1, 900)"
    with connect(database, purpose="test") as db:
        before = purge_plate(db, "SEQ").id
        db.execute(insert)
        later = db.execute("SELECT count(*) FROM purge WHERE id > %s", (before,))
        assert later.fetchone() == (900,)


@pytest.mark.parametrize("text", ["", " - ", ".*"])
def test_text_that_is_no_plate_is_refused(database: DatabaseConfig, text: str) -> None:
    insert_events(database, [with_plate(1, "B68SPK")])
    with connect(database, purpose="test") as db:
        with pytest.raises(ValueError, match="needs a plate"):
            purge_plate(db, text)
        assert db.execute("SELECT count(*) FROM event").fetchone() == (1,)


def test_old_images_lists_and_months_are_deleted_in_steps(database: DatabaseConfig) -> None:
    old = datetime.now(UTC) - timedelta(days=100)
    insert_events(database, [replace(with_plate(1, "AB1"), first_seen=old), with_plate(2, "AB2")])
    with connect(database, purpose="test") as db:
        db.execute(
            "INSERT INTO snapshot SELECT n::text, %s, '' FROM generate_series(1, 1500) n", (old,)
        )
        db.execute("INSERT INTO snapshot VALUES ('new', now(), '')")
        db.execute(
            "INSERT INTO list_version (stored_at, content) VALUES (%s, 'a'), (%s, 'b')", (old, old)
        )
        db.execute(
            "INSERT INTO label (id, device, offered_at) SELECT id, 'a', %s FROM event", (old,)
        )
        steps = list(drop_old(db, 60))
        assert db.execute("SELECT plate FROM label JOIN event USING (id)").fetchall() == [("AB2",)]
        assert db.execute("SELECT count(*) FROM label").fetchone() == (1,)
        assert len(steps) == 3
        assert db.execute("SELECT sha256 FROM snapshot").fetchall() == [("new",)]
        assert db.execute("SELECT content FROM list_version").fetchall() == [("b",)]
        assert db.execute("SELECT count(*) FROM event").fetchone() == (1,)


def test_pass_of_before_a_purge_is_not_stored_when_its_device_comes_back(
    database: DatabaseConfig,
) -> None:
    now = datetime.now(UTC)
    with connect(database, purpose="test") as db:
        purge_plate(db, "B68SPK")
        plates = (("B68SPK", -1), ("B68SPK1", -1), ("B68SPK", 1))
        events = [
            with_plate(n, plate=plate, first_seen=now + timedelta(minutes=later))
            for n, (plate, later) in enumerate(plates, 1)
        ]
        insert_events(database, events)
        found = db.execute("SELECT seq FROM event ORDER BY seq").fetchall()
        assert found == [(2,), (3,)]
