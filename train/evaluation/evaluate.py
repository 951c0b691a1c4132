"""Evaluates a bundle on labelled images, with the code that runs on the device."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from plateid.models.bundle import BundleSpec
from train.dataset.labelled_image import data_hash
from train.evaluation.confidence_calibration import (
    Calibration,
    FittedTemperature,
    calibration,
    fit_temperature,
    reads_to_judge,
)
from train.evaluation.detector_accuracy import DetectorAccuracy, grouped_detector_accuracy
from train.evaluation.evaluation_run import (
    EvaluationRun,
    read_crop_sets,
    read_sets,
    training_data,
)
from train.evaluation.image_results import ImageResult, LabelledPlate
from train.evaluation.pass_accuracy import PassAccuracy, pass_accuracy
from train.evaluation.predictor import Predictor
from train.evaluation.reader_accuracy import (
    GroupAccuracy,
    ReadResult,
    confusions,
    end_to_end,
    grouped_reader_accuracy,
    in_true_boxes,
)
from train.progress import tracked
from train.record import commit
from train.train_error import TrainError


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
    _prepare(run)
    predictor = Predictor(run.bundle)
    images, trained = read_sets(run.folders, held_out=run.held_out)
    crop_images, trained_crops = read_crop_sets(run.crops, held_out=run.held_out)
    results = [predictor.labelled(*each) for each in tracked(images, "images")]
    crops = [predictor.crop(*each) for each in tracked(crop_images, "crops")]
    blanks = [list(tracked(predictor.negatives(path), path.name)) for path in run.negatives]
    threshold = predictor.spec.detector.threshold
    found = (plate for each in (*(r.plates for r in results), *crops) for plate in each)
    plates = [plate.detected_at(threshold) for plate in found]
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


def _prepare(run: EvaluationRun) -> None:
    if run.calibrate and not run.held_out:
        for line in training_data(run):
            raise TrainError(f"--calibrate: {line}")
    try:
        run.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainError(f"--out {run.out}: {error.strerror}") from error


def _false_boxes(blanks: list[ImageResult], threshold: float) -> FalseBoxes:
    false_boxes = sum(int((each.scores >= threshold).sum()) for each in blanks)
    return FalseBoxes(blanks[0].source, len(blanks), false_boxes, false_boxes / len(blanks))


def _reader(
    run: EvaluationRun,
    spec: BundleSpec,
    plates: Sequence[LabelledPlate],
    trained: frozenset[str],
) -> ReaderResults | None:
    if not plates and not run.calibrate:
        return None
    current = spec.reader.temperature
    fitted = fit_temperature(plates, current=current) if run.calibrate else None
    if fitted and run.write:
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
