"""The model card of a bundle: `bundle.toml`, written out for people."""

import hashlib
import json
from pathlib import Path
from typing import Any

from plateid.models.bundle import BundleSpec

CARD = """# {spec.name}

A model bundle of plateid. Licence: {spec.licence}. Written by `python -m train export` from
`bundle.toml`.

| | {spec.detector.file} | {spec.reader.file} |
|---|---|---|
| name | `{spec.detector.name}` | `{spec.reader.name}` |
| input | {spec.detector.width} x {spec.detector.height}, RGB, letterboxed \
| {spec.reader.width} x {spec.reader.height}, {spec.reader.colour}, {spec.reader.fit} |
| weights | {spec.detector.precision} | {spec.reader.precision} |
| threshold | {spec.detector.threshold} | |
| origin | {spec.detector.origin} | {spec.reader.origin} |

## Data

| source | licence | used for |
|---|---|---|
{data}

## Figures

| | |
|---|---|
{metrics}

## Limits

{limits}
"""


def card(spec: BundleSpec) -> str:
    """The text of `MODEL_CARD.md`."""
    return CARD.format(
        spec=spec,
        data="\n".join(f"| {d.name} | {d.licence} | {d.used_for} |" for d in spec.training_data),
        metrics="\n".join(f"| {name} | {value:g} |" for name, value in spec.metrics.items()),
        limits="\n".join(f"- {limit}" for limit in spec.limits),
    )


def origin(weights: Path) -> str:
    """How a detector's weights came to be, from the `run.json` of their run.

    Args:
        weights: As `train detector` leaves them, in `RUN/fit/weights`; others give an empty text.
    """
    path = weights.resolve().parent.parent.parent / "run.json"
    if not path.is_file():
        return ""
    run: dict[str, Any] = json.loads(path.read_text())
    teacher = f", distilled from {_digest(run['teacher'])}" if run.get("teacher") else ""
    data = ", ".join(Path(folder).name for folder in run["data"])
    return (
        f"{Path(run['base']).name}{teacher}; {run['epochs']} epochs at {run['imgsz']} px on "
        f"{run['pictures']['train']} pictures ({data}), data {run['data_sha256'][:12]}, "
        f"commit {run['commit']}"
    )


def _digest(weights: str) -> str:
    """All weights of ultralytics have one name; the first digits of their hash tell them apart."""
    return hashlib.sha256(Path(weights).read_bytes()).hexdigest()[:12]
