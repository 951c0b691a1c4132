"""Rendered plates: some to train with beside yours, and some that measure what is forgotten.

Training on few plates alone would forget those of other countries (catastrophic forgetting).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from train.learn.own_formats import layouts_like
from train.synth.crop_database import CropDatabase, fill_crop_database
from train.synth.layouts import PlateLayout
from train.synth.rendering import LabelledCrop, RenderPlan

FORGETTING, FORGETTING_SEED = 2100, 26001
"""Rendered crops of all formats, about 2,000 of which show a plate. Always the same ones."""
REPLAY, REPLAY_SEED = 3000, 26002
"""Rendered crops of all formats to train with."""
SIMILAR, SIMILAR_SEED = 2000, 26003
"""Rendered crops of the formats of your plates to train with."""
SHARES = {"forgetting": 0.06, "replay": 0.12, "similar": 0.08}
"""Most of the command's time that rendering takes, as shares (0-1)."""


@dataclass(frozen=True, eq=False)
class Rendered:
    """Rendered crops to train with: of all formats, and of the formats of your plates."""

    replay: Sequence[LabelledCrop]
    similar: Sequence[LabelledCrop]


@dataclass(frozen=True)
class Rehearsal:
    """The files of rendered crops in a folder. An interrupted file goes on."""

    folder: Path
    minutes: float  # of the whole command

    def forgetting(self) -> list[LabelledCrop]:
        """Returns the plates that must not be forgotten."""
        crops = self._rendered("forgetting", FORGETTING, FORGETTING_SEED)
        return [crop for crop in crops if crop.text]

    def for_all_formats(self) -> None:
        """Renders the plates that do not depend on yours."""
        self.forgetting(), self._replay()

    def to_train(self, texts: Sequence[str], two_lines: float) -> Rendered:
        """Returns crops to train with. `two_lines` is the share (0-1) of the plates with these."""
        layouts = layouts_like(texts, two_lines, seed=SIMILAR_SEED)
        return Rendered(
            self._replay(),
            self._rendered("similar", SIMILAR, SIMILAR_SEED, layouts),
        )

    def _replay(self) -> list[LabelledCrop]:
        return self._rendered("replay", REPLAY, REPLAY_SEED)

    def _rendered(
        self, name: str, count: int, seed: int, layouts: tuple[PlateLayout, ...] = ()
    ) -> list[LabelledCrop]:
        path = self.folder / f"{name}.sqlite3"
        seconds = 60 * self.minutes * SHARES[name]
        fill_crop_database(path, count, RenderPlan(seed, layouts=layouts, seconds=seconds))
        file = CropDatabase(path)
        return [file[number] for number in range(len(file))]
