"""The record of a labelled image."""

import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from plateid.core.records import Box
from train.dataset.formats import ImageLabels
from train.dataset.perceptual_hash import PerceptualHash

SCENE = "scene"
"""Column of labels.csv that marks images as an exporter's copies of one scene."""
ROBOFLOW = re.compile(r"(.+)\.rf\.\w+\.\w+")
"""How Roboflow names its copies of an image: `NAME_jpg.rf.HASH.jpg`."""


@dataclass(frozen=True)
class LabelledImage:
    """A labelled image, and what reading it showed."""

    labels: ImageLabels
    boxes: tuple[Box, ...]  # of plates in pixels, xyxy, clipped to the image; empty: a negative
    group: str  # a scene or a minute of a drive, which stays on one side of a split
    width: int  # pixels, as `height`, upright
    height: int
    clipped: int  # number of boxes that were clipped
    digest: bytes  # SHA-256 of the file
    perceptual_hash: PerceptualHash
    is_rotated: bool  # whether an exporter seems to have rotated the image

    @property
    def path(self) -> Path:
        """The image file."""
        return self.labels.path

    @property
    def texts(self) -> tuple[str, ...]:
        """The text of each plate; "" if it has no transcription."""
        return tuple(box.text for box in self.labels.boxes)

    @property
    def is_copy(self) -> bool:
        """Whether an exporter made several images of the scene."""
        return SCENE in self.labels.row or bool(ROBOFLOW.fullmatch(self.path.name))


def data_hash(images: Iterable[LabelledImage]) -> str:
    """Returns the SHA-256 of names, boxes and bytes of the images, in their order."""
    digest = hashlib.sha256()
    for image in images:
        digest.update(os.fsencode(f"{image.path.name} {image.boxes}\n"))
        digest.update(image.path.read_bytes())
    return digest.hexdigest()
