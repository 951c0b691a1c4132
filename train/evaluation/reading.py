"""How many plates are read right: all of them, and by what makes them hard."""

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

import numpy as np

from plateid.core.reading import EMPTY, single_reading
from plateid.core.records import PlateRead, Reading
from plateid.core.text import edit_distance, tempered
from plateid.models.tta import fuse_variants
from train.evaluation.figures import NIGHT_LUMA, Band
from train.evaluation.results import Look, Transcribed
from train.folding import fold

SURE = 0.9
"""Reads with this confidence can be acted upon: there should be few that are wrong."""
CHARACTERS: dict[str, Band] = {
    "< 8 px": (0, 8),
    "8-12 px": (8, 12),
    "12-20 px": (12, 20),
    "> 20 px": (20, np.inf),
}
"""By `Transcribed.character_height`."""

NEW, TRAINED = "new text", "trained text"
"""Whether the same plate stands in other pictures, which were trained on."""


@dataclass(frozen=True, eq=False)
class Answer:
    """A plate, and what is published of it; EMPTY where nothing was found or is legible."""

    plate: Transcribed
    reading: Reading

    @property
    def is_exact(self) -> bool:
        """Whether it was read as it is."""
        return self.plate.text == self.reading.plate

    @property
    def is_right(self) -> bool:
        """Whether it was read as it is, but for O as 0 and I as 1."""
        return fold(self.plate.text) == fold(self.reading.plate)

    @property
    def edits(self) -> int:
        """Between what it says and what was read."""
        return edit_distance(self.plate.text, self.reading.plate)


def end_to_end(
    plates: Iterable[Transcribed], threshold: float, temperature: float = 1.0
) -> list[Answer]:
    """What is published of plates in pictures: nothing, where the detector does not find them.

    Args:
        plates: Those that are cut out are left out.
        threshold: Of the detector.
        temperature: On top of the bundle's own.
    """
    return [
        Answer(plate, published(plate.found if plate.score >= threshold else None, temperature))
        for plate in plates
        if not plate.is_cut_out
    ]


def on_crops(plates: Iterable[Transcribed], temperature: float = 1.0) -> list[Answer]:
    """What the reader says where each box is the true one; `temperature` as above."""
    return [Answer(plate, published(plate.crop, temperature)) for plate in plates]


def published(look: Look | None, temperature: float = 1.0) -> Reading:
    """The reading of a plate in a still picture, as `plateid read` gives it."""
    if look is None:
        return EMPTY
    return single_reading(fuse_variants([retempered(read, temperature) for read in look]))


def retempered(read: PlateRead, temperature: float) -> PlateRead:
    """The read of the same reader if its bundle's temperature were so many times as high.

    This is what the device does to them.
    """
    if temperature == 1.0:
        return read
    return replace(read, probabilities=tempered(read.probabilities, temperature))


@dataclass(frozen=True)
class ReaderFigures:
    """How well plates are read; a share of nothing is None.

    Attributes:
        name: Of these plates.
        plates: In pictures.
        exact: Share of them that were found and read as they are.
        folded: The same, with O as 0 and I as 1.
        cer: Characters that are wrong, missing or too many, for one that is there.
        sure: Share of the plates whose confidence is at least SURE.
        sure_right: Share of those that are right (folded).
        crops: Plates that were read in their true boxes, those that are cut out included.
        crops_exact: As above.
        crops_folded: As above.
        crops_cer: As above.
    """

    name: str
    plates: int
    exact: float | None
    folded: float | None
    cer: float | None
    sure: float | None
    sure_right: float | None
    crops: int
    crops_exact: float | None
    crops_folded: float | None
    crops_cer: float | None


def reader_figures(name: str, found: Sequence[Answer], crops: Sequence[Answer]) -> ReaderFigures:
    """The figures of these plates."""
    sure = [each for each in found if each.reading.confidence >= SURE]
    return ReaderFigures(
        name=name,
        plates=len(found),
        exact=part_of(each.is_exact for each in found),
        folded=part_of(each.is_right for each in found),
        cer=_cer(found),
        sure=len(sure) / len(found) if found else None,
        sure_right=part_of(each.is_right for each in sure),
        crops=len(crops),
        crops_exact=part_of(each.is_exact for each in crops),
        crops_folded=part_of(each.is_right for each in crops),
        crops_cer=_cer(crops),
    )


def reader_parts(
    found: Sequence[Answer],
    crops: Sequence[Answer],
    trained: AbstractSet[str] = frozenset(),
) -> dict[str, list[ReaderFigures]]:
    """Figures of "all", and by "source", "characters", "lines", "legibility", "light" and "text".

    Args:
        found: What is published end to end.
        crops: What is read in true boxes.
        trained: Texts of the parts that are not held out; none: no figures by "text".
    """

    def by(key: Callable[[Transcribed], str], names: Iterable[str]) -> list[ReaderFigures]:
        parts = {
            name: [[each for each in side if key(each.plate) == name] for side in (found, crops)]
            for name in names
        }
        return [reader_figures(name, *sides) for name, sides in parts.items() if any(sides)]

    plates = [each.plate for each in crops]
    legibility = ("clear", "hard", *sorted({_legibility(plate) for plate in plates}))
    return {
        "all": [reader_figures("all", found, crops)],
        "source": by(lambda plate: plate.source, dict.fromkeys(p.source for p in plates)),
        "characters": by(_height, CHARACTERS),
        "lines": by(_lines, ("1 line", "2 lines")),
        "legibility": by(_legibility, dict.fromkeys(legibility)),
        "light": by(_light, ("day", "night")),
        "text": by(
            lambda plate: TRAINED if plate.text in trained else NEW,
            (NEW, TRAINED) if trained else (),
        ),
    }


def _height(plate: Transcribed) -> str:
    bands = CHARACTERS.items()
    return next(name for name, (low, high) in bands if low <= plate.character_height < high)


def _lines(plate: Transcribed) -> str:
    return "2 lines" if plate.lines == 2 else "1 line"


def _legibility(plate: Transcribed) -> str:
    return plate.labels.legibility or "not said"


def _light(plate: Transcribed) -> str:
    """Of a plate that is cut out, nothing is known of the light."""
    if plate.is_cut_out:
        return ""
    return "day" if plate.luma >= NIGHT_LUMA else "night"


def _cer(answers: Sequence[Answer]) -> float | None:
    """Levenshtein distances over lengths, both summed up."""
    characters = sum(len(each.plate.text) for each in answers)
    return sum(each.edits for each in answers) / characters if characters else None


def part_of(right: Iterable[bool]) -> float | None:
    """The share of these that are true."""
    each = list(right)
    return sum(each) / len(each) if each else None
