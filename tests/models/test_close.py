"""A closer look at the plates of the demo's clip, frame by frame as if each were a picture."""

import json

from plateid.capture.stream import read_clip
from plateid.config.models import ModelsConfig
from plateid.core.reading import read_once
from plateid.demo import CLIP
from plateid.models.close import SURE, CloseReader
from plateid.models.networks import Networks

TRUTH = json.loads(CLIP.with_suffix(".json").read_text())
PLATES = {vehicle["plate"] for vehicle in TRUTH["vehicles"]}


def test_what_is_sure_stays_and_what_is_wrong_gets_less_sure():
    networks = Networks(ModelsConfig())
    detector, reader = networks.detector(), networks.reader()
    pairs = []
    for frame in read_clip(CLIP):
        boxes = [detection.box for detection in detector.detect(frame.picture)]
        looks = (each.read(frame.picture, boxes) for each in (reader, CloseReader(reader)))
        pairs.extend(zip(*(map(read_once, look) for look in looks), strict=True))
    sure = [(once, closely) for once, closely in pairs if once.confidence >= SURE]
    unsure = [(once, closely) for once, closely in pairs if once.confidence < SURE]
    assert len(sure) > len(unsure) > 0
    assert all(once == closely for once, closely in sure)
    wrong = [(once, closely) for once, closely in unsure if once.plate not in PLATES]
    before, after = (sum(look.confidence for look in each) for each in zip(*wrong, strict=True))
    assert after < 0.9 * before
    right = [sum(look.plate in PLATES for look in each) for each in zip(*unsure, strict=True)]
    assert right[1] > right[0]


def test_no_box_is_no_read():
    reader = CloseReader(Networks(ModelsConfig()).reader())
    assert reader.read(next(read_clip(CLIP)).picture, []) == []
