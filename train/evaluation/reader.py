"""All figures of a reader."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import product

from train.evaluation.calibration import Calibration, Temperature, calibration, judged
from train.evaluation.confusion import Confusion, confusion
from train.evaluation.passes import PassFigures, pass_figures
from train.evaluation.reading import (
    Answer,
    ReaderFigures,
    end_to_end,
    on_crops,
    published,
    reader_parts,
)
from train.evaluation.results import Transcribed

WORST = 60
STEPS = (-0.05, 0.0, 0.05)
SHIFTS = tuple((x, y) for y, x in product(STEPS, repeat=2))
"""Parts of a box's width and height that are added at each side."""
EVEN = SHIFTS.index((0.0, 0.0))


@dataclass(frozen=True)
class Jitter:
    """What boxes that are a little wider or narrower than the true ones cost.

    Attributes:
        plates: In pictures: what is cut out cannot be had wider.
        shares: Of them that are read right (folded), for each of SHIFTS.
        worst_loss: Points that the worst of these is below the true boxes.
    """

    plates: int
    shares: tuple[float, ...]
    worst_loss: float


@dataclass(frozen=True, eq=False)
class ReaderEvaluation:
    """How well a bundle reads.

    Attributes:
        parts: As of `reader_parts`.
        calibration: Of what is published.
        passes: Of each source whose labels know the time.
        confusion: Of reading the true boxes.
        worst: WORST plates that are read wrong in their true boxes, the surest first.
        found: What is published end to end of these, where they are in pictures.
        jitter: None where no true box was changed.
        temperature: None unless one was fitted.
    """

    parts: dict[str, list[ReaderFigures]]
    calibration: Calibration
    passes: list[PassFigures]
    confusion: Confusion
    worst: list[Answer]
    found: dict[Transcribed, Answer]
    jitter: Jitter | None
    temperature: Temperature | None


def evaluate_reader(
    plates: Sequence[Transcribed],
    threshold: float,
    *,
    temperature: Temperature | None,
    applied: bool,
    trained: AbstractSet[str] = frozenset(),
) -> ReaderEvaluation:
    """Judges what was read.

    Args:
        plates: Everything that has a text.
        threshold: Of the detector.
        temperature: If one was fitted.
        applied: Whether all figures are those with it.
        trained: Texts of the parts that are not held out.
    """
    factor = temperature.factor if temperature and applied else 1.0
    found, crops = end_to_end(plates, threshold, factor), on_crops(plates, factor)
    return ReaderEvaluation(
        parts=reader_parts(found, crops, trained),
        calibration=calibration(judged(plates, threshold, factor)),
        passes=pass_figures(plates, threshold, factor),
        confusion=confusion(crops),
        worst=worst_reads(crops),
        found={each.plate: each for each in found},
        jitter=jitter(plates, factor),
        temperature=temperature,
    )


def worst_reads(answers: Sequence[Answer], limit: int = WORST) -> list[Answer]:
    """The wrong ones (folded): the surest first."""
    wrong = [each for each in answers if not each.is_right]
    return sorted(wrong, key=lambda each: -each.reading.confidence)[:limit]


def jitter(plates: Sequence[Transcribed], temperature: float = 1.0) -> Jitter | None:
    """Of plates that were read in their true boxes changed by SHIFTS; None without any."""
    rows = [
        [Answer(plate, published(read, temperature)).is_right for read in plate.jittered]
        for plate in plates
        if plate.jittered and not plate.is_cut_out
    ]
    if not rows:
        return None
    shares = tuple(sum(column) / len(rows) for column in zip(*rows, strict=True))
    return Jitter(len(rows), shares, 100 * (shares[EVEN] - min(shares)))
