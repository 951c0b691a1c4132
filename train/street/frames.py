"""Renders a street frame by frame, with the boxes of the readable plates, also as a video file."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np

from plateid.core.records import Box, Image
from plateid.core.text import normalise
from train.progress import tracked
from train.street.projection import FloatImage, Points, Projection, Size
from train.street.scenario import Street
from train.street.scenery import paint_scenery
from train.street.vehicle_model import VehicleModel, build_model
from train.train_error import os_errors

READABLE_PX = 16
"""Minimum height of a plate in the ground truth, pixels."""
EXPOSURE_S, NOISE_LEVELS = (1 / 250, 1 / 100), (3.2, 7.0)
"""Exposure time and deviation of the sensor noise (grey levels, before its blur), day and night."""
SHIFTS_PX = ((-0.25, -0.25), (0.25, -0.125), (-0.125, 0.25), (0.25, 0.25))
"""Shifts of the image during one exposure, pixels. Their mean has smooth edges and motion blur."""


@dataclass(frozen=True)
class VisiblePlate:
    """A plate inside the image, not hidden and high enough. `text` has no spaces."""

    vehicle: int
    text: str
    box: Box


@dataclass(frozen=True, eq=False)
class StreetFrame:
    """One image of the street, BGR uint8 (H, W, 3), and its plates."""

    image: Image
    plates: tuple[VisiblePlate, ...]


def render(
    street: Street, *, size: Size = (1280, 720), fps: float = 30, least_px: float = READABLE_PX
) -> Iterator[StreetFrame]:
    """Renders all frames of a street, with the plates that are at least `least_px` high.

    `size` is width and height in pixels, about 16 to 9.
    Raises TrainError if no layout fits a plate, or a font is not installed.
    """
    renderer = _Renderer(street, Projection(*size), least_px)
    for index in range(round(street.length_s * fps)):
        yield StreetFrame(renderer.image(index / fps), renderer.plates(index / fps))


class _Renderer:
    def __init__(
        self, street: Street, projection: Projection, least_px: float = READABLE_PX
    ) -> None:
        self._street, self._projection, self._least_px = street, projection, least_px
        self._models = [
            build_model(vehicle, np.random.default_rng((street.seed, 1, number)))
            for number, vehicle in enumerate(street.vehicles)
        ]
        self._day, self._night = paint_scenery(projection, seed=street.seed, signs=street.signs)

    def plates(self, at_s: float) -> tuple[VisiblePlate, ...]:
        """Returns the plates that are visible and high enough at a time."""
        found, nearer = [], list[Box]()
        for number, (model, place) in reversed(self._present(at_s).items()):
            box, whole = model.boxes(self._projection, place)
            (x1, y1, x2, y2), x, y = box, (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
            hidden = any(a < x < c and b < y < d for a, b, c, d in nearer)
            inside = x1 >= 0 and x2 <= self._projection.width and y2 <= self._projection.height
            if inside and not hidden and y2 - y1 >= self._least_px:
                found.append(VisiblePlate(number, normalise(model.vehicle.plate), box))
            nearer.append(whole)
        return tuple(found)

    def image(self, at_s: float) -> Image:
        """Returns the image at a time, with noise a little coarser than a pixel."""
        day = self._street.daylight(at_s)
        rng = np.random.default_rng((self._street.seed, 3, round(at_s * 1000)))
        white = rng.standard_normal(self._day.shape[:2], np.float32)
        noise = cv2.GaussianBlur(
            white * (NOISE_LEVELS[0] * day + NOISE_LEVELS[1] * (1 - day)), (0, 0), 0.7
        )
        light = cv2.cvtColor(noise, cv2.COLOR_GRAY2BGR)
        for night, share in ((False, day), (True, 1 - day)):
            if share:
                light += self._exposed(at_s, night=night) * np.float32(share)
        return np.asarray(np.clip(light + 0.5, 0, 255), np.uint8)

    def _present(self, at_s: float) -> dict[int, tuple[VehicleModel, Points]]:
        """Returns the visible vehicles and their positions by number, the farthest first."""
        places = {
            number: (model, np.array([model.vehicle.x_m, 0, distance]))
            for number, model in enumerate(self._models)
            if (distance := model.vehicle.distance_m(at_s)) is not None
        }
        return dict(sorted(places.items(), key=lambda item: -item[1][1][2]))

    def _exposed(self, at_s: float, *, night: bool) -> FloatImage:
        """Returns the mean image during one exposure."""
        street = self._night if night else self._day
        total = np.zeros(street.shape, np.float32)
        for step, shift in zip(np.linspace(-0.5, 0.5, len(SHIFTS_PX)), SHIFTS_PX, strict=True):
            moment = street.copy()
            for model, place in self._present(at_s + step * EXPOSURE_S[night]).values():
                moved = place + np.array([*shift, 0]) * place[2] / self._projection.focal_px
                model.draw(moment, self._projection, moved, night=night)
            cv2.accumulate(moment, total)
        total /= len(SHIFTS_PX)
        return total


CODEC = {"crf": "28", "preset": "medium", "threads": "1"}
"""Options of libx264. One thread, so that the same street gives the same file."""


def write_video(street: Street, path: Path, *, size: Size = (1280, 720), fps: int = 30) -> None:
    """Writes the video (H.264) to `path`, and the ground truth to the same name with `.json`.

    The ground truth has a box for each frame from `first_frame` to `last_frame`, or null while the
    plate is hidden. Raises TrainError if a plate cannot be drawn, or a file cannot be written.
    """
    boxes: list[dict[int, list[float]]] = [{} for _ in street.vehicles]  # by number of the frame
    count = round(street.length_s * fps)
    with os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"new-{path.name}")
        with av.open(str(unfinished), "w", options={"movflags": "+faststart"}) as container:
            stream = container.add_stream("libx264", rate=fps, options=CODEC)
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            frames = tracked(render(street, size=size, fps=fps), path.name, total=count)
            for index, frame in enumerate(frames):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.image, "bgr24")))
                for plate in frame.plates:
                    boxes[plate.vehicle][index] = np.round(plate.box, 1).tolist()
            container.mux(stream.encode())
        unfinished.replace(path)
        truth = []
        for vehicle, found in zip(street.vehicles, boxes, strict=True):
            first, last = min(found, default=0), max(found, default=-1)
            entry: dict[str, object] = {"plate": normalise(vehicle.plate), "region": vehicle.region}
            entry |= {"first_frame": first, "last_frame": last}
            truth.append({**entry, "boxes": [found.get(at) for at in range(first, last + 1)]})
        head = {"width": size[0], "height": size[1], "fps": fps, "frames": count}
        path.with_suffix(".json").write_text(json.dumps({**head, "vehicles": truth}))
