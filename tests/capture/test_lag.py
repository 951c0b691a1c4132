from itertools import pairwise
from types import SimpleNamespace

import pytest

from plateid.backoff import Backoff, Outage
from plateid.capture.lag import Lag

FPS, GOP = 10, 20


class Camera:
    """Packets by its clock, and a box that takes them when it has time."""

    def __init__(self, *, gop: int = GOP) -> None:
        self.now = 0.0
        self.lag = Lag(1 / 90_000, Outage("decoding", Backoff()), lambda: self.now)
        self.sent = 0
        self.gop = gop

    def skips(self, at_s: float, *, pts_s: float | None = None) -> bool:
        """Whether the next packet is passed over, which is taken at this time."""
        self.now = at_s
        ticks = round(90_000 * (self.sent / FPS if pts_s is None else pts_s))
        key = bool(self.gop) and self.sent % self.gop == 0
        self.sent += 1
        return self.lag.is_to_skip(SimpleNamespace(pts=ticks, dts=ticks, is_keyframe=key))

    def watched(self, decoding_s: float, *, until_s: float) -> list[tuple[float, bool]]:
        """How late each packet is taken, and whether it is passed over."""
        took, now = [], 0.0
        while now < until_s:
            now = max(now, self.sent / FPS)
            late_s = now - self.sent / FPS
            took.append((late_s, self.skips(now)))
            now += 0.001 if took[-1][1] else decoding_s
        return took


@pytest.mark.parametrize("pace", [0.9995, 1, 1.0005])
def test_what_comes_in_time_is_taken_for_hours_though_clocks_part(pace, logs):
    camera = Camera()
    assert not any(camera.skips(pace * n / FPS) for n in range(5 * 3600 * FPS))
    assert logs == []


@pytest.mark.parametrize("decoding_s", [0.101, 0.12, 0.5])
def test_who_decodes_more_slowly_than_the_camera_films_sees_it_in_time(decoding_s, logs):
    took = Camera().watched(decoding_s, until_s=1000)
    assert max(late_s for late_s, _ in took) < 4
    for number, ((_, before), (_, skipped)) in enumerate(pairwise(took), 1):
        assert number % GOP == 0 or skipped or not before, "goes on with a key frame"
    assert logs[0]["event"] == "outage starts"


def test_who_has_time_again_is_not_behind_any_more(logs):
    camera = Camera()
    camera.watched(0.2, until_s=20)
    camera.watched(0.01, until_s=200)
    assert [entry["event"] for entry in logs] == ["outage starts", "outage ends"]


@pytest.mark.parametrize("pause_s", [1, 2, 9])
def test_what_a_pause_of_the_network_held_back_is_decoded(pause_s, logs):
    camera = Camera()
    assert not any(camera.skips(n / FPS) for n in range(100))
    held_back = pause_s * FPS
    assert not any(camera.skips(10 + pause_s + n * 0.01) for n in range(held_back))
    assert not any(camera.skips(camera.sent / FPS + 0.1 * pause_s) for n in range(100))
    assert logs == []


@pytest.mark.parametrize("back_s", [-3600, 3600])
def test_a_clock_of_the_camera_that_is_set_costs_seconds_at_most(back_s):
    camera = Camera()
    assert not any(camera.skips(n / FPS) for n in range(100))
    took = [camera.skips(n / FPS, pts_s=n / FPS - back_s) for n in range(100, 200)]
    assert (sum(took) > 0) == (back_s > 0)
    assert not any(took[60:])


def test_a_camera_without_key_frames_is_not_waited_for_for_ever():
    camera = Camera(gop=0)
    took = camera.watched(0.2, until_s=60)
    skipped = [skipped for _, skipped in took]
    assert 20 < sum(skipped) < 500
    assert max(late_s for late_s, _ in took) < 4
