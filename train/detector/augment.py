"""Augmentation of the detector's training images.

A few hundred images show few plate shapes, one kind of light and little other text. So other plates
are pasted over theirs, signs and time stamps are pasted beside them, and the image is stretched.
After ultralytics' mosaic and zoom, camera faults are simulated.
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

from plateid.capture.images import read_image
from plateid.core.records import Image
from train.dataset.formats.image_labels import all_below
from train.synth.flat_plate import random_plate
from train.synth.signs import render_sign
from train.train_error import TrainError

PlateBoxes = NDArray[np.float64]
"""Shape (N, 4), or (4,) for one: x1, y1, x2, y2 in pixels."""
Rng = np.random.Generator
REPLACED_SHARE = 0.3
"""Share of the plates that another plate replaces."""
SIGNS_SHARE = 0.4
"""Share of the images that get signs: text that is not a plate."""
OFF_VEHICLE_SHARE = 0.8
"""Share of the signs that are kept off the vehicle: the place tells a blurred sign from a plate."""
VEHICLE = np.array([-1.5, -3.0, 1.5, 3.0])
"""Extent of the vehicle around a plate: plate widths to the left and right, heights above and
below."""
STRETCHED_SHARE = 0.4
"""Share of the images that are made wider or narrower."""
MIN_SIDE_PX = 4
"""Minimum side of a box that another plate is pasted into, pixels."""
CANDIDATES = 12
"""Number of plates that the best-fitting one is chosen from."""
RECESSED_SHARE = 0.3
"""Share of the replaced wide plates that get a narrow plate, in the recess of the wide one."""
WIDE, NARROW = 3.2, (1.2, 2.6)
"""Aspect ratios: minimum of European plates; range of motorcycle and North American plates."""
MAX_MISFIT = 1.5
"""Greatest ratio between the aspect ratios of a plate and of the box that it is pasted into."""
MAX_PLATE_HEIGHT_PX = 96
"""Greatest height of a plate to paste, pixels: saves memory."""
MIN_VISIBLE = 0.5
"""Minimum share of a plate that zoom must leave visible, or its label is dropped."""


def read_plate_images(folders: tuple[str, ...]) -> list[Image]:
    """Returns every image in the folders' `images`.

    Raises TrainError if a folder has none, and SourceError for a damaged one.
    """
    plates = []
    for folder in folders:
        paths = all_below(Path(folder, "images"))
        if not paths:
            raise TrainError(f"{folder}/images: no images of plates")
        for path in paths:
            plate = read_image(path)
            scale = min(1.0, MAX_PLATE_HEIGHT_PX / plate.height)
            pixels = plate.resized(plate.width, plate.height)
            plates.append(np.asarray(cv2.resize(pixels, None, fx=scale, fy=scale), np.uint8))
    return plates


def render_plates(count: int, *, seed: int) -> list[Image]:
    """Returns plates of many countries, rendered flat and clean."""
    rng = np.random.default_rng(seed)
    plates = (random_plate(rng, cap=48.0).image for _ in range(count))
    return [np.asarray(cv2.resize(plate, None, fx=0.6, fy=0.6), np.uint8) for plate in plates]


def replace_plates(image: Image, boxes: PlateBoxes, plates: list[Image], rng: Rng) -> PlateBoxes:
    """Pastes other plates, in the same light, into boxes of `image`, in place.

    Returns the boxes of the pasted plates, shape (N, 4).
    """
    return np.array([_replaced(image, box, plates, rng) for box in boxes]).reshape(-1, 4)


def _replaced(image: Image, box: PlateBoxes, plates: list[Image], rng: Rng) -> PlateBoxes:
    x1, y1, x2, y2 = box.round().astype(int)
    width, height = x2 - x1, y2 - y1
    if min(width, height) < MIN_SIDE_PX:
        return box
    place = image[y1:y2, x1:x2]
    narrow = width / height > WIDE and rng.random() < RECESSED_SHARE
    shape = np.log(rng.uniform(*NARROW) if narrow else width / height)
    drawn = [plates[i] for i in rng.integers(len(plates), size=CANDIDATES)]
    misfits = [abs(np.log(p.shape[1] / p.shape[0]) - shape) for p in drawn]
    best = int(np.argmin(misfits))
    if misfits[best] > np.log(MAX_MISFIT):
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


def paste_signs(image: Image, boxes: PlateBoxes, rng: Rng) -> None:
    """Pastes signs and overlays beside the plates of `image`, in place."""
    height, width = image.shape[:2]
    vehicles = boxes + VEHICLE * np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    for _ in range(int(rng.integers(1, 6))):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        sign = render_sign(rng, height=max(12, int(height * rng.uniform(0.02, 0.15))))
        sign = sign[: height - y, : width - x]
        h, w = sign.shape[:2]
        free = vehicles if rng.random() < OFF_VEHICLE_SHARE else boxes
        beside = (free[:, 0] > x + w) | (free[:, 2] < x)
        if np.all(beside | (free[:, 1] > y + h) | (free[:, 3] < y)):
            place = image[y : y + h, x : x + w]
            shown = sign[:, :, 3:] / 255
            place[:] = sign[:, :, :3] * shown + place * (1 - shown)


def simulate_faults(image: Image, rng: Rng) -> Image:
    """Adds camera faults at random: infra-red, colour cast, exposure, blur, noise, compression."""
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
        encoded = cv2.imencode(".jpg", pixels, quality)[1]
        pixels = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)
    return np.asarray(pixels, np.uint8)


def _visible(box1: PlateBoxes, box2: PlateBoxes, **_options: Any) -> NDArray[np.bool_]:
    """Tells ultralytics which boxes (4, N) keep their labels after zoom."""
    kept: NDArray[np.bool_] = RandomPerspective.box_candidates(box1, box2, area_thr=MIN_VISIBLE)
    return kept


class PlateDataset(YOLODataset):
    """ultralytics' dataset with this augmentation."""

    plates: list[Image] = []  # noqa: RUF012 - none while ultralytics fills its cache
    seed, replaced = 0, REPLACED_SHARE

    @functools.cached_property
    def rng(self) -> Rng:
        """Random numbers, other ones in each worker."""
        worker = torch.utils.data.get_worker_info()
        return np.random.default_rng([self.seed, worker.id if worker else 0])

    def get_image_and_label(self, index: int) -> dict[str, Any]:
        """Returns the augmented image and its labels."""
        labels: dict[str, Any] = super().get_image_and_label(index)
        if not self.plates:
            return labels
        image, instances = labels["img"].copy(), labels["instances"]
        height, width = image.shape[:2]
        instances.convert_bbox("xyxy")
        instances.denormalize(width, height)
        boxes = instances.bboxes
        picked = self.rng.random(len(boxes)) < self.replaced
        boxes[picked] = replace_plates(image, boxes[picked].astype(float), self.plates, self.rng)
        if self.rng.random() < SIGNS_SHARE:
            paste_signs(image, boxes, self.rng)
        instances.normalize(width, height)
        if self.rng.random() < STRETCHED_SHARE:
            factor = float(np.exp(self.rng.uniform(-0.35, 0.35)))
            fit = min(1.0, max(width, height) / max(width * factor, height))
            image = cv2.resize(image, None, fx=factor * fit, fy=fit)
        return {**labels, "img": image, "resized_shape": image.shape[:2]}

    def build_transforms(self, hyp: Any = None) -> Compose:
        """Adds camera faults to ultralytics' transforms, before the last makes the tensor."""
        transforms = super().build_transforms(hyp)
        if self.augment:
            for each in transforms.transforms[0].transforms:
                if isinstance(each, RandomPerspective):
                    each.box_candidates = _visible
            transforms.insert(len(transforms.transforms) - 1, self._faults)
        return transforms

    def _faults(self, labels: dict[str, Any]) -> dict[str, Any]:
        labels["img"] = simulate_faults(labels["img"], self.rng)
        return labels
