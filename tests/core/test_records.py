import time
import uuid
from datetime import datetime, timedelta, timezone

import pytest

from plateid.core import ids
from plateid.core.ids import uuid7
from plateid.core.reading import Reading
from plateid.core.records import Candidate, Detection, Region, rfc3339


def test_time_is_formatted_in_utc_with_milliseconds():
    local = datetime(2026, 11, 24, 12, 0, 1, 234567, timezone(timedelta(hours=2)))
    assert rfc3339(local) == "2026-11-24T10:00:01.234Z"


def test_uuid7_has_version_7_and_sorts_by_time():
    before = time.time_ns() // 1_000_000
    made = [uuid7() for _ in range(2000)]
    after = time.time_ns() // 1_000_000
    assert made == sorted(set(made))
    for each in made:
        parsed = uuid.UUID(each)
        assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
        assert before <= parsed.int >> 80 <= after


@pytest.mark.parametrize("days", [-7300, 0, 400])
def test_uuid7_sorts_by_creation_when_the_clock_is_set_back(monkeypatch, days):
    monkeypatch.setattr(ids, "_last", 0)
    now, made = time.time_ns(), []
    for moment in (now, now + days * 86_400 * 10**9, now):
        monkeypatch.setattr(time, "time_ns", lambda moment=moment: moment)
        made += [uuid7() for _ in range(20)]
    assert made == sorted(set(made))
    assert {uuid.UUID(each).version for each in made} == {7}


def test_plate_gives_what_read_json_prints():
    candidate, region = Candidate("B68SPK", 0.98), Region("ro", 0.9)
    reading = Reading("B68SPK", "B68SPK", 0.98, (0.99999,), (candidate,), region)
    plate = reading.to_plate(Detection((562.14, 413.6, 649.1, 436.2), 0.91))
    assert list(plate.to_dict().items()) == [
        ("plate", "B68SPK"),
        ("confidence", 0.98),
        ("char_confidences", [1.0]),
        ("candidates", [{"plate": "B68SPK", "confidence": 0.98}]),
        ("box", [562.1, 413.6, 649.1, 436.2]),
        ("detection_confidence", 0.91),
        ("region", {"code": "ro", "confidence": 0.9}),
    ]
