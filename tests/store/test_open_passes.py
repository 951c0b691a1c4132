"""Passes from before a restart whose vehicles may still be there."""

import json
import time

import pytest

from plateid.config.storage import PrivacyConfig, RetentionConfig
from plateid.core.ids import first_id
from plateid.core.records import ListMatch
from plateid.pipeline.passes import Pass
from plateid.store.open_passes import LEFT_S, open_passes, store_stopped_passes
from plateid.store.privacy import Privacy
from plateid.store.retention import Retention
from tests.support.samples import NOON, SEEN, append, event, outbox_of, said


def stop(store, passes, ago_s=0):
    """Stores the passes of a stop, `ago_s` seconds ago."""
    store_stopped_passes(store, passes)
    store.rows("UPDATE stopped_pass SET stopped = ?", first_id(time.time() - ago_s))


def test_open_passes_are_those_without_plate_left_or_ended_by_a_recent_stop(store):
    for seq, (pass_id, event_type, camera) in enumerate(
        [
            ("gone", "plate_left", "gate"),
            ("open", "plate_seen", "gate"),
            ("over", "plate_seen", "gate"),
            ("over", "plate_left", "gate"),
            ("other", "plate_seen", "yard"),
        ]
    ):
        append(store, seq, pass_id=pass_id, event_type=event_type, camera=camera)
    stop(store, ["over", "unknown"])
    before = open_passes(store)
    passes = {
        camera: [Pass.restored(event, SEEN.last_seen) for event in events]
        for camera, events in before.items()
    }
    assert {camera: [(p.id, p.is_over) for p in found] for camera, found in passes.items()} == {
        "gate": [("open", False), ("over", True)],
        "yard": [("other", False)],
    }
    stop(store, ["gone", "over"], ago_s=LEFT_S - 9)
    assert [event.pass_id for event in open_passes(store)["gate"]] == ["gone", "open", "over"]
    for standing in (["over"], []):
        stop(store, standing, ago_s=LEFT_S + 9)
        assert [event.pass_id for event in open_passes(store)["gate"]] == ["open"]
    vehicle = passes["gate"][0]
    assert abs(vehicle.first_seen - NOON).total_seconds() < 0.001
    assert vehicle.box == pytest.approx(SEEN.box, abs=1e-3)
    assert vehicle.published is not None
    assert (vehicle.published.plate, vehicle.published.candidates) == ("B68SPK", SEEN.candidates)


def test_store_that_cannot_be_written_opens_recent_passes_only(store):
    for seq, ago_s in enumerate([LEFT_S + 9, LEFT_S - 9]):
        append(store, seq, id=first_id(time.time() - ago_s), pass_id=f"p{seq}")
    assert [event.pass_id for event in open_passes(store)["gate"]] == ["p0", "p1"]
    recent = open_passes(store, only_recent=True)["gate"]
    assert [event.pass_id for event in recent] == ["p1"]


def test_clock_that_is_behind_opens_recent_passes_only(store, monkeypatch):
    monkeypatch.setattr("plateid.store.open_passes.MAX_EVENTS", 3)
    for seq in range(1, 9):
        append(store, seq, pass_id=f"p{seq}", event_type="plate_left")
    stop(store, [f"p{seq}" for seq in range(1, 9)], ago_s=-1e9)
    assert [event.pass_id for event in open_passes(store)["gate"]] == ["p6", "p7", "p8"]


@pytest.mark.parametrize("event_type", ["plate_seen", "plate_left"])
@pytest.mark.parametrize("kept", ["keep", "hash", "drop"])
def test_redacted_pass_is_open_only_without_plate_left(store, kept, event_type):
    known = kept == "keep" or event_type == "plate_seen"
    append(store, 1, list=ListMatch("Ana", "allow", 0), event_type=event_type)
    store_stopped_passes(store, [SEEN.pass_id])
    outbox_of(store).remove([id_ for (id_,) in store.rows("SELECT id FROM event")])
    config = PrivacyConfig(unlisted="hash", listed=kept)
    Retention(RetentionConfig(), store, Privacy(config, store.path)).check()
    assert store.rows("SELECT policy_applied FROM event") == [(1,)]
    assert len(open_passes(store)) == known


@pytest.mark.parametrize("payload", ["{}", "half", json.dumps({"camera": 1, "plate": "CJ12ABC"})])
def test_damaged_event_is_logged_without_its_plate_and_others_are_read(store, payload, logs):
    append(store, 1, 2)
    with store.transaction() as db:
        change = "UPDATE event SET payload = ?, pass_id = 'other' WHERE position = 1"
        db.execute(change, (payload,))
    assert [event.pass_id for event in open_passes(store)["gate"]] == [SEEN.pass_id]
    (reason,) = said(logs, "pass before the start not known")
    assert "CJ12ABC" not in reason


def test_store_that_cannot_be_read_is_logged(store, logs):
    store.append(event(1))
    store.close()
    assert open_passes(store) == {}
    assert said(logs, "passes before the start not known")
