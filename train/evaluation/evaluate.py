"""How well a bundle finds and reads plates, through the code that runs on the device."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import track

from plateid.models.bundle import BundleSpec
from train.dataset.labelled_image import data_hash
from train.evaluation.calibration import fit
from train.evaluation.figures import Figures, parts
from train.evaluation.metrics import rank
from train.evaluation.predictor import Predictor
from train.evaluation.reader import SHIFTS, ReaderEvaluation, evaluate_reader
from train.evaluation.results import Result, Transcribed
from train.evaluation.run import EvaluationRun
from train.evaluation.sources import Source, read_crops, read_sources
from train.evaluation.threshold import Choice, choose, per_frame
from train.record import commit
from train.train_error import TrainError

Item = TypeVar("Item")


@dataclass(frozen=True)
class Negatives:
    """False boxes at the threshold, in pictures without plates."""

    name: str
    frames: int
    false_boxes: int
    false_per_frame: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All that a report says.

    Attributes:
        run: What was asked for.
        spec: Of the bundle, as it was.
        threshold: That of all figures: the bundle's, or the chosen one if that is written into it.
        commit: Of this code.
        data_sha256: Of the labelled pictures, those of cut-out plates included.
        results: The labelled pictures; empty where there are only plates that are cut out.
        blanks: The pictures and frames without plates.
        parts: Figures of "all", and by "source", "height" and "light".
        negatives: One for each of `run.negatives`, less what a threshold was chosen with.
        choice: None unless it was asked for.
        reader: None where no plate has a text. Its figures too are those of what the bundle has
            when all is done.
    """

    run: EvaluationRun
    spec: BundleSpec
    threshold: float
    commit: str
    data_sha256: str
    results: Sequence[Result]
    blanks: Sequence[Result]
    parts: dict[str, list[Figures]]
    negatives: list[Negatives]
    choice: Choice | None
    reader: ReaderEvaluation | None


def evaluate(run: EvaluationRun) -> Evaluation:
    """Finds and reads the plates of all pictures.

    The folder of the report is created first.

    Raises:
        TrainError: That cannot be done, a folder has no labels or nothing to evaluate, or a
            threshold or a temperature was to be chosen on pictures that are not held out, or
            cannot be told from them.
        PlateidError: A picture, a clip or the bundle cannot be read.
    """
    for option, asked in (
        ("--choose-threshold", run.choose_threshold),
        ("--calibrate", run.calibrate),
    ):
        if asked and not run.held_out:
            raise TrainError(f"{option}: only with --held-out, or the figures would flatter")
    _create(run.out)
    predictor = Predictor(run.bundle, SHIFTS if run.jitter else ())
    sources = read_sources(run.folders, held_out=run.held_out)
    crops = read_crops(run.crops, held_out=run.held_out)
    results, blanks = _results(predictor, sources, run.negatives)
    plates = [plate for each in results for plate in each.plates] + _cut_out(predictor, crops)
    threshold = predictor.spec.detector.threshold
    choice = _choice(results, blanks, threshold) if run.choose_threshold else None
    if choice and run.write:
        threshold = choice.threshold
    everything = (*sources, *crops)
    trained = {text for source in everything for text in source.trained}
    return Evaluation(
        run=run,
        spec=predictor.spec,
        threshold=threshold,
        commit=commit(),
        data_sha256=data_hash(p for source in everything for p in source.pictures),
        results=results,
        blanks=[each for part in blanks for each in part],
        parts=parts(results, threshold),
        negatives=[_negatives(part, threshold, halved=run.choose_threshold) for part in blanks],
        choice=choice,
        reader=_reader(run, predictor.spec, plates, threshold, trained=trained),
    )


def _create(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainError(f"--out {folder}: {error.strerror}") from error


def _results(
    predictor: Predictor, sources: Sequence[Source], negatives: Sequence[Path]
) -> tuple[list[Result], list[list[Result]]]:
    """Of the labelled pictures, and of each of `negatives`; those of one frame are one of these."""
    pictures = [(source.name, picture) for source in sources for picture in source.pictures]
    results = [predictor.labelled(*each) for each in _shown(pictures, "pictures")]
    blanks = [list(_shown(predictor.negatives(path), path.name)) for path in negatives]
    singles = [
        replace(each, source="pictures") for part in blanks if len(part) == 1 for each in part
    ]
    several = [part for part in blanks if len(part) > 1]
    return results, [*several, singles] if len(singles) > 1 else blanks


def _cut_out(predictor: Predictor, sources: Sequence[Source]) -> list[Transcribed]:
    pictures = [(source.name, picture) for source in sources for picture in source.pictures]
    return [plate for each in _shown(pictures, "crops") for plate in predictor.cut_out(*each)]


def _shown(items: Iterable[Item], title: str) -> Iterable[Item]:
    """The same, with a bar on a terminal."""
    console = Console(stderr=True)
    return track(items, title, console=console, transient=True, disable=not sys.stderr.isatty())


def _choice(results: Sequence[Result], blanks: Sequence[list[Result]], threshold: float) -> Choice:
    ranking = rank([each.sample() for each in results])
    first, second = ([each.scores for part in blanks for each in _half(part, n)] for n in (0, 1))
    return choose(ranking, first, second, current=threshold)


def _half(blanks: list[Result], number: int) -> list[Result]:
    """Half 0 chooses the threshold, half 1 judges it; neighbouring frames look the same."""
    middle = len(blanks) // 2
    return blanks[middle:] if number else blanks[:middle]


def _negatives(blanks: list[Result], threshold: float, *, halved: bool) -> Negatives:
    name, shown = blanks[0].source, _half(blanks, 1) if halved else blanks
    rate = per_frame([each.scores for each in shown], threshold)
    name = f"{name}, second half" if halved else name
    return Negatives(name, len(shown), round(rate * len(shown)), rate)


def _reader(
    run: EvaluationRun,
    spec: BundleSpec,
    plates: Sequence[Transcribed],
    threshold: float,
    *,
    trained: set[str],
) -> ReaderEvaluation | None:
    if not plates and not run.calibrate:
        return None
    current = spec.reader.temperature
    fitted = fit(plates, threshold, current=current) if run.calibrate else None
    return evaluate_reader(
        plates, threshold, temperature=fitted, applied=run.write, trained=trained
    )
