"""Draws what a detector did worst."""

import itertools
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from plateid.capture.pictures import read_picture
from plateid.capture.stream import read_clip
from plateid.core.drawing import FONT
from plateid.core.records import Box, Image, Picture
from train.evaluation.metrics import Floats
from train.evaluation.threshold import LOWEST
from train.evaluation.worst import Bad, box_of

WIDTH = 480
"""Of a drawn picture, at most."""
MARGIN = 1.3
"""How much wider than what is wrong its picture is, at least."""
QUALITY = 82
"""Of the JPEG."""
Colour = tuple[int, int, int]
TRUTH, SURE, WEAK = (235, 130, 20), (0, 120, 255), (90, 190, 255)
"""BGR: blue is what is there; orange what was found, pale below the threshold."""


def draw(bad: Sequence[Bad], threshold: float) -> list[bytes]:
    """A JPEG of each, of at most WIDTH pixels, around what is wrong.

    Raises:
        SourceError: A file can no longer be read.
    """
    by_path: dict[Path, dict[int | None, int]] = defaultdict(dict)
    for index, each in enumerate(bad):
        by_path[each.judged.shot.path][each.judged.shot.frame] = index
    drawn = [b""] * len(bad)
    for path, wanted in by_path.items():
        for frame, picture in _frames(path, wanted):
            index = wanted[frame]
            drawn[index] = _jpeg(bad[index], picture, threshold)
    return drawn


def _frames(path: Path, wanted: Collection[int | None]) -> Iterator[tuple[int | None, Picture]]:
    """The picture of a file, or these frames of a clip, which is decoded once."""
    if None in wanted:
        yield None, read_picture(path)
        return
    last = max(frame for frame in wanted if frame is not None)
    for frame in itertools.islice(read_clip(path), last + 1):
        if frame.sequence in wanted:
            yield frame.sequence, frame.picture


def _jpeg(bad: Bad, picture: Picture, threshold: float) -> bytes:
    window = _window([fault.box for fault in bad.faults], picture.width, picture.height)
    crop = picture.crop(window)
    scale = min(1.0, WIDTH / crop.shape[1])
    size = round(crop.shape[1] * scale), max(1, round(crop.shape[0] * scale))
    image: Image = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
    offset = np.array([window[0], window[1]] * 2, np.float32)
    missed = {fault.box for fault in bad.faults if fault.kind == "missed"}
    for truth in bad.judged.truths:
        _rectangle(image, (truth - offset) * scale, TRUTH, 3 if box_of(truth) in missed else 1)
    for box, score in zip(bad.judged.boxes, bad.judged.scores.tolist(), strict=True):
        if score >= LOWEST:
            colour = SURE if score >= threshold else WEAK
            _scored(image, (box - offset) * scale, f"{score:.2f}", colour)
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return np.asarray(data).tobytes()


def _window(boxes: Sequence[Box], width: int, height: int) -> Box:
    """A part of the picture, of its shape, that shows these boxes: at least half of each side."""
    x1, y1 = min(box[0] for box in boxes), min(box[1] for box in boxes)
    x2, y2 = max(box[2] for box in boxes), max(box[3] for box in boxes)
    part = max(0.5, WIDTH / width, MARGIN * (x2 - x1) / width, MARGIN * (y2 - y1) / height)
    across, down = round(min(1.0, part) * width), round(min(1.0, part) * height)
    left = round(min(max(0.0, (x1 + x2 - across) / 2), width - across))
    top = round(min(max(0.0, (y1 + y2 - down) / 2), height - down))
    return left, top, left + across, top + down


def _rectangle(image: Image, box: Floats, colour: Colour, thickness: int) -> None:
    x1, y1, x2, y2 = map(round, box_of(box))
    cv2.rectangle(image, (x1, y1), (x2, y2), colour, thickness, cv2.LINE_AA)


def _scored(image: Image, box: Floats, text: str, colour: Colour) -> None:
    """A box and, where some of it is in the picture, its score above or below it."""
    _rectangle(image, box, colour, 1)
    x1, y1, x2, y2 = map(round, box_of(box))
    if x2 < 0 or y2 < 0 or x1 > image.shape[1] or y1 > image.shape[0]:
        return
    (width, height), _ = cv2.getTextSize(text, FONT, 0.4, 1)
    left = min(max(0, x1), image.shape[1] - width)
    bottom = y1 - 3 if y1 > height + 4 else y2 + height + 4
    corner = left + width, bottom + 3
    cv2.rectangle(image, (left, bottom - height - 2), corner, colour, cv2.FILLED)
    cv2.putText(image, text, (left, bottom), FONT, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
