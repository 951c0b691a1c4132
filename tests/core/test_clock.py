"""A clock that no step of the system clock changes."""

from datetime import timedelta

import pytest

from plateid.core.clock import MIN_STEP, SteadyClock
from tests.pipeline.road import START

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Times:
    """A system clock that is set by `step`, and the time since boot."""

    def __init__(self) -> None:
        self.step, self.pause, self.since_boot = timedelta(), timedelta(), HOUR
        self.clock = SteadyClock(lambda: START + self.since_boot + self.step, self._uptime)

    def _uptime(self) -> timedelta:
        self.since_boot += self.pause
        return self.since_boot


@pytest.mark.parametrize("step", [-7300 * DAY, -2 * HOUR, MIN_STEP * 2, 400 * DAY])
def test_step_of_the_system_clock_does_not_change_steady_time(step):
    times = Times()
    times.since_boot += HOUR
    assert (times.clock.now(), times.clock.step()) == (START + 2 * HOUR, timedelta())
    times.step = step
    assert (times.clock.now(), times.clock.step()) == (START + 2 * HOUR, step)


def test_step_stays_the_same_when_reading_the_clocks_takes_long():
    times = Times()
    times.pause = 2 * MIN_STEP
    assert times.clock.step() == timedelta()


def test_jump_ahead_is_trusted_once_it_has_lasted_a_day():
    times = Times()
    trusted = []
    for step in (0 * DAY, 1 * HOUR, 400 * DAY, -7300 * DAY, 400 * DAY, 400 * DAY, 400 * DAY):
        times.step = step
        trusted.append(times.clock.is_trusted())
        times.since_boot += DAY / 2
    assert trusted == [True, True, False, True, False, False, True]
