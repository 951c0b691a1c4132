"""What a detector did worst, in words and drawn."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from plateid.capture.images import read_image
from plateid.capture.video_file import read_video
from plateid.core.drawing import FONT
from plateid.core.geometry import iou
from plateid.core.records import Box, Image, LazyImage
from train.evaluation.metrics import NONE, Floats, match
from train.evaluation.results import Result, box_of
from train.evaluation.threshold import LOWEST

LIMIT = 40
LOOSE_IOU = 0.7
"""A plate that is found with less is worth a look."""
WIDTH = 480
"""Of a drawn picture, at most."""
MARGIN = 1.3
"""How much wider than what is wrong its picture is, at least."""
TRUTH, SURE, WEAK = (235, 130, 20), (0, 120, 255), (90, 190, 255)
"""BGR: blue is what is there; orange what was found, pale below the threshold."""
KINDS = ("missed", "false box", "loose box")
"""Worst first."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        kind: One of KINDS.
        weight: How bad, among those of its kind: height of a missed plate in results.REFERENCE,
            score of a false box, missing IoU of a loose one.
        box: Where, in pixels of the picture.
        about: In words.
    """

    kind: str
    weight: float
    box: Box
    about: str

    @property
    def rank(self) -> tuple[int, float]:
        """The worst is the least."""
        return KINDS.index(self.kind), -self.weight


@dataclass(frozen=True, eq=False)
class WorstPicture:
    """A picture and what is wrong with it, worst first; never nothing."""

    result: Result
    faults: tuple[Fault, ...]


def worst(results: Iterable[Result], threshold: float, limit: int = LIMIT) -> list[WorstPicture]:
    """The worst pictures: missed plates, then false boxes, then loose ones.

    Of each second of a clip only the worst frame is taken.
    """
    wrong = [WorstPicture(each, found) for each in results if (found := faults(each, threshold))]
    by_moment: dict[tuple[Path, int], WorstPicture] = {}
    for each in sorted(wrong, key=lambda each: each.faults[0].rank):
        shot = each.result.shot
        by_moment.setdefault((shot.path, int(shot.media_time_s)), each)
    return list(by_moment.values())[:limit]


def faults(result: Result, threshold: float) -> tuple[Fault, ...]:
    """What is wrong in one picture at a threshold, worst first."""
    matches = match(result.sample())
    sure = result.scores[matches.boxes] >= threshold
    boxes, truths, overlaps = matches.boxes[sure], matches.truths[sure], matches.overlaps[sure]
    missed = (_missed(result, truth) for truth in range(len(result.truths)) if truth not in truths)
    false = (_false(result, box) for box in boxes[truths == NONE])
    loose = (
        _loose(result, truth, overlap)
        for truth, overlap in zip(truths, overlaps.tolist(), strict=True)
        if truth != NONE and overlap < LOOSE_IOU
    )
    return tuple(sorted((*missed, *false, *loose), key=lambda fault: fault.rank))


def _missed(result: Result, truth: int) -> Fault:
    box = result.truths[truth]
    height = float(box[3] - box[1])
    overlaps = np.where(result.scores >= LOWEST, iou(box[None], result.boxes)[0], 0)
    nearest = "no box near it"
    if overlaps.any():
        score = result.scores[overlaps.argmax()]
        nearest = f"nearest box has score {score:.2f}, IoU {overlaps.max():.2f}"
    about = f"missed plate, {height:.0f} px high: {nearest}"
    return Fault("missed", height * result.scale, box_of(box), about)


def _false(result: Result, box: int) -> Fault:
    score = float(result.scores[box])
    best = float(iou(result.boxes[box][None], result.truths).max(initial=0))
    where = f"IoU {best:.2f} with a plate" if best else "no plate is labelled there"
    about = f"false box, score {score:.2f}: {where}"
    return Fault("false box", score, box_of(result.boxes[box]), about)


def _loose(result: Result, truth: int, overlap: float) -> Fault:
    about = f"loose box, IoU {overlap:.2f}"
    return Fault("loose box", 1 - overlap, box_of(result.truths[truth]), about)


def draw(pictures: Sequence[WorstPicture], threshold: float) -> list[bytes]:
    """A JPEG of each, of at most WIDTH pixels, around what is wrong.

    Raises:
        SourceError: A file can no longer be read.
    """
    wanted: dict[Path, dict[int | None, WorstPicture]] = defaultdict(dict)
    for each in pictures:
        wanted[each.result.shot.path][each.result.shot.frame] = each
    drawn = {
        wanted[path][frame]: _jpeg(wanted[path][frame], picture, threshold)
        for path in wanted
        for frame, picture in _frames(path, wanted[path])
    }
    return [drawn[each] for each in pictures]


def _frames(path: Path, wanted: Iterable[int | None]) -> Iterator[tuple[int | None, LazyImage]]:
    """The picture of a file, or these frames of a clip, which is decoded once."""
    frames = [frame for frame in wanted if frame is not None]
    if not frames:
        yield None, read_image(path)
    for frame in itertools.islice(read_video(path), max(frames) + 1) if frames else ():
        if frame.sequence in frames:
            yield frame.sequence, frame.image


def _jpeg(worst: WorstPicture, picture: LazyImage, threshold: float) -> bytes:
    window = _window([fault.box for fault in worst.faults], picture.width, picture.height)
    crop = picture.crop(window)
    scale = min(1.0, WIDTH / crop.shape[1])
    size = round(crop.shape[1] * scale), max(1, round(crop.shape[0] * scale))
    image: Image = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
    offset = np.array([window[0], window[1]] * 2, np.float32)
    missed = {fault.box for fault in worst.faults if fault.kind == "missed"}
    for truth in worst.result.truths:
        line = 3 if box_of(truth) in missed else 1
        _box(image, (truth - offset) * scale, TRUTH, line=line)
    for box, score in zip(worst.result.boxes, worst.result.scores.tolist(), strict=True):
        if score >= LOWEST:
            colour = SURE if score >= threshold else WEAK
            _box(image, (box - offset) * scale, colour, text=f"{score:.2f}")
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 82])
    return np.asarray(data).tobytes()


def _window(boxes: Sequence[Box], width: int, height: int) -> Box:
    """A part of the picture, of its shape, that shows these boxes: at least half of each side."""
    (x1, y1), (x2, y2) = np.min(boxes, axis=0)[:2], np.max(boxes, axis=0)[2:]
    part = max(0.5, WIDTH / width, MARGIN * (x2 - x1) / width, MARGIN * (y2 - y1) / height)
    across, down = round(min(1.0, part) * width), round(min(1.0, part) * height)
    left = round(min(max(0.0, (x1 + x2 - across) / 2), width - across))
    top = round(min(max(0.0, (y1 + y2 - down) / 2), height - down))
    return left, top, left + across, top + down


def _box(image: Image, box: Floats, bgr: Sequence[int], *, line: int = 1, text: str = "") -> None:
    """A box and, where some of it is in the picture, its text above or below it."""
    x1, y1, x2, y2 = map(round, box_of(box))
    cv2.rectangle(image, (x1, y1), (x2, y2), bgr, line, cv2.LINE_AA)
    if text and x2 >= 0 and y2 >= 0 and x1 <= image.shape[1] and y1 <= image.shape[0]:
        (width, height), _ = cv2.getTextSize(text, FONT, 0.4, 1)
        left = min(max(0, x1), image.shape[1] - width)
        bottom = y1 - 3 if y1 > height + 4 else y2 + height + 4
        corner = left + width, bottom + 3
        cv2.rectangle(image, (left, bottom - height - 2), corner, bgr, cv2.FILLED)
        cv2.putText(image, text, (left, bottom), FONT, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
