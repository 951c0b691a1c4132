"""What a report shows: accuracy before and after, and the plates that are read differently."""

from collections.abc import Sequence
from typing import Any

import cv2

from plateid.capture.images import read_image
from plateid.core.drawing import encode_jpeg
from plateid.core.geometry import expanded
from train.evaluation.detector_accuracy import grouped_detector_accuracy
from train.evaluation.evaluation_tables import Table, number
from train.evaluation.image_results import ImageResult, LabelledPlate
from train.evaluation.reader_accuracy import ReadResult, grouped_reader_accuracy, in_true_boxes
from train.learn.taught import Flipped

FLIPPED = 24
"""Number of plates on the page that are read better or worse than before."""
CROP_WIDTH = 320
"""Width of a plate crop on the page, pixels."""
READS = {"exact": "plate_accuracy", "folded": "plate_accuracy_folded"}
BOXES = {"recall": "recall", "false boxes": "false_boxes", "mAP50-95": "mAP50_95"}
"""Headings and attributes of the measures."""
Plates = Sequence[LabelledPlate]
Images = Sequence[ImageResult]


def plate_table(before: Plates, after: Plates) -> Table:
    """Returns the accuracy on plates by height, lines and light."""
    sides = [grouped_reader_accuracy(reads, reads) for reads in map(in_true_boxes, (before, after))]
    return _compared("plates", sides, ("all", "characters", "lines", "light"), READS)


def box_table(before: Images, after: Images, thresholds: tuple[float, float]) -> Table:
    """Returns the accuracy on images by height and light, at the score thresholds (0-1)."""
    sides = [*map(grouped_detector_accuracy, (before, after), thresholds)]
    return _compared("images", sides, ("all", "height", "light"), BOXES)


def _compared(
    what: str, sides: Sequence[Any], groups: Sequence[str], measures: dict[str, str]
) -> Table:
    rows = []
    for pair in zip(*([each for name in groups for each in s[name]] for s in sides), strict=True):
        both = [getattr(each, "crops", each) for each in pair]
        values = (number(getattr(each, name)) for name in measures.values() for each in both)
        rows.append((pair[0].name, str(both[0].plates), *values))
    columns = (heading for name in measures for heading in (f"{name} before", "after"))
    return Table(f"Your {what}, held out", ("", "plates", *columns), rows)


def flipped_plates(before: Plates, after: Plates) -> list[Flipped]:
    """Returns plates that are read correctly in one of two cases, worse ones first."""
    changed = [
        Flipped(text, old.reading.plate, new.reading.plate, _jpeg(old))
        for old, new in zip(in_true_boxes(before), in_true_boxes(after), strict=True)
        if ((text := old.plate.text) == old.reading.plate) != (text == new.reading.plate)
    ]
    return sorted(changed, key=lambda each: each.is_better)[:FLIPPED]


def _jpeg(result: ReadResult) -> bytes:
    crop = read_image(result.plate.path).crop(expanded(result.plate.box, x=0, y=0))
    height = max(1, round(crop.shape[0] * CROP_WIDTH / crop.shape[1]))
    scaled = cv2.resize(crop, (CROP_WIDTH, height), interpolation=cv2.INTER_CUBIC)
    return encode_jpeg(scaled, 85)
