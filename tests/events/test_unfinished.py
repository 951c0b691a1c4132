import json

import pytest

from plateid.events.store import EventStore
from plateid.events.unfinished import unfinished_passes
from tests.events.samples import NOON, SEEN, Logs, append, event, said


def test_passes_that_have_not_left_are_as_they_were_told(store):
    for seq, (pass_id, event_type, camera) in enumerate(
        [
            ("open", "plate_seen", "gate"),
            ("over", "plate_seen", "gate"),
            ("over", "plate_left", "gate"),
            ("other", "plate_seen", "yard"),
        ]
    ):
        append(store, seq, pass_id=pass_id, event_type=event_type, camera=camera)
    passes = unfinished_passes(store)
    assert {camera: [p.id for p in found] for camera, found in passes.items()} == {
        "gate": ["open"],
        "yard": ["other"],
    }
    (vehicle,) = passes["gate"]
    assert (vehicle.first_seen.replace(microsecond=0), vehicle.box) == (
        NOON.replace(microsecond=0),
        pytest.approx(SEEN.box, abs=1e-3),
    )
    assert vehicle.announced is not None
    assert vehicle.announced.plate == "B68SPK"
    assert vehicle.announced.candidates == SEEN.candidates
    assert vehicle.resumed


def test_what_privacy_has_treated_is_no_longer_known(store):
    append(store, 1)
    with store.transaction() as db:
        db.execute("UPDATE event SET treated = 1")
    assert unfinished_passes(store) == {}


@pytest.mark.parametrize("payload", ["{}", "half", json.dumps({"camera": 1})])
def test_what_is_no_event_is_logged_and_the_service_starts(store, payload, logs: Logs):
    append(store, 1)
    with store.transaction() as db:
        db.execute("UPDATE event SET payload = ?", (payload,))
    assert unfinished_passes(store) == {}
    assert said(logs, "passes before the start not known")


def test_a_store_that_cannot_be_read_is_logged_and_the_service_starts(store: EventStore, logs):
    store.append(event(1))
    store.close()
    assert unfinished_passes(store) == {}
    assert said(logs, "passes before the start not known")
