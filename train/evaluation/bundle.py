"""Writes the figures of an evaluation into the bundle that was evaluated."""

import re
from typing import Any

import tomlkit

from plateid.models.bundle import Bundle
from train.bundle.card import KINDS, card
from train.errors import TrainError
from train.evaluation.evaluate import Evaluation
from train.record import write_whole


def update_bundle(evaluation: Evaluation) -> None:
    """Sets the threshold and the metrics of these sources in `bundle.toml`, and the model card.

    Raises:
        TrainError: A file cannot be written.
        BundleError: The bundle was altered since it was evaluated.
    """
    path = evaluation.run.bundle / "bundle.toml"
    try:
        table: Any = tomlkit.parse(path.read_text(encoding="utf-8"))
        table["detector"]["threshold"] = evaluation.threshold
        metrics = table.setdefault("metrics", tomlkit.table())
        for part in evaluation.parts["source"]:
            name = re.sub(r"\W+", "_", part.name).strip("_")
            for kind in KINDS:
                key = f"{name}_{kind}"
                metrics.pop(key, None)
                if (value := getattr(part, kind)) is not None:
                    metrics[key] = round(value, 3)
        write_whole(path, tomlkit.dumps(table))
        write_whole(path.with_name("MODEL_CARD.md"), card(Bundle(path.parent).spec))
    except OSError as error:
        raise TrainError(f"{error.filename}: {error.strerror}") from error
