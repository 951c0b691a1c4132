"""Writes the new bundle: the base with another reader, exported, checked and calibrated."""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from plateid.models.bundle import Bundle, read_spec
from plateid.models.session import NetworkSession
from train.evaluation.confidence_calibration import fit_temperature
from train.evaluation.image_results import LabelledPlate
from train.export.int8_reader import TwoSides
from train.export.onnx_networks import Precision, export_reader
from train.learn.examination import Results
from train.learn.features import Weights
from train.learn.learning_run import LearningRun
from train.learn.lesson import Lesson
from train.manifest.bundle_toml import edit_bundle_toml, set_hashes
from train.manifest.weight_origin import data_name
from train.reader.platenet import PlateNet
from train.reader.reader_weights import SPEC
from train.reader.real_plates import whole_crop
from train.train_error import TrainError

MIN_CALIBRATION = 40
"""Smallest number of held-out reads that a temperature is fitted to."""
TEMPERATURES = (0.5, 2.0)
"""Least and greatest temperature: few plates must not turn the confidences upside down."""
INT8_PLATES = 600
"""Rendered plates that INT8 is calibrated with, and as many that it is measured on."""
ROUNDS = 10
"""Inferences that are timed."""


@dataclass(frozen=True)
class BundleFacts:
    """What was measured while a bundle was written."""

    precision: Precision
    refused: str  # why it is not INT8 as before; empty: it is what it was
    temperature: float
    reader_ms: float


def write_bundle(
    run: LearningRun, lesson: Lesson, results: Results, weights: Weights
) -> BundleFacts:
    """Writes the bundle into the run's folder; raises TrainError if it cannot be exported."""
    new, before = run.work / "bundle", read_spec(run.base)
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(run.base, new)
    precision, refused = _export(weights, new / "reader.onnx", before.reader.precision, lesson)
    temperature = _temperature(results.after, before.reader.temperature)
    name = run.out.resolve().name
    changed: dict[str, Any] = SPEC.model_dump(exclude={"file", "sha256"})
    changed |= {"name": name, "precision": precision, "temperature": temperature}
    changed["origin"] = before.reader.origin + _origin(run, results)
    with edit_bundle_toml(new) as content:
        content["name"] = name
        content.pop("version", None)  # `pack` sets a newer one
        content["reader"].update(changed)
        exact = results.proof.exact
        own = {"plates": float(results.proof.count), "before": exact.before, "after": exact.after}
        metrics = content.setdefault("metrics", {})
        metrics.update({f"own_{key}": round(value, 4) for key, value in own.items()})
        set_hashes(content, new)
        for each in run.sources.names:
            licence = {"name": each, "licence": "yours", "used_for": "reader"}
            content["training_data"].append(licence)
    network = NetworkSession(name, Bundle(new).reader)  # raises if a device could not use it
    return BundleFacts(precision, refused, temperature, network.probe(runs=ROUNDS))


def _export(
    weights: Weights, out: Path, precision: Precision, lesson: Lesson
) -> tuple[Precision, str]:
    """Exports the network: in float16 if INT8 would cost accuracy. Returns the reason as well."""
    network = PlateNet()
    network.load_state_dict(weights)
    try:
        plates = _int8_plates(lesson) if precision == "int8" else ((), ())
        export_reader(network, out, precision=precision, plates=plates)
    except TrainError as error:
        if precision != "int8":
            raise
        export_reader(network, out, precision="float16")
        return "float16", str(error)
    return precision, ""


def _int8_plates(lesson: Lesson) -> TwoSides:
    """Returns plates to calibrate with, half of them yours, and others to measure the loss on."""
    own = [each.plate for each in lesson.own]
    crops = (crop for crop in lesson.rendered.replay if crop.text)
    rendered = [whole_crop(crop.image, crop.text, "rendered") for crop in crops][: 2 * INT8_PLATES]
    calibration = [replace(plate, source="own") for plate in own] + rendered[:INT8_PLATES]
    return calibration, [*own, *rendered[INT8_PLATES:]]


def _temperature(reads: Sequence[LabelledPlate], current: float) -> float:
    """Fits the temperature to held-out reads; keeps the current one if they are too few."""
    if len(reads) >= MIN_CALIBRATION:
        with suppress(TrainError):  # all are correct, or all are wrong
            least, greatest = TEMPERATURES
            return min(max(fit_temperature(reads, current=current).value, least), greatest)
    return current


def _origin(run: LearningRun, results: Results) -> str:
    """Returns how the reader was changed, for `bundle.toml`."""
    names = ", ".join(data_name(Path(name)) for name in run.sources.names)
    return (
        f" Then train learn with {results.proof.count} plates, real ({names}), and rendered ones "
        f"for {run.minutes:g} minutes: {results.chosen.share:.0%} of the way from the weights "
        "before to those after."
    )
