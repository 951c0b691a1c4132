"""Evaluates a bundle on labelled images, with the code that runs on the device."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from plateid.models.bundle import BundleSpec, read_spec
from train.dataset.image_reading import read_images, read_tables
from train.dataset.labelled_image import LabelledImage, data_hash
from train.dataset.splits import load_crops, load_split
from train.evaluation.confidence_calibration import (
    Calibration,
    FittedTemperature,
    calibration,
    fit_temperature,
    reads_to_judge,
)
from train.evaluation.detector_accuracy import DetectorAccuracy, grouped_detector_accuracy
from train.evaluation.image_results import ImageResult, LabelledPlate
from train.evaluation.predictor import Predictor
from train.evaluation.reader_accuracy import (
    GroupAccuracy,
    PassAccuracy,
    ReadResult,
    confusions,
    end_to_end,
    grouped_reader_accuracy,
    in_true_boxes,
    pass_accuracy,
)
from train.manifest.weight_origin import data_name, trained_on
from train.progress import tracked
from train.record import commit
from train.train_error import TrainError, os_errors

SourcedImage = tuple[str, LabelledImage]
"""An image and its source: its folder's name, or the path if another folder has the same name."""


@dataclass(frozen=True)
class EvaluationRun:
    """Configuration, command line (see `train evaluate --help`) and record of an evaluation."""

    folders: tuple[Path, ...]
    bundle: Path
    crops: tuple[Path, ...] = ()
    held_out: bool = False
    is_open: bool = False
    negatives: tuple[Path, ...] = ()
    calibrate: bool = False
    write: bool = False
    out: Path = Path("runs/evaluation")
    reader: Path | None = None  # a drop-in model in place of the bundle's reader


@dataclass(frozen=True)
class FalseBoxes:
    """False boxes at the threshold, in images without plates."""

    name: str
    frames: int
    false_boxes: int
    false_per_frame: float


@dataclass(frozen=True, eq=False)
class ReaderResults:
    """Everything about reading, at the bundle's temperature, or the fitted one if it is written."""

    parts: dict[str, list[GroupAccuracy]]
    calibration: Calibration
    temperature: FittedTemperature | None  # None unless one was to be fitted
    passes: list[PassAccuracy]  # of each source whose labels have times
    confusions: Counter[tuple[str, str]]  # in true boxes
    found: list[ReadResult]  # end to end
    crops: list[ReadResult]  # in true boxes


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Everything that a report shows."""

    run: EvaluationRun
    spec: BundleSpec  # before anything was written
    threshold: float  # of the bundle
    commit: str
    data_sha256: str
    results: Sequence[ImageResult]  # empty if there are plate crops only
    parts: dict[str, list[DetectorAccuracy]]
    negatives: list[FalseBoxes]
    reader: ReaderResults | None  # None if no plate has a text


def evaluate(run: EvaluationRun) -> Evaluation:
    """Detects and reads the plates of all images. Creates the report's folder first.

    Raises TrainError if an option or the data cannot be used, PlateidError if an image, a video or
    the bundle cannot be read.
    """
    if run.reader and run.write:
        raise TrainError("--write: changes the bundle; with --reader, use --calibrate alone")
    for line in training_data(run):
        for option in ("calibrate", "write"):
            if vars(run)[option] and not run.held_out:
                raise TrainError(f"--{option}: {line}")
        click.echo(line, err=True)
    with os_errors(f"--out {run.out}"):
        run.out.mkdir(parents=True, exist_ok=True)
    predictor = Predictor(run.bundle, run.reader)
    images, trained = read_sets(run.folders, held_out=run.held_out)
    crop_images, trained_crops = read_sets(run.crops, held_out=run.held_out, crops=True)
    results = [predictor.labelled(*each) for each in tracked(images, "images")]
    crops = [predictor.crop(*each) for each in tracked(crop_images, "crops")]
    blanks = [list(tracked(predictor.negatives(path), path.name)) for path in run.negatives]
    threshold = predictor.spec.detector.threshold
    read = [*(each.plates for each in results), *crops]
    plates = [plate.detected_at(threshold) for each in read for plate in each]
    return Evaluation(
        run=run,
        spec=predictor.spec,
        threshold=threshold,
        commit=commit(),
        data_sha256=data_hash(image for _, image in (*images, *crop_images)),
        results=results,
        parts=grouped_detector_accuracy(results, threshold),
        negatives=[_false_boxes(part, threshold) for part in blanks],
        reader=_reader(run, predictor.spec, plates, trained | trained_crops),
    )


def _false_boxes(blanks: list[ImageResult], threshold: float) -> FalseBoxes:
    false_boxes = sum(int((each.scores >= threshold).sum()) for each in blanks)
    return FalseBoxes(blanks[0].source, len(blanks), false_boxes, false_boxes / len(blanks))


def _reader(
    run: EvaluationRun, spec: BundleSpec, plates: Sequence[LabelledPlate], trained: frozenset[str]
) -> ReaderResults | None:
    if not plates and not run.calibrate:
        return None
    current = spec.reader.temperature
    fitted = fit_temperature(plates, current=current) if run.calibrate else None
    if fitted and (run.write or run.reader):
        plates = [plate.tempered(fitted.factor) for plate in plates]
    found, crops = end_to_end(plates), in_true_boxes(plates)
    return ReaderResults(
        parts=grouped_reader_accuracy(found, crops, trained),
        calibration=calibration(reads_to_judge(plates)),
        temperature=fitted,
        passes=pass_accuracy(plates),
        confusions=confusions(crops),
        found=found,
        crops=crops,
    )


def training_data(run: EvaluationRun) -> Iterator[str]:
    """Yields a line for each folder that the bundle was trained on, or may have been.

    Metrics on training data are too good. With `held_out`, the folder's name decides which images
    are held out, so it must be a recorded one. Raises BundleError if `bundle.toml` is wrong.
    """
    spec = read_spec(run.bundle)
    readers = "" if run.reader else spec.reader.origin
    recorded = dict.fromkeys(trained_on(f"{spec.detector.origin} {readers}"))
    for folder in (*run.folders, *run.crops):
        is_recorded = data_name(folder).lower() in map(str.lower, recorded)
        if not run.held_out and is_recorded:
            yield f"{folder}: the bundle was trained on it; use --held-out for honest metrics"
        elif run.held_out and recorded and not is_recorded:
            yield (
                f"{folder}: the bundle was trained on {', '.join(recorded)}; if it is one of them "
                "under another name, another part is held out"
            )


def read_sets(
    folders: Sequence[Path], *, held_out: bool, crops: bool = False
) -> tuple[list[SourcedImage], frozenset[str]]:
    """Returns the labelled images, and with `held_out` the plate texts of their training part.

    `crops`: folders of plate crops, with a labels.csv of `image` and `text`. The held-out part
    depends on all folders: give those of the training. One car may be in both parts. Raises
    TrainError if a folder cannot be read, or there is nothing to evaluate.
    """
    trained: list[LabelledImage] = []
    if held_out and folders:
        every, (trained, images) = folders, load_crops(folders) if crops else load_split(folders)[0]
        folders = [f for f in every if any(each.labels.folder == f for each in images)]
        if not folders:
            raise TrainError(f"{', '.join(map(str, every))}: no image is held out")
    elif crops:
        images = read_tables(folders)
    else:
        images = [each for folder in folders for each in read_images(folder)]
    texts = {text for each in trained if each.labels.folder in folders for text in each.texts}
    return _sourced(folders, images), frozenset(texts)


def _sourced(folders: Sequence[Path], images: Sequence[LabelledImage]) -> list[SourcedImage]:
    names = [folder.resolve().name for folder in folders]
    sourced = []
    for folder, name in zip(folders, names, strict=True):
        source = name if names.count(name) == 1 else str(folder)
        own = [(source, image) for image in images if image.labels.folder == folder]
        if not own:
            raise TrainError(f"{folder}: no image")
        sourced += own
    return sourced
