"""What is kept of a plate, for how long, and that nothing else is left on the disk."""

import json
import os
import sqlite3
import stat
import subprocess
import threading
import time
from contextlib import closing, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from plateid.config.storage import PrivacyConfig, RetentionConfig
from plateid.core.records import Candidate, ListMatch, PlateEvent
from plateid.errors import StoreError
from plateid.outputs.logfile import jsonl_file
from plateid.store.database import STEPS
from plateid.store.event_store import EventStore
from plateid.store.privacy import Privacy, Private, digest, key_file, read_key
from plateid.store.purge import Purge
from plateid.store.queues import Queued, Queues
from plateid.store.retention import OLD, Retention, first_id
from plateid.store.snapshot_files import Album
from tests.app.test_app import PLATEID
from tests.core.test_schema import SCHEMA
from tests.store.test_event_store import full_disk
from tests.support.samples import NOON, SEEN, Logs, append, event, payloads, said

ANA = ListMatch("Ana", "allow", 1)
DAY_S = 86400


def retention(store: EventStore, **settings: Any) -> Retention:
    bounds = {key: settings.pop(key) for key in RetentionConfig.model_fields if key in settings}
    privacy = Privacy(PrivacyConfig(**settings), store.path)
    return Retention(RetentionConfig(**bounds), store, privacy)


def privacy(tmp_path: Path, **settings: Any) -> Privacy:
    return Privacy(PrivacyConfig(**settings), tmp_path / "events.sqlite3")


def on_disk(folder: Path, text: str) -> list[str]:
    """The files of a folder that have a text anywhere in them."""
    return sorted(file.name for file in folder.iterdir() if text.encode() in file.read_bytes())


def sent(store: EventStore) -> None:
    store.acknowledge([outgoing.id for outgoing in store.pending(100_000)])


def kept(store: EventStore) -> list[dict[str, Any]]:
    return [json.loads(payload) for payload in reversed(payloads(store))]


def stored_at(moment: float) -> str:
    """An id as an event of that moment has it."""
    return first_id(moment) + SEEN.id[13:-6] + os.urandom(3).hex()


# what is kept of an event


def test_by_default_all_is_kept_and_there_is_no_key(tmp_path: Path) -> None:
    as_it_is = privacy(tmp_path)
    assert as_it_is.payload(SEEN.to_json()) == SEEN.to_json()
    assert as_it_is.plate("B68SPK", listed=False) == "B68SPK"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("rule", ["hash", "drop"])
@pytest.mark.parametrize("match", [None, ANA])
def test_what_is_left_tells_no_plate_and_is_an_event_all_the_same(
    tmp_path: Path, rule: str, match: ListMatch | None
) -> None:
    hides = privacy(tmp_path, unknown=rule, listed=rule)
    seen = replace(SEEN, list=match)
    payload = hides.payload(seen.to_json())
    left = json.loads(payload)
    jsonschema.validate(left | {"sent_at": left["last_seen"]}, SCHEMA)
    assert not [text for text in ("68SPK", "68 SPK", "Ana") if text in payload]
    assert left["plate"] == hides.plate("B68SPK", listed=False)
    assert len(left["plate"]) == {"hash": 32, "drop": 0}[rule]
    changed = {"plate", "plate_raw", "plate_display", "char_confidences", "candidates", "list"}
    before = json.loads(seen.to_json())
    assert {key for key in left if left[key] != before[key]} <= changed
    assert (left["list"] or {}).get("kind") == (match and "allow")
    assert hides.payload(payload) == payload


def test_each_class_has_its_own_rule(tmp_path: Path) -> None:
    hides = privacy(tmp_path, unknown="drop", listed="keep")
    listed = replace(SEEN, list=ANA).to_json()
    assert hides.payload(listed) == listed
    assert json.loads(hides.payload(SEEN.to_json()))["plate"] == ""
    assert (hides.plate("AB12", listed=True), hides.plate("AB12", listed=False)) == ("AB12", "")


def test_a_hash_is_the_keyed_one_of_its_standard(tmp_path: Path) -> None:
    hides = privacy(tmp_path, unknown="hash")
    made_at, key = read_key(key_file(tmp_path / "events.sqlite3")) or (0.0, b"")
    assert made_at == pytest.approx(time.time(), abs=2)
    command = ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{key.hex()}"]
    done = subprocess.run(command, input=b"B68SPK", capture_output=True, check=True)
    expected = done.stdout.decode().split()[-1]
    assert hides.plate("B68SPK", listed=False) == expected[:32].upper()


# the key


def test_a_key_is_its_owners_only_and_outlives_the_process(tmp_path: Path) -> None:
    first = privacy(tmp_path, unknown="hash")
    assert stat.S_IMODE((tmp_path / "events.sqlite3.key").stat().st_mode) == 0o600
    again = privacy(tmp_path, listed="hash")
    assert again.plate("B68SPK", listed=True) == first.plate("B68SPK", listed=False)


def test_two_boxes_hash_the_same_plate_differently(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    hashes = {
        privacy(folder, unknown="hash").plate("B68SPK", listed=False)
        for folder in (tmp_path, tmp_path / "other")
    }
    assert len(hashes) == 2


@pytest.mark.parametrize(("days", "renewed"), [(6.9, False), (7.1, True), (-7.1, True)])
def test_a_key_is_renewed_after_its_time_and_the_old_one_is_gone(
    tmp_path: Path, days: float, *, renewed: bool
) -> None:
    file = tmp_path / "events.sqlite3.key"
    file.write_text(f"{time.time() - days * DAY_S:.0f} {'ab' * 32}\n")
    hides = privacy(tmp_path, unknown="hash", key_days=7)
    before = hides.plate("B68SPK", listed=False)
    assert before == digest(b"\xab" * 32, "B68SPK")
    hides.renew_key()
    assert (hides.plate("B68SPK", listed=False) != before) is renewed
    assert on_disk(tmp_path, "ab" * 32) == ([] if renewed else [file.name])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 or not renewed


@pytest.mark.parametrize("content", ["", "1700000000", "x y", "1 zz", "\xff\xfe", "1 ab cd"])
def test_a_key_that_is_none_is_replaced_and_it_is_said(
    tmp_path: Path, content: str, logs: Logs
) -> None:
    (tmp_path / "events.sqlite3.key").write_text(content, encoding="latin-1")
    assert privacy(tmp_path, unknown="hash").plate("B68SPK", listed=False)
    assert len(said(logs, "no key in key file, another one is made")) == 1


def test_a_key_that_cannot_be_read_or_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "events.sqlite3.key").mkdir()
    with pytest.raises(StoreError, match=r"events\.sqlite3\.key: Is a directory"):
        privacy(tmp_path, unknown="hash")
    with pytest.raises(StoreError, match=r"nowhere.*\.key: No such file"):
        privacy(tmp_path / "nowhere", unknown="hash")


def test_an_old_key_works_until_a_full_disk_has_room_for_the_next(
    store: EventStore, logs: Logs
) -> None:
    file = key_file(store.path)
    file.write_text(f"0 {'ab' * 32}\n")
    keeper = retention(store, unknown="hash")
    with full_disk():
        keeper.check()
    assert "ab" in file.read_text()
    (reason,) = said(logs, "outage starts")
    assert reason.startswith(str(file))
    keeper._outage._next_try = 0.0
    keeper.check()
    assert "ab" * 32 not in file.read_text()


# the store


def test_a_plate_is_gone_once_everybody_has_it_and_not_before(
    store: EventStore, tmp_path: Path
) -> None:
    with closing(Queues(store.path, ["webhook"])) as queues:
        keeper = retention(store, unknown="hash")
        append(store, 1)
        keeper.finish()
        assert store.pending(1)[0].payload.count("B68SPK") == 2
        sent(store)
        keeper.finish()
        queued = queues.first("webhook")
        assert queued is not None
        assert "B68SPK" in queued.payload
        queues.remove("webhook", queued)
        keeper.finish()
    assert on_disk(tmp_path, "B68SPK") == []
    assert on_disk(tmp_path, "B 68 SPK") == []
    (left,) = kept(store)
    assert len(left["plate"]) == 32
    assert store._rows("SELECT plate FROM event") == [(left["plate"],)]


def test_of_many_plates_none_is_left_anywhere_in_the_file(
    store: EventStore, tmp_path: Path
) -> None:
    keeper = retention(store, unknown="drop")
    plates = [f"ZZ{number:04}Q" for number in range(1000)]
    for number, plate in enumerate(plates):
        store.append(event(number, plate=plate, candidates=(Candidate(plate, 1.0),)))
        if number % 40 == 0:
            sent(store)
            keeper.finish()
    sent(store)
    for _ in range(20):
        keeper.finish()
    content = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert [plate for plate in plates if plate.encode() in content] == []
    assert store.counts().events == len(plates)


def test_the_sight_of_an_entry_is_not_kept_where_its_plate_is_not(store: EventStore) -> None:
    store.append(event(1, list=ANA))
    sent(store)
    retention(store, unknown="drop").finish()
    assert list(store.last_seen()) == ["Ana"]
    retention(store, listed="drop").finish()
    assert store.last_seen() == {}


def test_a_stricter_rule_holds_for_what_was_kept_before(store: EventStore) -> None:
    append(store, 1)
    store.append(event(2, list=ANA))
    sent(store)
    for settings, lengths in (
        ({}, [6, 6]),
        ({"unknown": "hash"}, [32, 6]),
        ({"unknown": "hash", "listed": "hash"}, [32, 32]),
        ({"unknown": "keep", "listed": "hash"}, [32, 32]),
        ({"unknown": "drop", "listed": "hash"}, [0, 32]),
    ):
        retention(store, **settings).finish()
        assert [len(left["plate"]) for left in kept(store)] == lengths, settings


def test_another_rule_is_applied_in_small_steps_and_goes_on_after_a_restart(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A history of a gigabyte in one go would keep every camera waiting."""
    for seq in range(1, 51):
        append(store, seq)
    sent(store)
    retention(store, unknown="hash").finish()
    append(store, 51)
    sent(store)
    monkeypatch.setattr("plateid.store.retention.BATCH", 8)
    monkeypatch.setattr("plateid.store.retention.STEP_S", 0.0)
    hashes = [50]
    while hashes[-1]:
        with store.locked() as db:
            before = db.total_changes
        retention(store, unknown="drop").finish()
        with store.locked() as db:
            assert db.total_changes - before < 5 * 8
        hashes.append(sum(len(left["plate"]) == 32 for left in kept(store)))
    assert hashes == [50, 43, 35, 27, 19, 11, 3, 0]
    assert {left["plate"] for left in kept(store)} == {""}


def test_treated_events_are_not_looked_at_again(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append(event(1, list=ANA))
    sent(store)
    keeper = retention(store, unknown="drop")
    keeper.finish()
    monkeypatch.setattr(Privacy, "payload", None)
    keeper.finish()


def test_a_layout_from_before_is_treated_too(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite3"
    older = STEPS[: STEPS.index("ALTER TABLE event ADD COLUMN treated INTEGER NOT NULL DEFAULT 0")]
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for step in older:
            db.execute(step)
        db.execute(f"PRAGMA user_version = {len(older)}")
        row = (SEEN.id, SEEN.pass_id, "plate_seen", "gate", SEEN.plate, 1.0, "x", SEEN.to_json())
        db.execute("INSERT INTO event VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    with closing(EventStore(path)) as store:
        retention(store, unknown="drop").finish()
        assert kept(store)[0]["plate"] == ""


def test_a_events_that_holds_something_else_is_as_a_corrupt_file(tmp_path: Path) -> None:
    with closing(EventStore(tmp_path / "a", replaces_corrupt=True)) as store:
        append(store, 1)
        sent(store)
        store._rows("UPDATE event SET payload = '{'")
        retention(store, unknown="drop").check()
        assert (store.replaced, store.counts().events) == (1, 0)


# log files


def test_a_log_file_gets_what_may_be_kept(tmp_path: Path) -> None:
    file = Private(jsonl_file(tmp_path / "log"), privacy(tmp_path, unknown="hash"))
    file.deliver(Queued(1, SEEN.id, SEEN.to_json(), sent=False))
    assert on_disk(tmp_path, "68SPK") == []
    (line,) = (tmp_path / "log").read_text().splitlines()
    assert len(json.loads(line)["plate"]) == 32


# how long


def old_and_new(store: EventStore) -> None:
    """Events 1 to 5, of which the first three were stored eight days ago."""
    now = time.time()
    for seq in range(1, 6):
        store.append(event(seq, id=stored_at(now - (8 if seq <= 3 else 6) * DAY_S)))


def seqs(store: EventStore) -> list[int]:
    return [left["seq"] for left in kept(store)]


def test_what_is_too_old_goes_when_it_was_sent(store: EventStore, logs: Logs) -> None:
    old_and_new(store)
    keeper = retention(store, events_days=7)
    keeper.check()
    assert seqs(store) == [1, 2, 3, 4, 5]
    store.acknowledge([outgoing.id for outgoing in store.pending(2)])
    keeper._sweep_at = 0.0
    keeper.check()
    assert seqs(store) == [3, 4, 5]
    assert store.counts().outbox == 3
    assert [entry["events"] for entry in logs if entry["event"] == "old events deleted"] == [2]


def test_what_waits_for_another_sink_stays(store: EventStore) -> None:
    with closing(Queues(store.path, ["webhook"])) as queues:
        old_and_new(store)
        sent(store)
        retention(store, events_days=7).check()
        assert seqs(store) == [1, 2, 3, 4, 5]
        first = queues.first("webhook")
        assert first is not None
        queues.remove("webhook", first)
        retention(store, events_days=7).check()
        assert seqs(store) == [2, 3, 4, 5]


def test_an_event_from_before_the_clock_was_set_goes_with_those_after_it(
    store: EventStore,
) -> None:
    unset, now = event(1, id=stored_at(0), clock_synced=False), time.time()
    store.append(unset)
    sent(store)
    keeper = retention(store, events_days=7)
    keeper.check()
    assert seqs(store) == [1]
    store.append(event(2, id=stored_at(now - 8 * DAY_S)))
    sent(store)
    keeper._sweep_at = 0.0
    keeper.check()
    assert seqs(store) == []


def test_on_a_box_whose_clock_nobody_sets_its_own_counts(store: EventStore) -> None:
    """Until somebody sets it: then it may have jumped, and what is from before has no age."""
    now, config = time.time(), RetentionConfig(events_days=7)
    for seq, moment in enumerate((0, now - 9 * DAY_S, now - 8 * DAY_S, now), 1):
        store.append(event(seq, id=stored_at(moment), clock_synced=False))
    sent(store)
    for synced, left in ((True, [1, 2, 3, 4]), (None, [1, 2, 3, 4]), (False, [4])):
        Retention(config, store, Privacy(PrivacyConfig(), store.path), lambda s=synced: s).check()
        assert seqs(store) == left, synced


def test_an_unset_clock_says_nothing_of_what_is_older_than_a_set_one(store: EventStore) -> None:
    now, config = time.time(), RetentionConfig(events_days=7)
    store.append(event(1, id=stored_at(now - 300 * DAY_S), clock_synced=False))
    store.append(event(2, id=stored_at(now - DAY_S), clock_synced=True))
    sent(store)
    Retention(config, store, Privacy(PrivacyConfig(), store.path), lambda: False).check()
    assert seqs(store) == [1, 2]


def test_a_clock_that_was_wrong_for_a_while_costs_no_young_event(store: EventStore) -> None:
    """As one that began at the year of the system's making, until somebody set it by hand."""
    now, config = time.time(), RetentionConfig(events_days=7)
    ages = (9, 1, 300, 299, 0)
    for seq, days in enumerate(ages, 1):
        store.append(event(seq, id=stored_at(now - days * DAY_S), clock_synced=False))
    sent(store)
    Retention(config, store, Privacy(PrivacyConfig(), store.path), lambda: False).check()
    assert seqs(store) == [2, 5]


def test_too_many_megabytes_cost_the_oldest(store: EventStore, tmp_path: Path) -> None:
    keeper = retention(store, events_mb=1)
    append(store, *range(1, 1001))
    sent(store)
    assert (tmp_path / "events.sqlite3").stat().st_size > 1.2e6
    for _ in range(20):
        keeper._sweep_at = 0.0
        keeper.check()
    left = seqs(store)
    assert left == list(range(left[0], 1001))
    assert 200 < len(left) < 1000
    append(store, *range(1001, 1101))
    assert store._rows("PRAGMA page_count")[0][0] * 4096 < 1.9e6


def test_a_sweep_is_done_at_the_start_and_each_day(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = retention(store, events_days=7)
    keeper.check()
    old_and_new(store)
    sent(store)
    keeper.check()
    assert len(seqs(store)) == 5
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + DAY_S)
    keeper.check()
    assert seqs(store) == [4, 5]


def test_a_corrupt_store_that_was_set_aside_is_not_kept_for_longer(
    store: EventStore, tmp_path: Path
) -> None:
    aside = tmp_path / "events.sqlite3.corrupt"
    for age_days, stays in ((6, True), (8, False)):
        aside.write_text("B68SPK")
        os.utime(aside, times=2 * (time.time() - age_days * DAY_S,))
        retention(store, events_days=7).check()
        assert aside.exists() is stays


def test_a_store_that_fails_is_an_outage_and_afterwards_all_goes_on(
    store: EventStore, logs: Logs
) -> None:
    append(store, 1)
    sent(store)
    keeper = retention(store, unknown="drop")
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        keeper.check()
        keeper.check()
    (reason,) = said(logs, "outage starts")
    assert "locked" in reason
    keeper._outage._next_try = 0.0
    keeper.check()
    assert kept(store)[0]["plate"] == ""


@pytest.mark.parametrize("settings", [{"events_days": 7}, {"unknown": "drop"}])
def test_a_picture_that_could_not_be_deleted_is_tried_again(
    store: EventStore, settings: dict[str, Any]
) -> None:
    album, id_ = Album(store.path), stored_at(time.time() - 8 * DAY_S)
    store.append(event(1, id=id_))
    store.append(event(2))
    sent(store)
    file = album.folder / album.add(id_, b"", hidden=False).file
    file.unlink()
    file.mkdir()
    keeper = retention(store, **settings)
    keeper.check()
    assert kept(store)[0]["plate"] == SEEN.plate
    file.rmdir()
    file.touch()
    keeper._outage._next_try = 0.0
    keeper.check()
    assert not file.exists()


@pytest.mark.parametrize("settings", [{"events_days": 7}, {"unknown": "drop"}])
def test_pictures_that_cannot_be_deleted_hold_up_no_others(
    store: EventStore, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    monkeypatch.setattr("plateid.store.retention.BATCH", 2)
    album, long_ago = Album(store.path), time.time() - 8 * DAY_S
    files = []
    for seq in range(1, 6):
        id_ = stored_at(long_ago + seq)
        store.append(event(seq, id=id_))
        if seq <= 3:
            file = album.folder / album.add(id_, b"", hidden=False).file
            file.unlink()
            file.mkdir()
            files.append(file)
    sent(store)
    keeper = retention(store, **settings)
    for _ in range(6):
        keeper._outage._next_try = 0.0
        keeper.check()
    assert [left["seq"] for left in kept(store) if left["plate"]] == [1, 2, 3]
    for file in files:
        file.rmdir()
    for _ in range(6):
        keeper._outage._next_try = 0.0
        keeper.check()
    assert [left["seq"] for left in kept(store) if left["plate"]] == []


def test_a_picture_that_cannot_be_deleted_stops_neither_rule(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    album, now = Album(store.path), time.time()
    ids = [stored_at(now - age_days * DAY_S) for age_days in (9, 8, 6)]
    for seq, id_ in enumerate(ids, 1):
        store.append(event(seq, id=id_))
    file = album.folder / album.add(ids[0], b"", hidden=False).file
    file.unlink()
    file.mkdir()
    sent(store)
    keeper = retention(store, events_days=7, unknown="drop")
    for later_days, left in ((0, [1, 3]), (2, [1])):
        monkeypatch.setattr(time, "time", lambda days=later_days: now + days * DAY_S)
        for _ in range(3):
            keeper._outage._next_try = 0.0
            keeper.check()
        assert seqs(store) == left


def test_what_is_old_is_looked_for_in_an_index(store: EventStore) -> None:
    ids = {"not_before": first_id(time.time()), "set": first_id(1.7e9), "unset": True}
    ids |= {"after": "", "batch": 9}
    with store.locked() as db:
        plan = " ".join(row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {OLD}", ids))
    assert "USING INDEX sqlite_autoindex_event_1 (id>? AND id<?)" in plan
    assert "event_synced" in plan
    assert plan.count("SCAN") <= 1


# on demand


def with_plate(seq: int, plate: str, **changes: Any) -> PlateEvent:
    texts = {"plate": plate, "plate_raw": plate, "plate_display": f"{plate[:2]} {plate[2:]}"}
    return event(seq, candidates=(Candidate(plate, 1.0),), **(texts | changes))


@pytest.fixture
def history(store: EventStore) -> EventStore:
    """Two days of two vehicles and many others; half of it was sent."""
    for seq in range(1, 201):
        day = timedelta(days=seq // 101)
        plate = {3: "AB12CDE", 150: "AB12CDE", 5: "XY99ZZZ"}.get(seq, f"QQ{seq:04}")
        store.append(
            with_plate(seq, plate, first_seen=NOON + day, pass_id=SEEN.pass_id[:-4] + f"{seq:04x}")
        )
    store.acknowledge([outgoing.id for outgoing in store.pending(100)])
    return store


def purging(store: EventStore) -> Purge:
    return Purge(store.path)


def test_a_purged_plate_is_in_no_byte_of_the_folder(history: EventStore, tmp_path: Path) -> None:
    assert on_disk(tmp_path, "AB12CDE")
    purged = purging(history).plate("ab-12 cde")
    assert (purged.events, purged.unsent) == (2, 1)
    assert on_disk(tmp_path, "AB12CDE") == on_disk(tmp_path, "AB 12CDE") == []
    assert on_disk(tmp_path, "XY99ZZZ") == ["events.sqlite3"]
    assert history.counts().events == 198
    assert history.counts().outbox == 99


def test_a_purged_plate_takes_along_every_event_of_its_pass_and_every_trace(
    store: EventStore, tmp_path: Path
) -> None:
    passes = [SEEN.pass_id[:-1] + digit for digit in "1234"]
    store.append(with_plate(1, "AB12CDE", pass_id=passes[0]))
    store.append(with_plate(2, "A812CDE", pass_id=passes[0], corrected=True))
    store.append(with_plate(3, "A812CDE", plate_raw="AB12CDE", pass_id=passes[1]))
    store.append(
        with_plate(4, "A812CDE", list=ListMatch("AB 12 CDE", "deny", 1), pass_id=passes[2])
    )
    store.append(with_plate(5, "AB12CD", pass_id=passes[3]))
    with closing(Queues(store.path, ["webhook"])) as queues:
        store.append(with_plate(6, "AB12CDE", pass_id=passes[1]))
        assert purging(store).plate("AB12CDE").events == 5
        assert queues.first("webhook") is None
    assert seqs(store) == [5]
    assert on_disk(tmp_path, "AB12CDE") == on_disk(tmp_path, "AB 12 CDE") == []
    assert store.last_seen() == {}


def test_a_plate_is_purged_by_its_hash(store: EventStore) -> None:
    for seq, plate in enumerate(["AB12CDE", "XY99ZZZ"], 1):
        store.append(with_plate(seq, plate, pass_id=SEEN.pass_id[:-1] + str(seq)))
    sent(store)
    retention(store, unknown="hash").finish()
    assert purging(store).plate("AB12CDE").events == 1
    assert seqs(store) == [2]


def test_what_was_seen_before_a_date_is_purged(history: EventStore, tmp_path: Path) -> None:
    purged = purging(history).before(NOON + timedelta(hours=1))
    assert (purged.events, purged.unsent) == (100, 0)
    assert on_disk(tmp_path, "XY99ZZZ") == on_disk(tmp_path, "QQ0080") == []
    assert on_disk(tmp_path, "QQ0120") == ["events.sqlite3"]


def test_all_is_purged_and_numbers_go_on(history: EventStore, tmp_path: Path) -> None:
    aside = tmp_path / "events.sqlite3.corrupt"
    aside.write_text("AB12CDE")
    purged = purging(history).all()
    assert (purged.events, purged.files) == (200, (aside,))
    for text in ("AB12CDE", "AB 12CDE", "QQ0", "QQ 0"):
        assert on_disk(tmp_path, text) == []
    assert (tmp_path / "events.sqlite3").stat().st_size < 200_000
    with closing(EventStore(history.path)) as again:
        assert again.next_seq() == 201


def test_a_store_in_use_goes_on_and_loses_nothing_that_comes_later(
    history: EventStore, tmp_path: Path
) -> None:
    stop, written = threading.Event(), []

    def write() -> None:
        for seq in range(2000, 100_000):
            with suppress(StoreError):  # as the backlog, which tries again
                history.append(with_plate(seq, f"NN{seq}"))
                written.append(seq)
            if stop.wait(0.001):
                return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert purging(history).plate("AB12CDE").events == 2
    finally:
        stop.set()
        writer.join()
    assert on_disk(tmp_path, "AB12CDE") == []
    assert [seq for seq in seqs(history) if seq >= 2000] == written
    assert history.counts().events == 198 + len(written)


def test_a_queue_does_not_take_a_later_event_for_the_one_that_was_purged(
    store: EventStore,
) -> None:
    with closing(Queues(store.path, ["webhook"])) as queues:
        store.append(with_plate(1, "AB12CDE"))
        delivered = queues.first("webhook")
        assert delivered is not None
        purging(store).all()
        append(store, 2)
        later = queues.first("webhook")
        assert later is not None
        assert later.position == delivered.position
        queues.remove("webhook", delivered)
        assert queues.first("webhook") == later


def test_what_a_reader_keeps_in_the_log_is_said(history: EventStore, monkeypatch) -> None:
    monkeypatch.setattr("plateid.store.purge.BUSY_S", 0.05)
    with closing(sqlite3.connect(history.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM event").fetchone()
        with pytest.raises(StoreError, match="deleted, but still in the log"):
            purging(history).all()
    assert purging(history).all().events == 0


# the command


def command(config: Path, *options: str) -> subprocess.CompletedProcess[str]:
    line = [*PLATEID, "events", "purge", "-c", str(config), *options]
    return subprocess.run(line, capture_output=True, text=True, check=False)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "plateid.toml"
    file.write_text(
        'logfile.csv = "log.csv"\nstore.path = "events.sqlite3"\n'
        '[[camera]]\nname = "gate"\nurl = "rtsp://camera.local/"\n'
    )
    return file


def test_the_command_says_what_is_gone_and_what_it_left_alone(
    history: EventStore, config: Path, tmp_path: Path
) -> None:
    (tmp_path / "log.csv").touch()
    done = command(config, "--plate", "AB12CDE")
    assert (done.returncode, done.stderr) == (0, "")
    first, log_file = done.stdout.splitlines()
    assert first == "2 events deleted, 1 of them before they were sent"
    assert log_file == f"{tmp_path / 'log.csv'} is left alone"
    assert on_disk(tmp_path, "AB12CDE") == []
    local = (NOON + timedelta(hours=1)).astimezone().strftime("%Y-%m-%dT%H:%M")
    assert command(config, "--before", local).stdout.startswith("99 events deleted, 0 of")
    assert command(config, "--all").stdout.startswith("99 events deleted, 99 of")
    assert history.counts().events == 0


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ([], "give one of --before, --plate and --all"),
        (["--all", "--plate", "A"], "give one of"),
        (["--plate", " - "], "is not of the letters A to Z and digits"),
        (["--plate", "ЯB"], "is not of the letters A to Z and digits"),
        (["--before", "yesterday"], "does not match the formats"),
    ],
)
def test_a_choice_that_is_none_is_refused(config: Path, options: list[str], reason: str) -> None:
    done = command(config, *options)
    assert done.returncode == 2
    assert reason in " ".join(done.stderr.split())


def test_where_there_is_no_store_none_is_made(config: Path, tmp_path: Path) -> None:
    done = command(config, "--all")
    assert (done.returncode, done.stderr) == (1, f"{tmp_path / 'events.sqlite3'}: does not exist\n")
    assert not (tmp_path / "events.sqlite3").exists()
