"""Rendered street frames: some to train with beside yours, others measure what is forgotten."""

from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

from plateid.core.drawing import encode_jpeg
from plateid.files import write_whole
from train.dataset.image_reading import read_images
from train.dataset.labelled_image import LabelledImage
from train.progress import tracked
from train.street import StreetFrame, random_street, render

SETS = {"forgetting": (300, 26004), "replay": (240, 36004)}
"""Number of frames and seed of those that must not be forgotten, and of those to train with."""
VEHICLES, EVERY_S, FPS = 3, 2.0, 0.8
"""Vehicles of a street, seconds between them, and frames per second: 8 frames of a street, which
show each vehicle about twice."""
NIGHTS, SIGNS = 3, 7
"""Every third street is at night. The number of signs cycles through 0 to 6."""


def street_frames(folder: Path, name: str) -> list[LabelledImage]:
    """Returns the frames of a set. Renders them below the folder unless they are there."""
    frames_folder, (number, seed) = folder / f"{name}-streets", SETS[name]
    table = frames_folder / "labels.csv"
    if not table.is_file():
        (frames_folder / "images").mkdir(parents=True, exist_ok=True)
        rows = ["image,x1,y1,x2,y2"]
        frames = islice(_frames(seed), number)
        for index, frame in enumerate(tracked(frames, "Rendering streets", total=number)):
            write_whole(frames_folder / "images" / f"{index:04}.jpg", encode_jpeg(frame.image, 90))
            boxes = [",".join(map(str, plate.box)) for plate in frame.plates]
            rows += [f"{index:04}.jpg,{box}" for box in boxes or [",,,"]]
        write_whole(table, "\n".join(rows).encode())
    return read_images(frames_folder)


def _frames(seed: int) -> Iterator[StreetFrame]:
    for index in count():
        street = random_street(VEHICLES, seed=seed + index, every_s=EVERY_S)
        light = {"night_s": 0.0} if index % NIGHTS == 0 else {}
        yield from render(street.model_copy(update={**light, "signs": index % SIGNS}), fps=FPS)
