import numpy as np
import pytest

from plateid.core.records import Box, Frame
from plateid.pipeline.stationary import MAX_TEXTS, ClockOverlays, TextHistory
from tests.pipeline.road import (
    LEFT,
    SEEN,
    Recording,
    Road,
    Vehicle,
    frames,
    pipeline,
    process,
    record,
)
from tests.pipeline.test_stationary import BOX, START, moment, shifted

CLOCK_BOX: Box = (900.0, 30.0, 1050.0, 55.0)


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


def clock_frames(texts: list[str], *, rate: float, until_s: float) -> list[Frame]:
    """Returns frames that show each text for a second, and a vehicle that passes below it."""
    result = []
    for number in range(int(until_s * rate) + 1):
        t = number / rate
        plates = [(CLOCK_BOX, texts[int(t) % len(texts)], 0.99)]
        car = Vehicle("B68SPK", 5, 9)
        if car.visible(t):
            plates.append((car.box(t), car.text, car.probability))
        result.append(Frame("gate", number, moment(t), t, Road(plates)))
    return result


@pytest.mark.parametrize("rate", [3, 10, 15])
@pytest.mark.parametrize("start", [0, 0.3, 0.7])
def test_clock_overlay_is_not_published_and_vehicle_below_it_is(rate, start, logs):
    texts = [f"1200{second:02}" for second in range(60)]
    result = Recording()
    camera = pipeline(result)
    shift = int(start * rate)
    process(camera, clock_frames(texts, rate=rate, until_s=12)[shift:])
    camera.finish()
    assert result.published() == [SEEN, LEFT]
    (found,) = [entry for entry in logs if entry["event"] == "clock overlay detected"]
    assert found["box"] == (0.703, 0.042, 0.82, 0.076)


def test_short_detection_of_known_clock_is_not_published():
    texts = [f"1200{second:02}" for second in range(60)]
    shown = clock_frames(texts, rate=10, until_s=10)
    result = Recording()
    camera = pipeline(result)
    process(camera, shown)
    process(camera, frames([], rate=10, until_s=3), after_s=11)
    process(camera, clock_frames(["120100"], rate=10, until_s=2), after_s=15)
    camera.finish()
    assert {event.plate for event in result.events} == {"B68SPK"}


def test_stationary_vehicle_misread_half_of_the_time_is_published():
    misread = ("868SPK", "B68SPX", "B6BSPK", "B68SPK", "B68SPK", "B68SPK")
    published = record(
        Vehicle("B68SPK", 0, 20, speed=0, misread=misread), until_s=24, rate=10
    ).published()
    assert published == [SEEN, LEFT]
