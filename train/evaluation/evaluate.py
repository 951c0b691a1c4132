"""How well a bundle finds and reads plates, through the code that runs on the device."""

import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from plateid.models.bundle import BundleSpec
from train.errors import TrainError
from train.evaluation.figures import Figures, parts
from train.evaluation.judge import Judge, Judged
from train.evaluation.metrics import rank
from train.evaluation.sources import Source, read_source
from train.evaluation.threshold import Choice, choose, per_frame
from train.record import commit, data_hash


@dataclass(frozen=True)
class EvaluationRun:
    """Configuration, command line and record of an evaluation.

    Attributes:
        folders: Of labelled pictures.
        bundle: What is evaluated.
        held_out: Only the validation part of the folders: for those that were trained on.
        negatives: Pictures, clips and folders of them without plates.
        choose_threshold: Whether to pick one; only with `held_out`.
        out: Folder of the report.
    """

    folders: tuple[Path, ...]
    bundle: Path
    held_out: bool = False
    negatives: tuple[Path, ...] = ()
    choose_threshold: bool = False
    out: Path = Path("runs/evaluation")

    @property
    def command(self) -> str:
        """The command that does this."""
        words = ["python", "-m", "train", "evaluate", *map(str, self.folders)]
        words += ["--bundle", str(self.bundle), *(["--held-out"] if self.held_out else [])]
        words += [word for path in self.negatives for word in ("--negatives", str(path))]
        words += ["--choose-threshold"] if self.choose_threshold else []
        return shlex.join([*words, "--out", str(self.out)])


@dataclass(frozen=True)
class Negatives:
    """False boxes at the bundle's threshold, in pictures without plates."""

    name: str
    frames: int
    false_boxes: int
    false_per_frame: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All that a report says.

    Attributes:
        run: What was asked for.
        spec: Of the bundle.
        commit: Of this code.
        data_sha256: Of the labelled pictures.
        judged: The labelled pictures.
        blanks: The pictures and frames without plates.
        parts: Figures of "all", and by "source", "height" and "light".
        curves: Precision at metrics.RECALLS of "all" and of each source.
        negatives: One for each of `run.negatives`.
        choice: None unless it was asked for.
    """

    run: EvaluationRun
    spec: BundleSpec
    commit: str
    data_sha256: str
    judged: Sequence[Judged]
    blanks: Sequence[Judged]
    parts: dict[str, list[Figures]]
    curves: dict[str, list[float]]
    negatives: list[Negatives]
    choice: Choice | None

    @property
    def threshold(self) -> float:
        """The bundle's: that of all figures."""
        return self.spec.detector.threshold


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
    judge = Judge(run.bundle)
    threshold = judge.spec.detector.threshold
    sources = read_sources(run)
    judged, blanks = _judged(judge, sources, run.negatives)
    return Evaluation(
        run=run,
        spec=judge.spec,
        commit=commit(),
        data_sha256=data_hash(picture for source in sources for picture in source.pictures),
        judged=judged,
        blanks=[each for of_one in blanks for each in of_one],
        parts=parts(judged, threshold),
        curves=_curves(judged, sources),
        negatives=[_negatives(of_one, threshold) for of_one in blanks],
        choice=_choice(judged, blanks, threshold) if run.choose_threshold else None,
    )


def _create(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainError(f"--out {folder}: {error.strerror}") from error


def read_sources(run: EvaluationRun) -> list[Source]:
    """The sources by their folders' names, or by their paths where two have the same name.

    Raises:
        TrainError: A folder cannot be read, or there is nothing to evaluate.
    """
    names = Counter(folder.resolve().name for folder in run.folders)
    return [
        read_source(folder, name if names[name] == 1 else str(folder), held_out=run.held_out)
        for folder in run.folders
        for name in [folder.resolve().name]
    ]


def _judged(
    judge: Judge, sources: Sequence[Source], negatives: Sequence[Path]
) -> tuple[list[Judged], list[list[Judged]]]:
    """The labelled pictures, and those of each of `negatives`."""
    pictures = [(source, picture) for source in sources for picture in source.pictures]
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not sys.stderr.isatty()
    ) as bar:
        judged = [judge.labelled(*each) for each in bar.track(pictures, description="pictures")]
        blanks = [
            list(bar.track(judge.negatives(path), description=path.name)) for path in negatives
        ]
    return judged, blanks


def _curves(judged: Sequence[Judged], sources: Sequence[Source]) -> dict[str, list[float]]:
    samples = {"all": [each.sample() for each in judged]}
    for source in sources:
        samples[source.name] = [each.sample() for each in judged if each.source == source.name]
    return {name: rank(of_one).curve().tolist() for name, of_one in samples.items()}


def _negatives(blanks: Sequence[Judged], threshold: float) -> Negatives:
    scores = [each.scores for each in blanks]
    rate = per_frame(scores, threshold)
    return Negatives(blanks[0].source, len(blanks), round(rate * len(blanks)), rate)


def _choice(
    judged: Sequence[Judged], blanks: Sequence[Sequence[Judged]], threshold: float
) -> Choice:
    scores = [each.scores for of_one in blanks for each in of_one]
    return choose(rank([each.sample() for each in judged]), scores, current=threshold)
