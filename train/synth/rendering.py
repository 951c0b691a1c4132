"""Renders labelled crops for training a reader."""

import math
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from plateid.core.records import Image
from train.progress import tracked
from train.synth.camera_effects import CropGeometry, simulate_camera
from train.synth.distractors import render_distractor
from train.synth.flat_plate import draw_plate, random_plate
from train.synth.layouts import PlateLayout
from train.synth.surroundings import mount_on_vehicle
from train.synth.viewpoint import crop_plate

NO_PLATE = 0.04
"""Share of crops that show no plate."""
CAPS = (9.0, 44.0)
"""Height of the tallest characters on the sensor, pixels; log-uniformly distributed."""
OVERSAMPLING = (1.6, 3.0)
"""A plate is drawn larger than it is on the sensor by a factor between these."""
DETAIL_PX = 44.0
"""Height at which the characters are drawn if the factor allows it."""
CHUNK = 32
"""Crops that a process renders at a time."""
Row = TypeVar("Row")


@dataclass(frozen=True)
class LabelledCrop:
    """A detector's crop at the resolution of the sensor, and what a reader must answer."""

    image: Image
    text: str = ""  # in reading order, row by row; empty: no plate
    centres: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    """Centre of each character if known, normalised coordinates (0-1), shape (N, 2)."""
    rows: tuple[int, ...] = ()  # of each character, 0 or 1
    region: str = ""  # ISO code of the country in lower case; empty: none issued the plate
    corners: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    """Corners of the plate if known, clockwise from top left, normalised; shape (4, 2)."""

    @property
    def lines(self) -> int:
        """Number of text lines; 1 without a plate."""
        return 1 + max(self.rows, default=0)


@dataclass(frozen=True)
class RenderPlan:
    """Which crops to render, and with what."""

    seed: int
    workers: int | None = None  # processes; None: one per core
    layouts: tuple[PlateLayout, ...] = ()  # of the plates; empty: all that ship, by their weights
    seconds: float = math.inf  # stops after this time


def render_in_processes(
    write: Callable[[int, LabelledCrop], Row], numbers: range, plan: RenderPlan
) -> Iterator[Row]:
    """Yields `write(number, crop)` of crops that depend on their numbers and the seed only."""
    end = time.monotonic() + plan.seconds
    with multiprocessing.get_context("spawn").Pool(plan.workers) as pool:
        render = partial(_render_and_write, write, plan)
        rows = pool.imap(render, numbers, chunksize=CHUNK)
        for row in tracked(rows, "Rendering", total=len(numbers)):
            yield row
            if time.monotonic() > end:
                return


def _render_and_write(
    write: Callable[[int, LabelledCrop], Row], plan: RenderPlan, number: int
) -> Row:
    cv2.setNumThreads(1)
    return write(number, render_crop(np.random.default_rng((plan.seed, number)), plan.layouts))


def render_crop(rng: np.random.Generator, layouts: Sequence[PlateLayout] = ()) -> LabelledCrop:
    """Returns a random crop. Without layouts, its plate is of any country."""
    if rng.random() < NO_PLATE:
        distractor, cap = render_distractor(rng), _random_cap(rng)
        geometry = CropGeometry(max(1.0, distractor.shape[0] / (1.6 * cap)), cap)
        return LabelledCrop(simulate_camera(rng, distractor, geometry))
    cap = _random_cap(rng)
    oversampling = float(np.clip(DETAIL_PX / cap, *OVERSAMPLING))
    if layouts:
        layout = layouts[int(rng.integers(len(layouts)))]
        plate = draw_plate(rng, layout, "", cap=cap * oversampling)
    else:
        plate = random_plate(rng, cap=cap * oversampling)
    vehicle, margin = mount_on_vehicle(rng, plate.image)
    crop = crop_plate(rng, vehicle, margin, plate.boxes)
    size = np.array(crop.image.shape[1::-1])
    centres = np.clip(crop.centres / size, 0, 1).astype(np.float32)
    half = (0.3 * cap * oversampling, 0.4 * cap * oversampling) / size
    low, high = centres.min(axis=0) - half, centres.max(axis=0) + half
    box = np.clip([*low, *high], 0, 1).tolist()
    image = simulate_camera(rng, crop.image, CropGeometry(oversampling, cap, tuple(box)))
    corners = (crop.corners / size).astype(np.float32)
    return LabelledCrop(image, plate.text, centres, plate.rows, plate.region, corners)


def _random_cap(rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(*np.log(CAPS))))
