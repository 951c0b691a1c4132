"""Rendered plates and streets: some to train with beside yours, others measure what is forgotten.

Training on few plates alone would forget those of other countries (catastrophic forgetting). A few
labels show the length of a country's plates and where they have digits: rendered plates of these
formats, in any font and colour, teach that without teaching the few plates by heart.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

import numpy as np

from plateid.core.drawing import encode_jpeg
from plateid.files import write_whole
from train.dataset.image_reading import read_images
from train.dataset.labelled_image import LabelledImage
from train.progress import timed
from train.street import StreetFrame, random_street, render
from train.synth.crop_database import CropDatabase, fill_crop_database
from train.synth.layouts import FREE, MAX_GROUPS, ROW, PlateLayout, layouts, random_split
from train.synth.rendering import LabelledCrop, RenderPlan

CROPS = {"forgetting": (2100, 26001, 0.06), "replay": (1500, 26002, 0.08),
         "similar": (1000, 26003, 0.06)}  # fmt: skip
"""Number and seed of rendered crops, and the most of the command's time that they take (0-1): those
of all formats that must not be forgotten (about 2,000 show a plate), others to train with, and
those of the formats of your plates to train with."""
STREETS = {"forgetting": (300, 26004, 0.1), "replay": (240, 36004, 0.08)}
"""The same for frames of streets."""
MIN_FRAMES = 24
"""Number of frames that are rendered even if they take longer: three streets."""
LABELLED_PX = 6
"""Least height of a plate in the labels of the frames, pixels. Only higher ones count, but the box
of a plate that is a little too low is not false."""
PATTERNS = 40
"""Formats of each layout: many, because a layout is one size and colour of a plate."""
VEHICLES, EVERY_S, FPS = 3, 2.0, 0.8
"""Vehicles of a street, seconds between them, and frames per second: 8 frames of a street, which
show each vehicle about twice."""
NIGHTS, SIGNS = 3, 7
"""Every third street is at night. The number of signs cycles through 0 to 6."""


@dataclass(frozen=True)
class Rehearsal:
    """The rendered images in a folder. What is there is not rendered again."""

    folder: Path
    minutes: float  # of the whole command

    def crops(self, name: str, own: Sequence[PlateLayout] = ()) -> list[LabelledCrop]:
        """Returns the crops of this name, with layouts of your formats if they are given."""
        path, (number, seed, share) = self.folder / f"{name}.sqlite3", CROPS[name]
        plan = RenderPlan(seed, layouts=tuple(own), seconds=60 * self.minutes * share)
        fill_crop_database(path, number, plan)
        file = CropDatabase(path)
        return [file[index] for index in range(len(file))]

    def frames(self, name: str) -> list[LabelledImage]:
        """Returns the frames of this name: with other minutes, there may be more."""
        folder = self.folder / f"{name}-streets-{self.minutes:g}"
        number, seed, share = STREETS[name]
        table, rows = folder / "labels.csv", ["image,x1,y1,x2,y2"]
        if not table.is_file():
            (folder / "images").mkdir(parents=True, exist_ok=True)
            frames = islice(_frames(seed), number)
            seconds = 60 * self.minutes * share
            timely = timed(frames, "Rendering streets", seconds, least=MIN_FRAMES)
            for index, frame in enumerate(timely):
                jpeg = encode_jpeg(frame.image, 90)
                write_whole(folder / "images" / f"{index:04}.jpg", jpeg)
                boxes = [",".join(map(str, plate.box)) for plate in frame.plates]
                rows += [f"{index:04}.jpg,{box}" for box in boxes or [",,,"]]
            write_whole(table, "\n".join(rows).encode())
        return read_images(folder)


def layouts_like(texts: Sequence[str], two_lines: float) -> list[PlateLayout]:
    """Returns layouts whose patterns are those of the texts. `two_lines` is a share (0-1)."""
    rng = np.random.default_rng(0)
    free = [plate for each in layouts() for plate in each.plates if FREE in plate.patterns[0]]
    chosen = []
    for _ in range(2 * len(free)):
        rows = 1 if rng.random() >= two_lines else 2
        fitting = [plate for plate in free if len(plate.cap_heights) == rows]
        layout = fitting[int(rng.integers(len(fitting)))]
        patterns = tuple(_pattern(rng, str(rng.choice(texts)), rows) for _ in range(PATTERNS))
        chosen.append(layout.model_copy(update={"patterns": patterns}))
    return chosen


def _pattern(rng: np.random.Generator, text: str, rows: int) -> str:
    """Returns a pattern such as `DDDDD DDD DD` for a text, with random gaps and rows."""
    kinds = "".join("D" if character.isdigit() else "L" for character in text)
    lines = _cut(rng, kinds, min(rows, len(kinds)))
    groups = (
        _cut(rng, line, int(rng.integers(1, 1 + min(MAX_GROUPS, len(line))))) for line in lines
    )
    return f" {ROW} ".join(" ".join(each) for each in groups)


def _cut(rng: np.random.Generator, text: str, parts: int) -> list[str]:
    ends = np.cumsum(random_split(rng, len(text), parts)).tolist()
    return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _frames(seed: int) -> Iterator[StreetFrame]:
    for index in count():
        street = random_street(VEHICLES, seed=seed + index, every_s=EVERY_S)
        light = {"night_s": 0.0} if index % NIGHTS == 0 else {}
        street = street.model_copy(update={**light, "signs": index % SIGNS})
        yield from render(street, fps=FPS, least_px=LABELLED_PX)
