from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np

from plateid.core.records import Frame
from plateid.pipeline.motion import BUSY, CHECK_EVERY, SIZE, MotionGate
from tests.support.images import ArrayLazyImage

START = datetime(2026, 1, 1, tzinfo=UTC)


def frame(image: np.ndarray, at_s: float) -> Frame:
    return Frame("gate", 0, START + timedelta(seconds=at_s), None, ArrayLazyImage(image))


def scene(level: int = 90) -> np.ndarray:
    noise = np.random.default_rng(level).integers(-4, 5, (360, 640, 1))
    return (noise + level).repeat(3, axis=2).astype(np.uint8)


def with_plate(image: np.ndarray, x: int, level: int = 230) -> np.ndarray:
    image = image.copy()
    image[200:216, x : x + 60] = level
    return image


def test_first_frame_passes_and_noise_does_not():
    gate = MotionGate()
    assert gate.passes(frame(scene(90), 0))
    assert not gate.passes(frame(scene(91), 0.1))


def test_moving_small_plate_passes():
    gate = MotionGate()
    gate.passes(frame(with_plate(scene(), 100), 0))
    assert gate.passes(frame(with_plate(scene(), 110), 0.1))


def test_exposure_change_is_not_motion():
    gate = MotionGate()
    gate.passes(frame(scene(90), 0))
    assert not gate.passes(frame(scene(120), 0.1))


def test_lorry_that_fills_most_of_the_image_is_motion():
    gate = MotionGate()
    gate.passes(frame(scene(90), 0))
    lorry = scene(90)
    lorry[:, :400] += 60
    assert gate.passes(frame(lorry, 0.1))


def test_slow_changes_add_up():
    fading = [frame(with_plate(scene(), 100, 130 + 5 * n), 0.1 * n) for n in range(12)]
    for one, next_one in pairwise(fading):
        gate = MotionGate()
        assert [gate.passes(one), gate.passes(next_one)] == [True, False]
    gate = MotionGate()
    assert [gate.passes(each) for each in fading].count(True) > 1


def test_still_scene_passes_every_few_seconds():
    gate = MotionGate()
    gate.passes(frame(scene(), 0))
    assert not gate.passes(frame(scene(), 4.9))
    assert gate.passes(frame(scene(), 5.0))


def test_gate_reports_whether_passed_frame_is_still():
    gate = MotionGate()
    results = []
    for image, seconds in ((scene(), 0), (scene(), 5), (scene(), 6), (with_plate(scene(), 9), 7)):
        results.append((gate.passes(frame(image, seconds)), gate.still))
    assert results == [(True, False), (True, True), (False, True), (True, False)]


def test_masked_motion_does_not_count():
    shown = np.ones(SIZE[::-1], bool)
    shown[:, : SIZE[0] // 2] = False
    gate = MotionGate(shown)
    gate.passes(frame(with_plate(scene(), 100), 0))
    assert not gate.passes(frame(with_plate(scene(), 110), 0.1))
    assert gate.passes(frame(with_plate(scene(), 500), 0.2))


def test_still_scene_after_uncompared_frames_passes_twice():
    gate = MotionGate()
    empty, road = scene(), [with_plate(scene(), 10 + 10 * n) for n in range(BUSY + CHECK_EVERY)]
    road[BUSY + CHECK_EVERY - 1] = empty  # is compared, and the two before are not
    results = []
    for n, image in enumerate([*road, road[0], road[0], empty, empty, empty]):
        results.append((gate.passes(frame(image, n / 15)), gate.still))
    assert results[-3:] == [(True, False), (True, True), (False, True)]


class Counted(ArrayLazyImage):
    looks = 0

    def luma(self, width, height):
        Counted.looks += 1
        return super().luma(width, height)


def test_busy_scene_is_compared_rarely_and_still_scene_always():
    gate = MotionGate()
    busy, still = BUSY + 10 * CHECK_EVERY, 20
    for n in range(busy):
        image = Counted(with_plate(scene(), 10 + 10 * n))
        assert gate.passes(Frame("gate", n, START + timedelta(seconds=n / 15), None, image))
    assert Counted.looks == BUSY + 10
    passed = [
        gate.passes(Frame("gate", n, START + timedelta(seconds=n / 15), None, image))
        for n in range(busy, busy + still)
    ]
    assert sum(passed) <= CHECK_EVERY + 1
    assert Counted.looks >= BUSY + 10 + still - CHECK_EVERY
