"""Published events match `plate-event.v1.json`."""

import json
from dataclasses import fields, replace
from datetime import datetime, timedelta, timezone
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import (  # type: ignore[import-untyped]
    Draft202012Validator,
    FormatChecker,
    ValidationError,
)

from plateid.core.ids import uuid7
from plateid.core.records import Candidate, ModelNames, PathPoint, PlateEvent, Region
from tests.support.samples import NOON, SEEN

SCHEMA = json.loads(files("plateid.core").joinpath("schema/plate-event.v1.json").read_text())


def _is_time(value: object) -> bool:
    """Replaces the date-time check of jsonschema, which needs another package."""
    return not isinstance(value, str) or bool(datetime.fromisoformat(value))


FORMATS = FormatChecker(["uuid"])
FORMATS.checks("date-time", raises=ValueError)(_is_time)
VALIDATOR = Draft202012Validator(SCHEMA, format_checker=FORMATS)

plates = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", max_size=10)
names = st.from_regex(r"\A[a-zA-Z0-9_-]{1,64}\Z")
probabilities = st.floats(0, 1)
times = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.timezones())  # noqa: DTZ001
numbers = st.floats(-1e5, 1e5)
boxes = st.tuples(numbers, numbers, numbers, numbers)
events = st.builds(
    PlateEvent,
    event_type=st.sampled_from(["plate_seen", "plate_left"]),
    id=st.builds(uuid7),
    pass_id=st.builds(uuid7),
    device=names,
    camera=names,
    seq=st.integers(0, 2**63 - 1),
    plate=plates,
    plate_raw=plates,
    plate_display=st.text(),
    confidence=probabilities,
    char_confidences=st.lists(probabilities).map(tuple),
    candidates=st.lists(st.builds(Candidate, plates, probabilities), max_size=5).map(tuple),
    reads=st.integers(1, 10**6),
    agreeing_reads=st.integers(0, 10**6),
    region=st.none() | st.builds(Region, st.sampled_from(["ro", "gb", "us"]), probabilities),
    first_seen=times,
    last_seen=times,
    box=boxes,
    path=st.lists(st.builds(PathPoint, st.floats(0, 1e6), boxes), max_size=5).map(tuple),
    dwell_s=st.floats(0, 1e6),
    model=st.builds(ModelNames, st.text(), st.text(), st.text()),
    corrected=st.booleans(),
    sent_at=st.none() | times,
    clock_synced=st.none() | st.booleans(),
    parked=st.booleans(),
    replayed=st.booleans(),
)


def test_schema_is_valid() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_schema_describes_and_requires_every_field_of_the_event() -> None:
    assert set(SCHEMA["properties"]) == {field.name for field in fields(PlateEvent)}
    assert set(SCHEMA["required"]) == set(SCHEMA["properties"])
    assert all(entry["description"] for entry in SCHEMA["properties"].values())


@given(events)
def test_every_event_is_valid(event: PlateEvent) -> None:
    VALIDATOR.validate(json.loads(event.to_json()))


@pytest.mark.parametrize("event_type", ["plate_seen", "plate_left"])
def test_both_event_types_are_valid_once_sent(event_type: Any) -> None:
    sent = replace(SEEN, event_type=event_type, sent_at=NOON, replayed=True)
    VALIDATOR.validate(json.loads(sent.to_json()))


@pytest.mark.parametrize(
    "change",
    [
        {"event_type": "plate"},
        {"schema": "plate-event.v2"},
        {"id": "01939d2c-1a2b-4c3d-8e4f-5a6b7c8d9e0f"},
        {"pass_id": None},
        {"device": "a/b"},
        {"seq": -1},
        {"plate": "B 68 SPK"},
        {"confidence": 1.01},
        {"char_confidences": None},
        {"candidates": [{"plate": "B68SPK"}]},
        {"region": "ro"},
        {"first_seen": "2026-11-24T12:00:00.123+01:00"},
        {"first_seen": "2026-11-24T12:00:00Z"},
        {"last_seen": "2026-13-24T12:00:00.123Z"},
        {"sent_at": 1},
        {"box": [1, 2, 3]},
        {"direction": "in"},
        {"list": {"name": "Ana", "kind": "allow"}},
        {"snapshot": "a.jpg"},
        {"replayed": None},
        {"colour": "red"},
    ],
)
def test_changed_event_is_invalid(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        VALIDATOR.validate(json.loads(SEEN.to_json()) | change)


@pytest.mark.parametrize(
    "change",
    [
        {"list": {"name": "Ana", "kind": "allow", "distance": 1}},
        {"gps": {"lat": 44.43, "lon": 26.1}},
        {"direction": {"way": "in", "degrees": 181.5}},
        {"snapshot": {"file": "01939d2c.jpg", "sha256": "0f" * 32}},
        {"snapshot": {"file": "01939d2c.jpg", "sha256": "0f" * 32, "frame": [1920, 1080]}},
    ],
)
def test_optional_objects_are_valid(change: dict[str, Any]) -> None:
    VALIDATOR.validate(json.loads(SEEN.to_json()) | change)


def test_times_are_converted_to_utc() -> None:
    local = replace(SEEN, first_seen=NOON.astimezone(timezone(timedelta(hours=2))))
    assert json.loads(local.to_json())["first_seen"] == "2026-11-24T12:00:00.123Z"
