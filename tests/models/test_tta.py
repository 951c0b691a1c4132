"""A closer look at the plates of the demo's clip, frame by frame as if each were a picture."""

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


def looks(
    tighter: float = 0.0,
) -> tuple[list[tuple[Reading, Reading]], list[tuple[Reading, Reading]]]:
    """Sure reads and others of a box, once and closely, each side of the box so much tighter."""
    networks = Networks(ModelsConfig())
    detector, reader = networks.detector(), networks.reader()
    pairs = []
    for frame in read_video(DEMO_VIDEO):
        found = detector.detect(frame.image)
        boxes = [expanded(each.box, x=-tighter, y=-tighter) for each in found]
        reads = (each.read(frame.image, boxes) for each in (reader, TtaReader(reader)))
        pairs.extend(zip(*(map(single_reading, look) for look in reads), strict=True))
    sure = [(once, closely) for once, closely in pairs if once.confidence >= SURE_CONFIDENCE]
    return sure, [(once, closely) for once, closely in pairs if once.confidence < SURE_CONFIDENCE]


def test_sure_reads_are_unchanged_and_wrong_reads_lose_confidence():
    sure, unsure = looks()
    assert len(sure) > len(unsure) > 0
    assert all(once == closely for once, closely in sure)
    wrong = [(once, closely) for once, closely in unsure if once.plate not in PLATES]
    before, after = (sum(look.confidence for look in each) for each in zip(*wrong, strict=True))
    assert after < 0.9 * before


def test_tta_reads_more_plates_in_tight_boxes():
    _, unsure = looks(tighter=0.1)
    once, closely = (
        sum(look.plate in PLATES for look in each) for each in zip(*unsure, strict=True)
    )
    assert closely > 1.2 * once > 0


def test_no_boxes_give_no_reads():
    reader = TtaReader(Networks(ModelsConfig()).reader())
    assert reader.read(next(read_video(DEMO_VIDEO)).image, []) == []
