import numpy as np
import pytest

from plateid.core.records import Box
from plateid.pipeline.clock_overlays import MAX_TEXTS, ClockOverlays, TextHistory
from tests.pipeline.test_stationary import BOX, START, moment, shifted


def history(texts: list[str], *, rate: float) -> TextHistory:
    result = TextHistory(START)
    for number, text in enumerate(texts):
        result.add(text, moment(number / rate))
    return result


def clock(seconds: float, rate: float, phase: float = 0.0) -> list[str]:
    return [f"1200{int(number / rate + phase):02}" for number in range(int(seconds * rate) + 1)]


@pytest.mark.parametrize("rate", [2, 3, 5, 10, 15, 30])
@pytest.mark.parametrize("phase", np.arange(0, 1, 0.1))
@pytest.mark.parametrize("seconds", [4, 7, 20])
def test_clock_is_detected_at_any_frame_rate(rate, phase, seconds):
    assert history(clock(seconds, rate, phase), rate=rate).is_clock()


@pytest.mark.parametrize("texts", [["B68SPK"] * 100, clock(3, 10), []])
def test_constant_text_and_short_history_are_no_clock(texts):
    assert not history(texts, rate=10).is_clock()


def test_misread_plate_is_no_clock():
    rng = np.random.default_rng(1)
    for _ in range(200):
        texts = list(rng.choice(["B68SPK", "868SPK", "B6BSPK"], 150, p=[0.6, 0.2, 0.2]))
        assert not history(texts, rate=10).is_clock()


def test_history_stays_bounded_and_still_shows_the_clock():
    long = history(clock(600, 10), rate=10)
    assert len(long._texts) <= MAX_TEXTS
    assert long.is_clock()


def test_short_pass_at_the_place_of_a_known_clock_is_a_clock():
    overlays = ClockOverlays()

    def short(box: Box, age_s: float = 0.5) -> bool:
        return overlays.include(box, history(["120000"] * 5, rate=10), age_s=age_s)

    assert not short(shifted(3))
    assert overlays.include(BOX, history(clock(5, 10), rate=10), age_s=5)
    assert overlays.boxes == [BOX]
    assert short(shifted(3))
    assert not short(shifted(3), age_s=10)
    assert not short(shifted(300))
