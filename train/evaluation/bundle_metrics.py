"""Writes the metrics of an evaluation into the bundle that was evaluated.

The temperature of a drop-in reader is written into a file beside it.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tomlkit

from plateid.files import write_whole
from plateid.models.drop_in import calibration_file
from train.evaluation.evaluate import Evaluation
from train.manifest.bundle_toml import edit_bundle_toml
from train.train_error import os_errors

# Metrics of a source; `bundle.toml` has each as SOURCE_METRIC.
DETECTOR = ("recall", "mAP50", "mAP50_95")
END_TO_END = ("exact", "folded", "cer", "sure", "sure_right")
CROPS = ("crops_exact", "crops_folded", "crops_cer")
PASSES = ("fused",)


def update_bundle(evaluation: Evaluation) -> None:
    """Writes temperature and metrics into `bundle.toml`, and updates the model card.

    Raises TrainError if a file cannot be written, BundleError if the bundle has been changed.
    """
    with os_errors(), edit_bundle_toml(evaluation.run.bundle) as table:
        fitted = evaluation.reader and evaluation.reader.temperature
        if fitted and fitted.value != table["reader"].get("temperature", 1.0):
            table["reader"]["temperature"] = fitted.value
            table["metrics"] = tomlkit.table()  # the old metrics hold for another temperature
        metrics = table.setdefault("metrics", tomlkit.table())
        for key, value in _metrics(evaluation):
            metrics.pop(key, None)
            if value is not None:
                metrics[key] = round(value, 3)


def write_calibration(reader: Path, evaluation: Evaluation) -> None:
    """Writes the temperature of a drop-in reader; raises TrainError if the file cannot be."""
    fitted = evaluation.reader and evaluation.reader.temperature
    if fitted:
        path, sha256 = calibration_file(reader), evaluation.spec.reader.sha256
        content = tomlkit.dumps({"sha256": sha256, "temperature": fitted.value})
        with os_errors(path):
            write_whole(path, content.encode())


def _metrics(evaluation: Evaluation) -> Iterator[tuple[str, float | None]]:
    """Yields the metrics of each source by key. The value None deletes a metric."""
    reader = evaluation.reader
    for row in evaluation.parts["source"]:
        yield from _with_keys(row.name, DETECTOR, vars(row))
        if not reader:
            yield from _with_keys(row.name, END_TO_END + CROPS, {})
    for group in reader.parts["source"] if reader else ():
        if group.end_to_end.plates:
            yield from _with_keys(group.name, END_TO_END, group.end_to_end.metrics())
        yield from _with_keys(group.name, CROPS, group.crops.metrics("crops_"))
    for each in reader.passes if reader else ():
        yield from _with_keys(each.name, PASSES, {"fused": each.fused.plate_accuracy_folded})


def _with_keys(
    source: str, keys: tuple[str, ...], values: Mapping[str, Any]
) -> Iterator[tuple[str, float | None]]:
    name = re.sub(r"\W+", "_", source).strip("_")
    return ((f"{name}_{key}", values.get(key)) for key in keys)
