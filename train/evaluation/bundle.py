"""Writes the figures of an evaluation into the bundle that was evaluated."""

import re
from collections.abc import Iterator
from typing import Any

import tomlkit

from train.evaluation.evaluate import Evaluation
from train.manifest.bundle_toml import edit_bundle_toml
from train.train_error import TrainError

FOUND = ("recall", "mAP50", "mAP50_95")
READ = ("exact", "folded", "cer", "sure", "sure_right")
CROPS = ("crops_exact", "crops_folded", "crops_cer")
FUSED = ("fused",)
"""Figures of a source, in `bundle.toml` as SOURCE_KIND."""


def update_bundle(evaluation: Evaluation) -> None:
    """Sets what was chosen and the metrics of these sources in `bundle.toml`, and the model card.

    Raises:
        TrainError: A file cannot be written.
        BundleError: The bundle was altered since it was evaluated.
    """
    try:
        with edit_bundle_toml(evaluation.run.bundle) as table:
            before = _chosen(table)
            table["detector"]["threshold"] = evaluation.threshold
            if evaluation.reader and evaluation.reader.temperature:
                table["reader"]["temperature"] = evaluation.reader.temperature.value
            if before != _chosen(table):
                table["metrics"] = tomlkit.table()  # the others were measured with other values
            metrics = table.setdefault("metrics", tomlkit.table())
            for key, value in _metrics(evaluation):
                metrics.pop(key, None)
                if value is not None:
                    metrics[key] = round(value, 3)
    except OSError as error:
        raise TrainError(f"{error.filename}: {error.strerror}") from error


def _chosen(table: Any) -> tuple[float, float]:
    return float(table["detector"]["threshold"]), float(table["reader"].get("temperature", 1.0))


def _metrics(evaluation: Evaluation) -> Iterator[tuple[str, float | None]]:
    """All figures of the sources; None: a figure that there was before is no longer."""
    found, reader = evaluation.parts["source"], evaluation.reader
    for kinds, rows in (
        (FOUND, found),
        (READ, [row for row in reader.parts["source"] if row.plates] if reader else found),
        (CROPS, reader.parts["source"] if reader else found),
        (FUSED, reader.passes if reader else ()),
    ):
        for row in rows:
            name = re.sub(r"\W+", "_", row.name).strip("_")
            yield from ((f"{name}_{kind}", getattr(row, kind, None)) for kind in kinds)
