"""Measures the plates of a sample of passes by day and by night, and says what to change."""

import functools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low
from typing import Any

import cv2
import numpy as np

from plateid.core.plate_quality import CropQuality, crop_quality
from plateid.core.records import Box
from plateid.store.labels import Label
from plateid.store.snapshot_files import plate_box, read_image

NIGHT = 70
"""Mean grey value (0-255) of a snapshot below which it is night."""
MIN_MEASURED = 3
"""Minimum number of plates whose medians give advice."""
PREFIX = {"day": "By day", "night": "At night"}
"""Words before the advice of each light."""


@dataclass(frozen=True)
class SampledPass:
    """The last event of a pass, its snapshot, and its label if it has one."""

    event: dict[str, Any]
    file: Path
    label: Label | None

    @property
    def is_right(self) -> bool | None:
        """Whether the published plate is right; None if the label does not say."""
        if self.label is None or self.label.verdict in ("unreadable", "skip"):
            return None
        return self.label.verdict == "plate" and self.label.text == self.event["plate"]


@dataclass(frozen=True)
class LightCard:
    """Medians of the sampled plates in one light, and how many confirmed readings are right."""

    light: str
    plates: int
    height_px: float
    sharpness: float
    confirmed: int
    right: int
    advice: tuple[str, ...]


def measure_lights(sample: Sequence[SampledPass]) -> Iterator[LightCard]:
    """Yields a card for each light in which plates were seen."""
    measured: dict[str, list[tuple[SampledPass, CropQuality]]] = {"day": [], "night": []}
    for each in sample:
        if result := _measured(each.file, json.dumps(each.event)):
            light, quality = result
            measured[light].append((each, quality))
    for light, pairs in measured.items():
        if pairs:
            middle = CropQuality(
                *(median_low(values) for values in zip(*(vars(q).values() for _, q in pairs)))  # noqa: B905
            )
            hints = middle.hints if len(pairs) >= MIN_MEASURED else []
            verdicts = [each.is_right for each, _ in pairs if each.is_right is not None]
            yield LightCard(
                light,
                len(pairs),
                middle.height,
                middle.sharpness,
                confirmed=len(verdicts),
                right=sum(verdicts),
                advice=tuple(f"{PREFIX[light]}: {hint}" for hint in hints),
            )


@functools.lru_cache(maxsize=1000)
def _measured(file: Path, payload: str) -> tuple[str, CropQuality] | None:
    """Returns the light and the quality of a plate in its snapshot; None if it is damaged."""
    event: dict[str, Any] = json.loads(payload)
    if (image := read_image(file)) is None:
        return None
    x1, y1, x2, y2 = (round(value) for value in plate_box(image, event))
    frame: Box = tuple(event["box"])
    crop = image[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)]
    grey = float(np.mean(cv2.resize(image, (64, 36), interpolation=cv2.INTER_AREA)))
    return ("night" if grey < NIGHT else "day"), crop_quality(crop, frame)
