import weakref
from datetime import UTC, datetime

import pytest

from plateid.core.formats import shipped_formats
from plateid.core.records import BestFrame, Box, PlateRead
from plateid.pipeline.passes import Pass
from tests.core.test_text import positions
from tests.support.images import plain

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BOX = (10.0, 10.0, 50.0, 20.0)


def read(*, sharpness: float = 0.8, height: float = 20) -> PlateRead:
    return PlateRead(positions("B68SPK", probability=0.97), sharpness, height)


def frame(box: Box = BOX) -> BestFrame:
    return BestFrame(plain(), box, (box,))


def test_box_of_a_close_up_refers_to_the_frame_of_the_sub_stream():
    vehicle = Pass(BOX, NOW)
    vehicle.add(read(), BestFrame(plain(), BOX, (BOX,), (2.0, 2.0), (-10.0, 4.0)))
    assert vehicle.box == (10, 3, 30, 8)


@pytest.mark.parametrize(
    ("reads", "best"),
    [
        ([read(), read(height=30), read(height=25)], 1),
        ([read(), read(sharpness=0.2), read(height=10)], 0),
        ([read(), read(), read()], 2),
    ],
)
def test_best_frame_is_large_and_sharp_and_the_latest_of_equals(reads, best):
    vehicle = Pass(BOX, NOW)
    frames = [frame((n, 0, 40, 10)) for n in range(len(reads))]
    for each, taken in zip(reads, frames, strict=True):
        vehicle.add(each, taken)
    assert vehicle.box == frames[best].box
    assert vehicle.take_best_frame() is frames[best]


def test_best_frame_is_taken_once_until_there_is_a_better_one():
    vehicle = Pass(BOX, NOW)
    vehicle.add(read(), frame())
    assert vehicle.take_best_frame() is not None
    vehicle.add(read(height=10), frame())
    assert vehicle.take_best_frame() is None
    better = frame()
    vehicle.add(read(height=40), better)
    assert vehicle.take_best_frame() is better


def test_pass_holds_one_frame_and_none_after_it_was_taken():
    vehicle = Pass(BOX, NOW)
    images = []
    for height in (20, 30, 40):
        taken = frame()
        images.append(weakref.ref(taken.image))
        vehicle.add(read(height=height), taken)
        del taken
    assert [image() is not None for image in images] == [False, False, True]
    vehicle.take_best_frame()
    assert images[-1]() is None


def test_a_cut_plate_never_changes_the_reading_or_the_best_frame_of_a_pass():
    vehicle, whole = Pass(BOX, NOW), frame((20, 10, 60, 20))
    vehicle.add(PlateRead(positions("B68SPK", probability=0.7), 0.3, 10), whole)
    before = vehicle.reading(shipped_formats())
    cut_off = PlateRead(positions("68SPK", probability=0.999), 1.0, 60)
    for place in ("near", "cut", "cut", "near"):
        vehicle.add(cut_off, frame((0, 10, 60, 70)), place)
    assert vehicle.reading(shipped_formats()) == before
    assert vehicle.take_best_frame() is whole


def test_a_whole_plate_replaces_what_was_read_near_the_border():
    vehicle, whole = Pass(BOX, NOW), frame((20, 10, 60, 20))
    for place in ("near", "cut", "near"):
        vehicle.add(
            PlateRead(positions("68SPK", probability=0.999), 1.0, 60), frame((0, 0, 9, 9)), place
        )
    vehicle.add(PlateRead(positions("B68SPK", probability=0.7), 0.3, 10), whole)
    found = vehicle.reading(shipped_formats())
    assert (found.plate, found.reads) == ("B68SPK", 1)
    assert vehicle.take_best_frame() is whole
