"""How well a bundle finds and reads plates, through the code that runs on the device."""

import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import track

from plateid.models.bundle import BundleSpec, read_spec
from train.errors import TrainError
from train.evaluation.figures import Figures, parts
from train.evaluation.metrics import rank
from train.evaluation.predictor import Predictor, Result
from train.evaluation.sources import Source, read_sources
from train.evaluation.threshold import Choice, choose, per_frame
from train.record import commit, data_hash


@dataclass(frozen=True)
class EvaluationRun:
    """Configuration, command line and record of an evaluation.

    Attributes:
        folders: Of labelled pictures.
        bundle: What is evaluated.
        held_out: Only the validation part of the folders: for those that were trained on.
        is_open: Pictures may show plates that have no label.
        negatives: Pictures, clips and folders of them without plates.
        choose_threshold: Whether to pick one; only with `held_out`.
        write: Whether the figures, and the threshold if it is chosen, go into the bundle.
        out: Folder of the report.
    """

    folders: tuple[Path, ...]
    bundle: Path
    held_out: bool = False
    is_open: bool = False
    negatives: tuple[Path, ...] = ()
    choose_threshold: bool = False
    write: bool = False
    out: Path = Path("runs/evaluation")

    @property
    def command(self) -> str:
        """The command that does this."""
        flags = {
            "--held-out": self.held_out,
            "--open": self.is_open,
            "--choose-threshold": self.choose_threshold,
            "--write": self.write,
        }
        words = ["python", "-m", "train", "evaluate", *map(str, self.folders)]
        words += ["--bundle", str(self.bundle), *(flag for flag in flags if flags[flag])]
        words += [word for path in self.negatives for word in ("--negatives", str(path))]
        return shlex.join([*words, "--out", str(self.out)])


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
        data_sha256: Of the labelled pictures.
        results: The labelled pictures.
        blanks: The pictures and frames without plates.
        parts: Figures of "all", and by "source", "height" and "light".
        negatives: One for each of `run.negatives`, less what a threshold was chosen with.
        choice: None unless it was asked for.
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


def leaks(run: EvaluationRun) -> Iterator[str]:
    """A line for each folder that the bundle seems to be trained on and that is not held out.

    Raises:
        BundleError: `bundle.toml` cannot be used.
    """
    spec = read_spec(run.bundle)
    folders = re.findall(r"\(([^)]*)\)", spec.detector.origin)  # as train.bundle.card writes it
    said = [*folders, *(data.name for data in spec.training_data)]
    for folder in () if run.held_out else run.folders:
        name = re.escape(folder.resolve().name)
        trained = [text for text in said if re.search(rf"(?i)(?<![\w-]){name}(?![\w-])", text)]
        if trained:
            yield (
                f"{folder}: the bundle seems to be trained on it ({trained[0]}); without --held-out"
                " the figures flatter"
            )


def evaluate(run: EvaluationRun) -> Evaluation:
    """Finds and reads the plates of all pictures.

    The folder of the report is created first.

    Raises:
        TrainError: That cannot be done, a folder has no labels or nothing to evaluate, or a
            threshold was to be chosen on pictures that are not held out.
        PlateidError: A picture, a clip or the bundle cannot be read.
    """
    if run.choose_threshold and not run.held_out:
        raise TrainError("--choose-threshold: only with --held-out, or the figures would flatter")
    _create(run.out)
    predictor = Predictor(run.bundle)
    sources = read_sources(run.folders, held_out=run.held_out)
    results, blanks = _results(predictor, sources, run.negatives)
    threshold = predictor.spec.detector.threshold
    choice = _choice(results, blanks, threshold) if run.choose_threshold else None
    if choice and run.write:
        threshold = choice.threshold
    return Evaluation(
        run=run,
        spec=predictor.spec,
        threshold=threshold,
        commit=commit(),
        data_sha256=data_hash(picture for source in sources for picture in source.pictures),
        results=results,
        blanks=[each for part in blanks for each in part],
        parts=parts(results, threshold),
        negatives=[_negatives(part, threshold, halved=run.choose_threshold) for part in blanks],
        choice=choice,
    )


def _create(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainError(f"--out {folder}: {error.strerror}") from error


def _results(
    predictor: Predictor, sources: Sequence[Source], negatives: Sequence[Path]
) -> tuple[list[Result], list[list[Result]]]:
    """Of the labelled pictures, and of each of `negatives`."""
    pictures = [(source.name, picture) for source in sources for picture in source.pictures]
    console = Console(stderr=True)
    shown = partial(track, console=console, transient=True, disable=not sys.stderr.isatty())
    results = [predictor.labelled(*each) for each in shown(pictures, "pictures")]
    return results, [list(shown(predictor.negatives(path), path.name)) for path in negatives]


def _choice(results: Sequence[Result], blanks: Sequence[list[Result]], threshold: float) -> Choice:
    ranking = rank([each.sample() for each in results])
    first, second = ([each.scores for part in blanks for each in _half(part, n)] for n in (0, 1))
    return choose(ranking, first, second, current=threshold)


def _half(blanks: list[Result], number: int) -> list[Result]:
    """A threshold is chosen with half 0: of every second frame, the others would look the same."""
    middle = len(blanks) // 2
    return blanks[middle:] if number else blanks[:middle]


def _negatives(blanks: list[Result], threshold: float, *, halved: bool) -> Negatives:
    name, shown = blanks[0].source, _half(blanks, 1) if halved else blanks
    rate = per_frame([each.scores for each in shown], threshold)
    name = f"{name}, second half" if halved else name
    return Negatives(name, len(shown), round(rate * len(shown)), rate)
