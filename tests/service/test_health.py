"""Tests of the health report."""

import json
import shutil
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from plateid import __version__
from plateid.core.records import ListMatch
from plateid.service import health_report
from plateid.store.backlog import Backlog
from plateid.store.event_store import EventStore
from tests.support.broken_disk import damaged, full_disk
from tests.support.broker import Broker, Subscriber, until
from tests.support.samples import NOON, Publish, append, event, make_health, outbox_of


def report(made: health_report.HealthReporter) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(made.to_json())
    return fields


def test_report_has_cameras_bundle_clock_and_disk(store: EventStore) -> None:
    found = report(make_health(store, cameras=["gate"], clock_synced=None))
    assert found["cameras"] == {
        "gate": {
            "online": True,
            "frames": 10,
            "dropped": 1,
            "skipped": 2,
            "unpublished": 3,
            "failure": None,
            "decoder": "software",
            "read_from": None,
            "reads_per_minute": 0,
            "events": {"plate_seen": 0, "plate_left": 0},
        }
    }
    assert (found["version"], found["bundle"], found["clock_synced"]) == (__version__, "tiny", None)
    assert found["disk_free_mb"] == pytest.approx(
        shutil.disk_usage(store.path.parent).free / 1e6, rel=0.1
    )
    assert (found["unstored"], found["lost"], found["stores_replaced"]) == (0, 0, 0)


def test_report_has_number_and_age_of_waiting_events(store: EventStore) -> None:
    append(store, 1, 2)
    store.rows("UPDATE delivery SET queued_at = ? WHERE position = 1", time.time() - 100)
    outbox = report(make_health(store))["outbox"]
    assert outbox["oldest_s"] == pytest.approx(100, abs=2)
    assert (outbox["events"], outbox["dropped"]) == (2, 0)


def test_report_has_number_of_dropped_events(store: EventStore) -> None:
    outbox = outbox_of(store, outbox_events=2)
    append(store, 1, 2, 3, 4, 5)
    outbox.trim()
    assert report(make_health(store, outbox=outbox))["outbox"]["dropped"] == 3


def test_report_has_unstored_and_lost_events_of_a_full_disk(store: EventStore) -> None:
    backlog = Backlog(store, capacity=2)
    made = make_health(store, backlog=backlog)
    with full_disk():
        for seq in range(1, 4):
            backlog.accept(event(seq))
        found = report(made)
    assert (found["unstored"], found["lost"]) == (2, 1)


def test_report_has_number_of_replaced_stores(tmp_path: Path) -> None:
    damaged(tmp_path / "events.sqlite3", "header")
    with closing(EventStore(tmp_path / "events.sqlite3", service=True)) as store:
        assert report(make_health(store))["stores_replaced"] == 1


def test_report_lacks_only_stored_values_if_the_store_fails(store: EventStore) -> None:
    made = make_health(store, listed=["Ana"])
    store.close()
    found = report(made)
    assert found["outbox"] == {"events": None, "oldest_s": None, "dropped": 0}
    assert found["last_seen"] == {"Ana": None}
    assert found["cameras"]


def test_report_has_last_pass_of_each_list_entry(store: EventStore) -> None:
    for seq, name in enumerate(["Ana", "Bob", "Ana"], 1):
        at = NOON.replace(hour=seq)
        store.append(event(seq, list=ListMatch(name, "allow", 0), last_seen=at))
    found = report(make_health(store, listed=["Ana", "Zoe"]))
    assert found["last_seen"] == {"Ana": "2026-11-24T03:00:00.123Z", "Zoe": None}


def test_events_are_counted_by_camera_and_within_a_minute(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    counter = make_health(store).events
    assert counter.confidence is None
    for seq in range(3):
        counter.count(event(seq))
    counter.count(event(4, event_type="plate_left", confidence=0.8))
    counter.count(event(5, camera="yard"))
    assert [counter.per_minute(name) for name in ("gate", "yard", "x")] == [3, 1, 0]
    assert counter.events("gate") == {"plate_seen": 3, "plate_left": 1}
    assert counter.confidence == 0.8
    monkeypatch.setattr(time, "monotonic", lambda: now + 61)
    assert counter.per_minute("gate") == 0


def test_temperature_is_that_of_the_hottest_readable_zone(tmp_path: Path) -> None:
    assert health_report.temperature_c(tmp_path) is None
    for zone, text in enumerate(["45250\n", "61700\n", ""]):
        (tmp_path / f"thermal_zone{zone}").mkdir()
        (tmp_path / f"thermal_zone{zone}" / "temp").write_text(text)
    assert health_report.temperature_c(tmp_path) == 61.7


def test_report_is_published_at_start_and_on_request(
    store: EventStore, subscriber: Subscriber, broker: Broker, publish: Publish
) -> None:
    publisher = publish(broker.config, health=make_health(store).to_json)
    until(lambda: len(subscriber.texts("/health")) == 1)
    publisher.report()
    until(lambda: len(subscriber.texts("/health")) == 2)
    (first, _) = subscriber.events("/health")
    assert first["bundle"] == "tiny"
    assert not any(message.retain for message in subscriber.of("/health"))
