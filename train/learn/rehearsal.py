"""Rendered plates: some to train with beside yours, and some that measure what is forgotten.

Training on few plates alone would forget other countries' (catastrophic forgetting).
"""

from dataclasses import dataclass
from pathlib import Path

from train.learn.own_formats import layouts_like
from train.learn.reads import Sample
from train.reader.real_plates import RealPlate, whole_crop
from train.synth.crop_database import CropDatabase, fill_crop_database
from train.synth.layouts import PlateLayout
from train.synth.rendering import LabelledCrop, RenderPlan

FORGETTING, FORGETTING_SEED = 2100, 26001
"""Rendered crops of all formats, about 2,000 of which show a plate. Always the same ones."""
REPLAY, REPLAY_SEED = 8000, 26002
"""Rendered crops of all formats to train with."""
OWN, OWN_SEED = 3000, 26003
"""Rendered crops of the formats of your plates to train with."""
OWN_SHARE = 0.4
"""Share of your formats among the rendered crops of a training."""
SHARES = {"forgetting": 0.05, "replay": 0.09, "own": 0.06}
"""Most of the command's time that each file takes, as shares (0-1)."""


@dataclass(frozen=True)
class Rehearsal:
    """The files of rendered crops in a folder."""

    folder: Path
    minutes: float  # of the whole command

    def forgetting(self) -> Sample:
        """Renders the plates that must not be forgotten."""
        crops = self._filled("forgetting", FORGETTING, FORGETTING_SEED)
        shown = (crops[number] for number in range(len(crops)))
        return Sample.of((crop.image, crop.text) for crop in shown if crop.text)

    def fill(self, texts: list[str], two_lines: float) -> None:
        """Renders the crops to train with. `two_lines` is the share of your plates."""
        self._filled("replay", REPLAY, REPLAY_SEED)
        self._filled("own", OWN, OWN_SEED, layouts_like(texts, two_lines, seed=OWN_SEED))

    def crops(self) -> "RehearsedCrops":
        """Returns the crops to train with."""
        return RehearsedCrops(self._file("replay"), self._file("own"))

    def as_plates(self, count: int) -> list[RealPlate]:
        """Returns up to `count` rendered crops of all formats that show a plate."""
        file = self._file("replay")
        crops = (file[number] for number in range(min(count, len(file))))
        return [whole_crop(crop.image, crop.text, "rendered") for crop in crops if crop.text]

    def _file(self, name: str) -> CropDatabase:
        return CropDatabase(self.folder / f"{name}.sqlite3")

    def _filled(
        self, name: str, count: int, seed: int, layouts: tuple[PlateLayout, ...] = ()
    ) -> CropDatabase:
        plan = RenderPlan(seed, layouts=layouts, seconds=60 * self.minutes * SHARES[name])
        fill_crop_database(self.folder / f"{name}.sqlite3", count, plan)
        return self._file(name)


class RehearsedCrops:
    """Rendered crops by number: all formats first, then your formats, OWN_SHARE of the numbers."""

    def __init__(self, replay: CropDatabase, own: CropDatabase) -> None:
        self._replay, self._own = replay, own

    def __len__(self) -> int:
        return round(len(self._replay) / (1 - OWN_SHARE))

    def __getitem__(self, number: int) -> LabelledCrop:
        count = len(self._replay)
        return (
            self._replay[number] if number < count else self._own[(number - count) % len(self._own)]
        )
