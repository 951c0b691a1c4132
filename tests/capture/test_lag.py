from fractions import Fraction
from types import SimpleNamespace

import pytest

from plateid.capture.lag import Lag

FPS, GOP = 10, 20


class Camera:
    """Packets by its clock, and the time at which each arrives."""

    def __init__(self, *, gop: int = GOP) -> None:
        self.now = 0.0
        self.lag = Lag(lambda: self.now)
        self.sent = 0
        self.gop = gop

    def skips(self, at_s: float, *, pts_s: float | None = None) -> bool:
        """Whether the next packet is passed over, which is taken at this time."""
        self.now = at_s
        seconds = self.sent / FPS if pts_s is None else pts_s
        key = bool(self.gop) and self.sent % self.gop == 0
        self.sent += 1
        ticks = round(90_000 * seconds)
        packet = SimpleNamespace(
            pts=ticks, dts=ticks, time_base=Fraction(1, 90_000), is_keyframe=key
        )
        return self.lag.is_to_skip(packet)


def test_what_comes_in_time_is_taken_for_hours_though_clocks_part():
    camera = Camera()
    assert not any(camera.skips(1.0002 * n / FPS) for n in range(5 * 3600 * FPS))


def test_after_a_pause_all_that_waited_is_passed_over_up_to_a_key_frame():
    camera = Camera()
    assert not any(camera.skips(n / FPS) for n in range(100))
    took = [camera.skips(20 + n / 1000) for n in range(100)]  # what was sent meanwhile
    assert all(took)
    took = [camera.skips(20.1 + n / FPS) for n in range(60)]
    assert took == [False] * 60, "the first of them is a key frame"


def test_a_pause_that_is_short_is_caught_up_with_by_decoding():
    camera = Camera()
    assert not any(camera.skips(n / FPS) for n in range(100))
    assert not any(camera.skips(11 + n / 1000) for n in range(10))


@pytest.mark.parametrize("back_s", [-3600, 3600])
def test_a_clock_of_the_camera_that_is_set_costs_two_seconds_at_most(back_s):
    camera = Camera()
    assert not any(camera.skips(n / FPS) for n in range(100))
    took = [camera.skips(n / FPS, pts_s=n / FPS - back_s) for n in range(100, 200)]
    assert sum(took) <= (4 if back_s > 0 else 0) * FPS
    assert not any(took[50:])


def test_a_camera_without_key_frames_is_not_waited_for_for_ever():
    camera = Camera(gop=0)
    assert not any(camera.skips(n / FPS) for n in range(100))
    assert all(camera.skips(20 + n / 1000) for n in range(100))
    took = [camera.skips(20.1 + n / FPS) for n in range(200)]
    assert took[:98] == [True] * 98
    assert took[100:] == [False] * 100
