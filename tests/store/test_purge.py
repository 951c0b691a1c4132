"""`plateid events purge`: deleted events leave no byte behind."""

import sqlite3
import subprocess
import threading
from contextlib import closing, suppress
from datetime import timedelta

import pytest

from plateid.core.records import Direction, ListMatch
from plateid.errors import StoreError
from plateid.store.event_store import EventStore
from plateid.store.labels import Label, Labels
from plateid.store.purge import Purge
from plateid.store.sessions import Sessions
from tests.app.test_app import PLATEID
from tests.store.test_event_store import waiting
from tests.support.histories import deliver_all, files_with, retention, seqs, with_plate
from tests.support.samples import NOON, SEEN


@pytest.fixture
def history(store):
    """Two days of two vehicles and many others; half of the events were delivered."""
    for seq in range(1, 201):
        day = timedelta(days=seq // 101)
        plate = {3: "AB12CDE", 150: "AB12CDE", 5: "XY99ZZZ"}.get(seq, f"QQ{seq:04}")
        pass_id = SEEN.pass_id[:-4] + f"{seq:04x}"
        store.append(with_plate(seq, plate, first_seen=NOON + day, pass_id=pass_id))
    deliver_all(store, limit=100)
    return store


def test_plate_is_in_no_byte_of_the_folder(history, tmp_path):
    assert files_with(tmp_path, "AB12CDE")
    purged = Purge(history.path).plate("ab-12 cde")
    assert (purged.events, purged.unsent) == (2, 1)
    assert files_with(tmp_path, "AB12CDE") == files_with(tmp_path, "AB 12CDE") == []
    assert files_with(tmp_path, "XY99ZZZ") == ["events.sqlite3"]
    assert (history.counts().events, history.counts().outbox) == (198, 99)


def test_plate_of_a_correction_takes_along_its_pass_and_session(history, tmp_path):
    seen = with_plate(201, "A812CD", pass_id=SEEN.pass_id, direction=Direction("in", 0.0))
    history.append(seen)
    deliver_all(history, limit=200)
    Sessions(history.path).note(seen)
    Labels(history.path).add(Label(seen.id, "plate", "AB12CDF", (0, 0, 1, 1)))
    assert Purge(history.path).plate("AB12CDF").events == 1
    assert files_with(tmp_path, "AB12CDF") == files_with(tmp_path, "A812CD") == []


@pytest.mark.parametrize("ending", ["labels", "sessions"])
def test_damaged_file_is_named_and_holds_up_no_purge(history, ending):
    damaged = history.path.with_name(f"{history.path.name}.{ending}")
    damaged.write_bytes(b"no database" * 100)
    for purge in (lambda: Purge(history.path).plate("AB12CDE"), Purge(history.path).all):
        with pytest.raises(StoreError, match=rf"\.{ending}: file is not a database"):
            purge()
    assert history.counts().events == 0


def test_plate_takes_along_every_event_of_its_passes_and_every_delivery(tmp_path):
    passes = [SEEN.pass_id[:-1] + digit for digit in "1234"]
    with closing(EventStore(tmp_path / "events.sqlite3", outputs=["webhook"])) as store:
        for seq, (plate, pass_id, changes) in enumerate(
            [
                ("AB12CDE", passes[0], {}),
                ("A812CDE", passes[0], {"corrected": True}),
                ("A812CDE", passes[1], {"plate_raw": "AB12CDE"}),
                ("A812CDE", passes[2], {"list": ListMatch("AB 12 CDE", "deny", 1)}),
                ("AB12CD", passes[3], {}),
                ("AB12CDE", passes[1], {}),
            ],
            1,
        ):
            store.append(with_plate(seq, plate, pass_id=pass_id, **changes))
        assert Purge(store.path).plate("AB12CDE").events == 5
        assert seqs(store) == waiting(store, "webhook") == [5]
        assert files_with(tmp_path, "AB12CDE") == files_with(tmp_path, "AB 12 CDE") == []
        assert store.last_seen() == {}


def test_plate_is_found_by_its_hash(store):
    for seq, plate in enumerate(["AB12CDE", "XY99ZZZ"], 1):
        store.append(with_plate(seq, plate, pass_id=SEEN.pass_id[:-1] + str(seq)))
    deliver_all(store)
    retention(store, unlisted="hash").finish()
    assert Purge(store.path).plate("AB12CDE").events == 1
    assert seqs(store) == [2]


def test_events_before_a_date_are_deleted(history, tmp_path):
    purged = Purge(history.path).before(NOON + timedelta(hours=1))
    assert (purged.events, purged.unsent) == (100, 0)
    assert files_with(tmp_path, "XY99ZZZ") == files_with(tmp_path, "QQ0080") == []
    assert files_with(tmp_path, "QQ0120") == ["events.sqlite3"]


def test_all_events_are_deleted_and_sequence_numbers_go_on(history, tmp_path):
    aside = tmp_path / "events.sqlite3.corrupt-20260101T000000Z"
    aside.write_text("AB12CDE")
    history.append(with_plate(1 << 60, "AB12CDE"))
    purged = Purge(history.path).all()
    assert (purged.events, purged.files) == (201, (aside,))
    for text in ("AB12CDE", "AB 12CDE", "QQ0", "QQ 0"):
        assert files_with(tmp_path, text) == []
    assert (tmp_path / "events.sqlite3").stat().st_size < 200_000
    with closing(EventStore(history.path)) as again:
        assert again.next_seq() > 1 << 60


def test_service_that_writes_meanwhile_loses_no_event(history, tmp_path):
    stop, written = threading.Event(), []

    def write():
        for seq in range(2000, 100_000):
            with suppress(StoreError):  # the backlog would retry
                history.append(with_plate(seq, f"NN{seq}"))
                written.append(seq)
            if stop.wait(0.001):
                return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert Purge(history.path).plate("AB12CDE").events == 2
    finally:
        stop.set()
        writer.join()
    assert files_with(tmp_path, "AB12CDE") == []
    assert [seq for seq in seqs(history) if seq >= 2000] == written
    assert history.counts().events == 198 + len(written)


def test_reader_that_keeps_events_in_the_log_is_an_error(history, monkeypatch):
    monkeypatch.setattr("plateid.store.purge.BUSY_S", 0.05)
    with closing(sqlite3.connect(history.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM event").fetchone()
        with pytest.raises(StoreError, match="deleted, but still in the log"):
            Purge(history.path).all()
    assert Purge(history.path).all().events == 0


# the command


def command(config, *options):
    line = [*PLATEID, "events", "purge", "-c", str(config), *options]
    return subprocess.run(line, capture_output=True, text=True, check=False)


@pytest.fixture
def config(tmp_path):
    file = tmp_path / "plateid.toml"
    file.write_text(
        'logfile.csv = "log.csv"\nstore.path = "events.sqlite3"\n'
        '[[camera]]\nname = "gate"\nurl = "rtsp://camera.local/"\n'
    )
    return file


def test_command_prints_what_it_deleted_and_what_it_left_alone(history, config, tmp_path):
    (tmp_path / "log.csv").touch()
    done = command(config, "--plate", "AB12CDE")
    assert (done.returncode, done.stderr) == (0, "")
    first, log_file = done.stdout.splitlines()
    assert first == "2 events deleted, 1 of them unsent"
    assert log_file == f"{tmp_path / 'log.csv'} is not changed: delete its lines yourself"
    assert files_with(tmp_path, "AB12CDE") == []
    local = (NOON + timedelta(hours=1)).astimezone().strftime("%Y-%m-%dT%H:%M")
    assert command(config, "--before", local).stdout.startswith("99 events deleted, 0 of")
    assert command(config, "--all", "--yes").stdout.startswith("99 events deleted, 99 of")
    assert history.counts().events == 0


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ([], "give one of --before, --plate and --all"),
        (["--all", "--plate", "A"], "give one of"),
        (["--plate", " - "], "must be letters A to Z and digits"),
        (["--plate", "ЯB"], "must be letters A to Z and digits"),
        (["--before", "yesterday"], "does not match the formats"),
    ],
)
def test_command_refuses_wrong_options(config, options, reason):
    done = command(config, *options)
    assert done.returncode == 2
    assert reason in " ".join(done.stderr.split())


def test_command_makes_no_store(config, tmp_path):
    done = command(config, "--all", "--yes")
    assert (done.returncode, done.stderr) == (1, f"{tmp_path / 'events.sqlite3'}: does not exist\n")
    assert not (tmp_path / "events.sqlite3").exists()
