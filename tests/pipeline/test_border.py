"""Plates near the border are read if they are whole, and never beat reads away from it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from plateid.capture.images import ArrayImage
from plateid.capture.video_file import read_video
from plateid.config.models import ModelsConfig
from plateid.core.records import Box, Image, PlateRead
from plateid.core.text import best_text
from plateid.demo import DEMO_VIDEO
from plateid.models.networks import Networks
from plateid.pipeline.border import FAR, TOUCH, distance, place_of
from tests.core.test_text import positions
from tests.pipeline.road import LEFT, SEEN, FakeNetworks, Road, Vehicle, record

PART = (0.0, 0.0, 200.0, 100.0)
PLATE_FRAME, PLATE = 125, (953, 464, 1098, 501)
"""A frame of the demo video, and the box of the plate KX73LPH in it."""


@pytest.mark.parametrize(
    ("box", "margins", "place"),
    [
        ((50, 50, 100, 60), (0.0, 0.0), "whole"),
        ((1, 50, 51, 60), (0.07, 0.1), "near"),
        ((1, 50, 51, 60), (0.05, 0.1), "cut"),
        ((149, 50, 199, 60), (0.1, 0.07), "near"),
        ((149, 50, 199, 60), (0.1, 0.05), "cut"),
        ((50, 1, 100, 11), (0.0, 0.0), "near"),
    ],
)
def test_space_between_text_and_border_says_whether_a_plate_is_cut_off(box, margins, place):
    read = PlateRead(positions("B68SPK"), 0.8, 10.0, margins)
    assert place_of(tuple(map(float, box)), PART, read) == place


@pytest.fixture(scope="module")
def networks() -> Networks:
    return Networks(ModelsConfig())


@pytest.fixture(scope="module")
def frame() -> Image:
    found = next(each for each in read_video(DEMO_VIDEO) if each.sequence == PLATE_FRAME)
    return found.image.resized(found.image.width, found.image.height)


def at_border(networks: Networks, frame: Image, *, left: int = 0, right: int = 1280):
    """Returns text and place of the plate in a part of the frame; None where it is not read."""
    image = ArrayImage(np.ascontiguousarray(frame[:, left:right]))
    part = (0.0, 0.0, float(image.width), float(image.height))
    found = networks.detector().detect(image)
    (box,) = (d.box for d in found if abs(d.box[1] - PLATE[1]) < 20)
    if distance(box, part) < TOUCH:
        return None
    (read,) = networks.reader().read(image, [box])
    return best_text(read.probabilities), place_of(box, part, read)


@pytest.mark.parametrize("space", [6, 10, 14])
def test_real_plate_a_few_pixels_from_the_border_is_read(networks, frame, space):
    for side in ({"right": PLATE[2] + space}, {"left": PLATE[0] - space}):
        text, place = at_border(networks, frame, **side)
        assert (text, place) in {("KX73LPH", "near"), ("KX73LPH", "whole")}


@pytest.mark.parametrize("cut_off", [20, 30, 40])
def test_real_plate_whose_characters_the_border_cuts_off_is_not_read(networks, frame, cut_off):
    for side in ({"right": PLATE[2] - cut_off}, {"left": PLATE[0] + cut_off}):
        read = at_border(networks, frame, **side)
        assert read is None or read[1] == "cut"


class EdgeNetworks(FakeNetworks):
    """Reads plates with space beside the text, and only a part of it near the left border."""

    def __init__(self, margin: float, near: str) -> None:
        super().__init__()
        self.margins, self.near = (margin, margin), near

    def read(self, image: Road, boxes: Sequence[Box]) -> list[PlateRead]:
        whole = super().read(image, boxes)
        near = positions(self.near, probability=0.97)
        return [
            replace(
                read,
                margins=self.margins,
                probabilities=near if x1 < FAR * 25 else read.probabilities,
            )
            for read, (x1, *_) in zip(whole, boxes, strict=True)
        ]


@pytest.mark.parametrize(("margin", "events"), [(0.1, [SEEN, LEFT]), (0.0, [])])
def test_plate_that_stays_near_the_border_is_published_if_it_is_whole(margin, events):
    networks = EdgeNetworks(margin, near="B68SPK")
    result = record(Vehicle("B68SPK", 0, 6, x=1, speed=0.8), networks=networks)
    assert networks.boxes_read > 0
    assert result.published() == events


def test_reads_near_the_border_are_dropped_once_the_plate_is_read_away_from_it():
    networks = EdgeNetworks(0.1, near="68SPK")
    *_, left = record(Vehicle("B68SPK", 0, 5, x=1, speed=1.4), networks=networks).events
    assert (left.event_type, left.plate) == LEFT
    assert left.reads == left.agreeing_reads < networks.boxes_read
