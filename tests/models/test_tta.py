"""Test-time augmentation of the demo video's plates, each frame read as a still image."""

import json

from plateid.capture.video_file import read_video
from plateid.config.models import ModelsConfig
from plateid.core.geometry import expanded
from plateid.core.reading import Reading, single_reading
from plateid.demo import DEMO_VIDEO
from plateid.models.networks import Networks
from plateid.models.tta import SURE_CONFIDENCE, TtaReader

TRUTH = json.loads(DEMO_VIDEO.with_suffix(".json").read_text())
PLATES = {vehicle["plate"] for vehicle in TRUTH["vehicles"]}
Pairs = list[tuple[Reading, Reading]]


def readings(*, margin: float = 0.0) -> tuple[Pairs, Pairs]:
    """Returns the readings (without TTA, with TTA) of all boxes: the sure ones and the others."""
    networks = Networks(ModelsConfig())
    detector, reader = networks.detector(), networks.reader()
    pairs = []
    for frame in read_video(DEMO_VIDEO):
        found = detector.detect(frame.image)
        boxes = [expanded(each.box, x=margin, y=margin) for each in found]
        reads = (each.read(frame.image, boxes) for each in (reader, TtaReader(reader)))
        pairs.extend(zip(*(map(single_reading, each) for each in reads), strict=True))
    sure = [pair for pair in pairs if pair[0].confidence >= SURE_CONFIDENCE]
    return sure, [pair for pair in pairs if pair[0].confidence < SURE_CONFIDENCE]


def test_sure_reads_are_unchanged_and_wrong_reads_lose_confidence():
    sure, unsure = readings()
    assert len(sure) > len(unsure) > 0
    assert all(plain == augmented for plain, augmented in sure)
    wrong = [pair for pair in unsure if pair[0].plate not in PLATES]
    before, after = (
        sum(reading.confidence for reading in each) for each in zip(*wrong, strict=True)
    )
    assert after < 0.9 * before


def test_tta_reads_more_plates_in_tight_boxes():
    _, unsure = readings(margin=-0.15)
    plain, augmented = (
        sum(reading.plate in PLATES for reading in each) for each in zip(*unsure, strict=True)
    )
    assert augmented > 1.2 * plain > 0


def test_no_boxes_give_no_reads():
    reader = TtaReader(Networks(ModelsConfig()).reader())
    assert reader.read(next(read_video(DEMO_VIDEO)).image, []) == []
