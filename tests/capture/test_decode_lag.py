from itertools import pairwise
from types import SimpleNamespace

import pytest

from plateid.backoff import Backoff, Outage
from plateid.capture.stream import DecodeLag

FPS, GOP = 10, 20


class Camera:
    """A camera with its own clock, and a decoder that takes packets when it has time."""

    def __init__(self, *, gop: int = GOP) -> None:
        self.now = 0.0
        self.lag = DecodeLag(1 / 90_000, Outage("decoding", Backoff()), lambda: self.now)
        self.sent = 0
        self.gop = gop

    def skips(self, at_s: float, *, pts_s: float | None = None) -> bool:
        """Returns whether the next packet, taken at this time, is skipped."""
        self.now = at_s
        ticks = round(90_000 * (self.sent / FPS if pts_s is None else pts_s))
        key = bool(self.gop) and self.sent % self.gop == 0
        self.sent += 1
        return self.lag.should_skip(SimpleNamespace(pts=ticks, dts=ticks, is_keyframe=key))

    def watched(self, decoding_s: float, *, until_s: float) -> list[tuple[float, bool]]:
        """Returns how late each packet is taken, and whether it is skipped."""
        took, now = [], 0.0
        while now < until_s:
            now = max(now, self.sent / FPS)
            late_s = now - self.sent / FPS
            took.append((late_s, self.skips(now)))
            now += 0.001 if took[-1][1] else decoding_s
        return took


@pytest.mark.parametrize("pace", [0.9995, 1, 1.0005])
def test_punctual_packets_are_never_skipped_despite_clock_drift(pace, logs):
    camera = Camera()
    assert not any(camera.skips(pace * n / FPS) for n in range(5 * 3600 * FPS))
    assert logs == []


@pytest.mark.parametrize("decoding_s", [0.101, 0.12, 0.5])
def test_slow_decoder_skips_packets_and_stays_current(decoding_s, logs):
    took = Camera().watched(decoding_s, until_s=1000)
    assert max(late_s for late_s, _ in took) < 4
    for number, ((_, before), (_, skipped)) in enumerate(pairwise(took), 1):
        assert number % GOP == 0 or skipped or not before, "goes on with a key frame"
    assert logs[0]["event"] == "outage starts"


def test_outage_ends_when_decoding_is_fast_again(logs):
    camera = Camera()
    camera.watched(0.2, until_s=20)
    camera.watched(0.01, until_s=200)
    assert [entry["event"] for entry in logs] == ["outage starts", "outage ends"]


@pytest.mark.parametrize("pause_s", [1, 2, 9])
def test_packets_delayed_by_a_network_pause_are_decoded(pause_s, logs):
    camera = Camera()
    assert not any(camera.skips(n / FPS) for n in range(100))
    held_back = pause_s * FPS
    assert not any(camera.skips(10 + pause_s + n * 0.01) for n in range(held_back))
    assert not any(camera.skips(camera.sent / FPS + 0.1 * pause_s) for n in range(100))
    assert logs == []


@pytest.mark.parametrize("back_s", [-3600, 3600])
def test_camera_clock_change_skips_a_few_seconds_at_most(back_s):
    camera = Camera()
    assert not any(camera.skips(n / FPS) for n in range(100))
    took = [camera.skips(n / FPS, pts_s=n / FPS - back_s) for n in range(100, 200)]
    assert (sum(took) > 0) == (back_s > 0)
    assert not any(took[60:])


def test_skipping_ends_without_a_key_frame():
    camera = Camera(gop=0)
    took = camera.watched(0.2, until_s=60)
    skipped = [skipped for _, skipped in took]
    assert 20 < sum(skipped) < 500
    assert max(late_s for late_s, _ in took) < 4
