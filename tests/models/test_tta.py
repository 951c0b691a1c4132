"""Test-time augmentation of the demo video's plates, each frame read as a still image."""

import json

import numpy as np
import pytest

from plateid.capture.video_file import read_video
from plateid.config.models import ModelsConfig
from plateid.core.geometry import expanded
from plateid.core.reading import Reading, single_reading
from plateid.core.records import PlateRead
from plateid.core.text import CHARSET, best_text
from plateid.demo import DEMO_VIDEO
from plateid.models.networks import Networks
from plateid.models.tta import SURE_CONFIDENCE, TtaReader, fuse_variants

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
    _, unsure = readings(margin=-0.1)
    plain, augmented = (
        sum(reading.plate in PLATES for reading in each) for each in zip(*unsure, strict=True)
    )
    assert augmented > 1.2 * plain > 0


def test_no_boxes_give_no_reads():
    reader = TtaReader(Networks(ModelsConfig()).reader())
    assert reader.read(next(read_video(DEMO_VIDEO)).image, []) == []


def read_of(text: str, sure: float) -> PlateRead:
    rows = np.full((len(text), 1 + len(CHARSET)), (1 - sure) / len(CHARSET), np.float32)
    rows[np.arange(len(text)), [1 + CHARSET.index(each) for each in text]] = sure
    return PlateRead(rows, 1.0, 20.0)


@pytest.mark.parametrize(
    ("upright", "turned", "text"),
    [
        (0.6, 0.999, "MX12ABC"),
        (0.6, 0.95, "MX12A8C"),
        (0.999, 0.9999, "MX12A8C"),
    ],
)
def test_a_turned_plate_counts_if_its_read_is_sure_and_the_upright_ones_are_doubtful(
    upright, turned, text
):
    reads = [*[read_of("MX12A8C", upright)] * 4, read_of("MX", 0.5), read_of("MX12ABC", turned)]
    assert best_text(fuse_variants(reads).probabilities) == text
