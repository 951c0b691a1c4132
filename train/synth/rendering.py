"""One sample for a reader: a plate of some country as a camera sees it and a detector cuts it."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from plateid.core.records import Image
from train.synth.camera_effects import CropGeometry, simulate_camera
from train.synth.distractors import render_distractor
from train.synth.flat_plate import FlatPlate, draw_plate, random_layout
from train.synth.surroundings import mount_on_vehicle
from train.synth.viewpoint import crop_plate

NO_PLATE = 0.04
"""Share of samples that show no plate."""
CAPS = (9.0, 44.0)
"""Height of the tallest characters in the picture, pixels; as often in each octave."""
FINE = (1.6, 3.0)
"""The plate is drawn so many times larger than it is seen: large ones less, small ones more."""
DETAIL = 44.0


@dataclass(frozen=True)
class LabelledCrop:
    """A crop, and what a reader is to say of it.

    Attributes:
        image: The crop as a detector gives it, BGR, in the size it has in the camera's picture.
        text: Characters of the charset in reading order, row by row; empty: no plate.
        centres: The middle of each character, x and y from 0 to 1 of the crop, shape (N, 2).
        rows: The line of each character, 0 or 1.
        region: ISO country, lower-case; empty where none issued the plate.
    """

    image: Image
    text: str
    centres: NDArray[np.float32]
    rows: tuple[int, ...]
    region: str


def render_crop(rng: np.random.Generator) -> LabelledCrop:
    """A random sample."""
    if rng.random() < NO_PLATE:
        return _no_plate(rng)
    cap = float(np.exp(rng.uniform(*np.log(CAPS))))
    fine = float(np.clip(DETAIL / cap, *FINE))
    flat = random_plate(rng, cap=cap * fine)
    scene, margin = mount_on_vehicle(rng, flat.image)
    view = crop_plate(rng, scene, margin, flat.boxes)
    middles = (flat.boxes[:, :2] + flat.boxes[:, 2:]).astype(np.float64) / 2
    size = np.array(view.image.shape[1::-1])
    centres = np.clip(view.seen(middles) / size, 0, 1).astype(np.float32)
    half = (0.3 * cap * fine, 0.4 * cap * fine) / size
    low, high = centres.min(axis=0) - half, centres.max(axis=0) + half
    box = np.clip([*low, *high], 0, 1).tolist()
    image = simulate_camera(rng, view.image, CropGeometry(fine, cap, tuple(box)))
    return LabelledCrop(image, flat.text, centres, flat.rows, flat.region)


def render_plate(
    rng: np.random.Generator, *, region: str | None = None, height: int | None = None
) -> Image:
    """A flat, clean plate; of one country, and of a height in pixels, where those are given."""
    flat = random_plate(rng, region=region, cap=48.0)
    if height is None:
        return flat.image
    size = (max(1, round(flat.image.shape[1] * height / flat.image.shape[0])), height)
    return np.asarray(cv2.resize(flat.image, size, interpolation=cv2.INTER_AREA), np.uint8)


def random_plate(rng: np.random.Generator, *, cap: float, region: str | None = None) -> FlatPlate:
    """A flat plate whose tallest characters are `cap` pixels high."""
    code, layout = random_layout(rng, region)
    return draw_plate(rng, layout, code, cap=cap)


def _no_plate(rng: np.random.Generator) -> LabelledCrop:
    picture = render_distractor(rng)
    cap = float(np.exp(rng.uniform(*np.log(CAPS))))
    image = simulate_camera(
        rng, picture, CropGeometry(max(1.0, picture.shape[0] / (1.6 * cap)), cap)
    )
    return LabelledCrop(image, "", np.zeros((0, 2), np.float32), (), "")
