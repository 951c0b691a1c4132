import time
import uuid
from datetime import datetime, timedelta, timezone

from plateid.core.ids import uuid7
from plateid.core.records import rfc3339


def test_times_are_published_in_utc_with_milliseconds():
    local = datetime(2026, 11, 24, 12, 0, 1, 234567, timezone(timedelta(hours=2)))
    assert rfc3339(local) == "2026-11-24T10:00:01.234Z"


def test_identifiers_are_version_7_sort_by_time_and_never_repeat():
    before = time.time_ns() // 1_000_000
    made = [uuid7() for _ in range(2000)]
    after = time.time_ns() // 1_000_000
    assert len(set(made)) == len(made)
    for each in made:
        parsed = uuid.UUID(each)
        assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
        assert before <= parsed.int >> 80 <= after
