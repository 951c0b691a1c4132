"""Plates are found in the sub-stream and read in the main stream."""

from dataclasses import replace

import numpy as np
import pytest

from plateid.core.close_up import CloseUp
from plateid.core.geometry import scaled
from plateid.core.records import Detection, PlateRead
from plateid.core.view import View
from plateid.pipeline.close_ups import find_plate
from tests.core.test_text import positions
from tests.pipeline.road import LEFT, SEEN, FakeNetworks, Recording, Road, Vehicle, frames, pipeline
from tests.support.images import plain

VEHICLE = Vehicle("B68SPK", 1, 5)
ZOOM = View(zoom=True)


class Reader(FakeNetworks):
    """Reads in an image what the road has nearest to a box; notes the widths of the images."""

    def __init__(self) -> None:
        super().__init__()
        self.widths, self.enlarged = [], set()

    def detect(self, image, *, enlarges=False):
        self.enlarged.add(enlarges)
        return super().detect(image)

    def read(self, image, boxes):
        self.widths += [image.width] * len(boxes)
        reads = []
        for box in boxes:
            _, text, probability = min(image.plates, key=lambda plate: abs(plate[0][0] - box[0]))
            reads.append(PlateRead(positions(text, probability=probability), 0.8, box[3] - box[1]))
        return reads


class Main:
    """A main stream with three times the pixels; `late_px` is how far its vehicles are ahead."""

    def __init__(self, *, complete=True, seen=True, cheap=True, late_px=0.0) -> None:
        self.complete, self.seen, self.cheap, self.late_px = complete, seen, cheap, late_px
        self.looks, self.learnt = 0, []

    def is_cheap(self, _frame):
        return self.cheap

    def close_up(self, frame):
        self.looks += 1
        plates = []
        for (x1, y1, x2, y2), text, probability in frame.image.plates if self.seen else ():
            box = x1 + self.late_px, y1, x2 + self.late_px, y2
            plates.append((scaled(box, 3, 3), text.replace("X", "K"), probability))
        road = Road([])
        road.image = np.zeros((2160, 3840, 3), np.uint8)
        road.height, road.width = 2160, 3840
        road.plates = plates
        return CloseUp(road, (3.0, 3.0), (0.0, 0.0), self.complete)

    def correct_clock(self, late_s):
        self.learnt.append(late_s)


def drive(main, view=ZOOM, vehicle=VEHICLE):
    """Returns the events of a drive; the sub-stream shows an X where the main stream shows a K."""
    recording = Recording(networks=Reader())
    camera = pipeline(recording, view=view)
    for frame in frames([vehicle], rate=15, until_s=8):
        for index, (box, text, probability) in enumerate(frame.image.plates):
            frame.image.plates[index] = box, text.replace("K", "X"), probability
        camera.process(replaced(frame, main))
    camera.finish()
    return recording


def replaced(frame, main):
    return replace(frame, main=main, stream_s=frame.media_time_s)


def test_plate_is_read_in_the_main_stream_and_its_boxes_stay_those_of_the_sub_stream():
    main = Main()
    recording = drive(main)
    assert recording.published() == [SEEN, LEFT]
    assert set(recording.networks.widths) == {3840}
    assert recording.networks.enlarged == {True}
    assert drive(None).networks.enlarged == {False}
    seen, left = recording.events
    assert left.box[2] - left.box[0] == pytest.approx(100, abs=0.1)
    assert seen.path[0].box == pytest.approx(VEHICLE.box(1), abs=0.1)
    best = recording.frames[0]
    assert (best.image.width, best.scale) == (3840, (3.0, 3.0))
    assert best.box[2] - best.box[0] == pytest.approx(300, abs=0.1)


def test_plate_missing_in_the_main_stream_is_read_in_the_sub_stream():
    main = Main(seen=False)
    recording = drive(main)
    assert recording.published() == [("plate_seen", "B68SPX"), ("plate_left", "B68SPX")]
    assert set(recording.networks.widths) == {1280}


@pytest.mark.parametrize(("complete", "view"), [(False, ZOOM), (True, View())])
def test_snapshot_shows_the_sub_stream_if_the_main_stream_shows_less_or_plates_are_hidden(
    complete, view
):
    recording = drive(Main(complete=complete), view)
    assert recording.published() == [SEEN, LEFT]
    assert (recording.frames[0].image.width, recording.frames[0].scale) == (1280, (1.0, 1.0))


def test_only_needed_reads_are_taken_far_from_a_key_frame():
    few, many = Main(cheap=False), Main()
    assert drive(few).published() == drive(many).published() == [SEEN, LEFT]
    assert few.looks == 2 < many.looks


def test_picture_of_a_later_moment_tells_how_late_it_is():
    main = Main(late_px=30)  # at 150 pixels a second
    assert drive(main).published() == [SEEN, LEFT]
    assert main.learnt
    assert main.learnt == pytest.approx([0.2] * len(main.learnt), abs=0.02)


def test_plate_of_a_neighbour_is_not_taken_for_the_one_that_was_not_found():
    own, other = (100.0, 100.0, 150.0, 112.0), (170.0, 100.0, 220.0, 112.0)
    picture = CloseUp(plain(1200, 600), (2.0, 2.0), (10.0, 0.0), complete=True)

    def detect(_part, **_):
        return [Detection((300.0, 168.0, 400.0, 192.0), 0.9)]

    assert find_plate(detect, picture, (own,)) is not None
    assert find_plate(detect, picture, (own, other)) is None
    assert find_plate(detect, picture, ((900.0, 900.0, 950.0, 912.0),)) is None


def test_box_is_mapped_there_and_back():
    picture = CloseUp(plain(), (2.0, 3.0), (4.0, -6.0), complete=True)
    assert picture.place((1, 2, 3, 4)) == (6, 0, 10, 6)
    assert picture.place_back((6, 0, 10, 6)) == (1, 2, 3, 4)
