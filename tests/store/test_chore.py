"""Periodic work: in steps, and again later if it fails."""

import time

from plateid import backoff
from plateid.backoff import Chore
from plateid.errors import StoreError
from tests.support.samples import said


def test_long_work_is_done_in_steps_and_again_after_the_interval(monkeypatch):
    monkeypatch.setattr(backoff, "STEP_S", 0.0)
    done = []

    def steps():
        for number in range(3):
            done.append(number)
            yield

    periodic = Chore("work", steps, interval_s=60.0)
    for count in (1, 2, 3, 3, 3):
        periodic.check()
        assert done == [0, 1, 2][:count]
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 60)
    periodic.check()
    assert done == [0, 1, 2, 0]


def test_work_that_fails_is_an_outage_and_starts_anew(logs):
    failures = [StoreError("events.sqlite3", "locked")]

    def steps():
        yield
        if failures:
            raise failures.pop()

    periodic = Chore("work", steps, interval_s=60.0)
    periodic.check()
    assert said(logs, "outage starts") == ["events.sqlite3: locked"]
    periodic._outage._next_try = 0.0
    periodic.check()
    assert len(said(logs, "outage ends")) == 1
