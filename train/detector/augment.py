"""Training pictures as another camera in another country would have taken them.

A few hundred pictures show few shapes of plate, one kind of light and hardly any text that is no
plate. While they are loaded, other plates take the place of theirs, signs and time stamps are put
beside them, and the whole is stretched; after mosaic and zoom the camera's own faults come.
"""

import functools
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from ultralytics.data.augment import Compose, RandomPerspective
from ultralytics.data.dataset import YOLODataset

from plateid.core.records import Image
from train.dataset.formats.image_labels import all_below
from train.synth.rendering import render_plate
from train.synth.signs import render_sign
from train.train_error import TrainError

Box = NDArray[np.float64]
"""Shape (4,): x1, y1, x2, y2 in pixels."""
Boxes = NDArray[np.float64]
"""Shape (N, 4), of the same."""
Rng = np.random.Generator
TRANSPLANTED = 0.3
"""Share of the plates that another one replaces."""
DISTRACTED = 0.4
"""Share of the pictures that get text that is no plate."""
ELSEWHERE = 0.8
"""Share of these texts that are kept off the vehicle: on walls, where most of a street's are. What
a blurred text says tells little; where it is tells more."""
AROUND = np.array([-1.5, -3.0, 1.5, 3.0])
"""What is the vehicle's: so many widths of a plate left and right of it, and heights above and
below."""
STRETCHED = 0.4
"""Share of the pictures that are made wider or narrower."""
SMALLEST = 4
"""Pixels a side, of a box that another plate is put into."""
CANDIDATES = 12
RECESSED = 0.3
"""Share of the replaced wide plates that a narrow one replaces, in the recess of the wide one."""
WIDE, NARROW = 3.2, (1.2, 2.6)
"""Width by height, of European plates; and of those of motorcycles and of North America."""
WORST_FIT = 1.5
"""Greatest ratio between the shapes of a plate and of the box that it is put into."""
MAX_PLATE_HEIGHT = 96
WHOLE = 0.5
"""Of a plate that zoom cuts off at the border, what must be left of it to be one still."""


def read_cut_outs(folders: tuple[str, ...]) -> list[Image]:
    """Plates already cut out: every picture in the folders' `images`.

    Raises:
        TrainError: A folder has none, or one is not a picture.
    """
    plates = []
    for folder in folders:
        paths = all_below(Path(folder, "images"))
        if not paths:
            raise TrainError(f"{folder}/images: no pictures of plates")
        plates += [_read_cut_out(path) for path in paths]
    return plates


def _read_cut_out(path: Path) -> Image:
    plate = cv2.imread(str(path))
    if plate is None:
        raise TrainError(f"{path}: not a readable picture")
    scale = min(1.0, MAX_PLATE_HEIGHT / plate.shape[0])
    return np.asarray(cv2.resize(plate, None, fx=scale, fy=scale), np.uint8)


def render_plates(count: int, *, seed: int) -> list[Image]:
    """Plates of many countries, rendered flat and clean."""
    rng = np.random.default_rng(seed)
    plates = (render_plate(rng) for _ in range(count))
    return [np.asarray(cv2.resize(plate, None, fx=0.6, fy=0.6), np.uint8) for plate in plates]


def transplant(image: Image, boxes: Boxes, plates: list[Image], rng: Rng) -> Boxes:
    """Puts other plates, in the same light, into boxes of `image`, in place.

    Args:
        image: BGR (H, W, 3) uint8.
        boxes: (N, 4) of x1, y1, x2, y2 in pixels.
        plates: What to put in; the best fit of some is taken.
        rng: Where chance comes from.

    Returns:
        The boxes around the plates as they are now, of the same shape.
    """
    return np.array([_transplanted(image, box, plates, rng) for box in boxes]).reshape(-1, 4)


def _transplanted(image: Image, box: Box, plates: list[Image], rng: Rng) -> Box:
    """The box around the plate as it is now."""
    x1, y1, x2, y2 = box.round().astype(int)
    width, height = x2 - x1, y2 - y1
    if min(width, height) < SMALLEST:
        return box
    place = image[y1:y2, x1:x2]
    narrow = width / height > WIDE and rng.random() < RECESSED
    shape = np.log(rng.uniform(*NARROW) if narrow else width / height)
    drawn = [plates[i] for i in rng.integers(len(plates), size=CANDIDATES)]
    misfits = [abs(np.log(p.shape[1] / p.shape[0]) - shape) for p in drawn]
    best = int(np.argmin(misfits))
    if misfits[best] > np.log(WORST_FIT):
        return box
    light, cast = place.mean(), place.mean(axis=(0, 1))
    if narrow:
        ring = image[max(0, y1 - height // 2) : y2 + height // 2, max(0, x1 - height) : x2 + height]
        place[:] = np.clip(np.median(ring, axis=(0, 1)) * rng.uniform(0.4, 1.1), 0, 255)
        x1 += round((width - height * np.exp(shape)) * rng.uniform(0.3, 0.7))
        x2 = x1 + round(height * np.exp(shape))
        y1 += int(rng.integers(0, height // 6 + 1))
        y2 -= int(rng.integers(0, height // 6 + 1))
        place = image[y1:y2, x1:x2]
    plate = cv2.resize(drawn[best], place.shape[1::-1], interpolation=cv2.INTER_AREA)
    ratio = np.sqrt((light + 20) / (plate.mean() + 20) * (cast + 20) / (plate.mean((0, 1)) + 20))
    place[:] = np.clip(plate * np.clip(ratio, 0.2, 1.5) * rng.uniform(0.8, 1.25), 0, 255)
    return np.array([x1, y1, x2, y2], float) if narrow else box


def distract(image: Image, boxes: Boxes, rng: Rng) -> None:
    """Puts signs and overlays beside the plates of `image`, in place."""
    height, width = image.shape[:2]
    vehicles = boxes + AROUND * np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    for _ in range(int(rng.integers(1, 6))):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        board = render_sign(rng, height=max(12, int(height * rng.uniform(0.02, 0.15))))
        board = board[: height - y, : width - x]
        h, w = board.shape[:2]
        free = vehicles if rng.random() < ELSEWHERE else boxes
        beside = (free[:, 0] > x + w) | (free[:, 2] < x)
        if np.all(beside | (free[:, 1] > y + h) | (free[:, 3] < y)):
            place = image[y : y + h, x : x + w]
            shown = board[:, :, 3:] / 255
            place[:] = board[:, :, :3] * shown + place * (1 - shown)


def camera_faults(image: Image, rng: Rng) -> Image:
    """What a camera does: infra-red, a cast, exposure, blur, noise and compression, each at times.

    Args:
        image: BGR (H, W, 3) uint8.
        rng: Where chance comes from.
    """
    pixels = image
    if rng.random() < 0.15:
        pixels = cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    elif rng.random() < 0.25:
        pixels = np.clip(pixels * rng.uniform(0.6, 1.3, 3), 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        exposed = np.linspace(0, 1, 256) ** rng.uniform(0.5, 2.2) * rng.uniform(180, 420)
        pixels = cv2.LUT(pixels, np.clip(exposed, 0, 255).astype(np.uint8))
    if rng.random() < 0.15:
        pixels = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.4, 1.6))
    elif rng.random() < 0.15:
        kernel = np.full((1, int(rng.integers(3, 8))), 1.0)
        pixels = cv2.filter2D(pixels, -1, kernel / kernel.size)
    if rng.random() < 0.15:
        noise = rng.normal(0, rng.uniform(3, 14), pixels.shape[:2])[:, :, None]
        pixels = np.clip(pixels + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 80))]
        pixels = cv2.imdecode(cv2.imencode(".jpg", pixels, quality)[1], cv2.IMREAD_COLOR)
    return np.asarray(pixels, np.uint8)


def _whole_enough(box1: Boxes, box2: Boxes, **_options: Any) -> NDArray[np.bool_]:
    """Which boxes (4, N) are still boxes of something after zoom, for ultralytics."""
    kept: NDArray[np.bool_] = RandomPerspective.box_candidates(box1, box2, area_thr=WHOLE)
    return kept


class PlateDataset(YOLODataset):  # type: ignore[misc] - ultralytics is untyped
    """ultralytics' dataset with these augmentations on its training side."""

    plates: list[Image] = []  # noqa: RUF012 - none while ultralytics fills its cache
    seed = 0

    @functools.cached_property
    def rng(self) -> Rng:
        """A stream of chance for each worker."""
        worker = torch.utils.data.get_worker_info()
        return np.random.default_rng([self.seed, worker.id if worker else 0])

    def get_image_and_label(self, index: int) -> dict[str, Any]:
        """The picture and its labels, both changed."""
        labels: dict[str, Any] = super().get_image_and_label(index)
        if not self.plates:
            return labels
        image, instances = labels["img"].copy(), labels["instances"]
        height, width = image.shape[:2]
        instances.convert_bbox("xyxy")
        instances.denormalize(width, height)
        boxes = instances.bboxes
        picked = self.rng.random(len(boxes)) < TRANSPLANTED
        boxes[picked] = transplant(image, boxes[picked].astype(float), self.plates, self.rng)
        if self.rng.random() < DISTRACTED:
            distract(image, boxes, self.rng)
        instances.normalize(width, height)
        if self.rng.random() < STRETCHED:
            factor = float(np.exp(self.rng.uniform(-0.35, 0.35)))
            fit = min(1.0, max(width, height) / max(width * factor, height))
            image = cv2.resize(image, None, fx=factor * fit, fy=fit)
        return {**labels, "img": image, "resized_shape": image.shape[:2]}

    def build_transforms(self, hyp: Any = None) -> Compose:
        """Those of ultralytics, and the camera's faults before the last, which makes the tensor."""
        transforms = super().build_transforms(hyp)
        if self.augment:
            for each in transforms.transforms[0].transforms:
                if isinstance(each, RandomPerspective):
                    each.box_candidates = _whole_enough
            transforms.insert(len(transforms.transforms) - 1, self._camera)
        return transforms

    def _camera(self, labels: dict[str, Any]) -> dict[str, Any]:
        labels["img"] = camera_faults(labels["img"], self.rng)
        return labels
