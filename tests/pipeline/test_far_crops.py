"""Which crops of a pass are kept for training."""

from dataclasses import replace

import numpy as np
import pytest

from plateid.capture.images import ArrayImage
from plateid.core.records import BestFrame, PlateRead
from plateid.pipeline.event_builder import EventBuilder
from plateid.pipeline.passes import MAX_CROPS, FarCrops
from tests.core.test_text import positions
from tests.pipeline.road import GrowingNetworks, Recording, Vehicle, frames, pipeline

BOX = (10.5, 4.5, 30.0, 9.0)


def crops_of(*heights, sharpness=0.5):
    crops, image = FarCrops(), ArrayImage(np.zeros((72, 128, 3), np.uint8))
    for height in heights:
        read = PlateRead(positions("B68SPK"), sharpness, height)
        crops.add(read, BestFrame(image, BOX, (BOX,)))
    return crops.all()


def test_only_the_smallest_crops_of_different_heights_are_kept():
    heights = [100, 50, 49, 30, 20, 15, 10, 8, 8.1]
    kept = [crop.height for crop in crops_of(*heights)]
    assert kept == [8, 10, 15, 20, 30, 50]
    assert len(crops_of(*range(6, 120))) == MAX_CROPS


def test_crop_has_surroundings_and_its_own_box():
    (crop,) = crops_of(4.5)
    assert crop.image.shape == (10, 30, 3)
    assert crop.box == (5.5, 2.5, 25.0, 7.0)
    assert (crop.text, crop.sharpness) == ("B68SPK", 0.5)


@pytest.mark.parametrize("keeps", [True, False])
def test_last_event_of_a_pass_comes_with_its_crops_if_they_are_kept(keeps):
    recording, taken = Recording(networks=GrowingNetworks()), []
    camera = pipeline(recording)
    builder: EventBuilder = camera._traffic._events
    camera._traffic._events = replace(builder, keep_crops=lambda *got: taken.append(got))
    camera.apply(replace(camera.settings, keeps_crops=keeps), same_source=True)
    for frame in frames([Vehicle("B68SPK", 0, 3)], rate=15, until_s=5):
        camera.process(frame)
    ((event, crops),) = taken
    assert (event.event_type, event.pass_id) == ("plate_left", recording.events[0].pass_id)
    assert {crop.text for crop in crops} == ({"B68SPK"} if keeps else set())
    assert len({crop.height for crop in crops}) == len(crops) > 3 or not keeps
