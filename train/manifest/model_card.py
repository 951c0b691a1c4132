"""The model card of a bundle: `bundle.toml`, written out for people."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from plateid.config.models import bundle_path
from plateid.models.bundle import BundleSpec, read_spec

Network = Literal["detector", "reader"]
FOUND = ("recall", "mAP50", "mAP50_95")
READ = ("exact", "folded", "cer", "sure", "sure_right", "fused")
KINDS = FOUND + READ
"""Figures of a source, in `bundle.toml` as SOURCE_KIND."""
CARD = """# {spec.name}

A model bundle of plateid. Licence: {spec.licence}. Written by `python -m train` from
`bundle.toml`.

| | {spec.detector.file} | {spec.reader.file} |
|---|---|---|
| name | `{spec.detector.name}` | `{spec.reader.name}` |
| input | {spec.detector.width} x {spec.detector.height}, colour, letterboxed \
| {spec.reader.width} x {spec.reader.height}, {spec.reader.colour}, {spec.reader.fit} |
| weights | {spec.detector.precision} | {spec.reader.precision} |
| threshold | {spec.detector.threshold} | |
| origin | {spec.detector.origin} | {spec.reader.origin} |

## Data

| source | licence | used for |
|---|---|---|
{data}

## Figures

Of the detector at its threshold, and of reading what it finds; where a source was trained on, of
its held-out pictures, by which the threshold was chosen. Folded: O as 0, I as 1. Cer: wrong
characters by characters. Sure: read with a confidence of 0.9 and more, and how many of these are
right. Fused: passes of one or more frames.

{metrics}

## Limits

{limits}
"""


def card(spec: BundleSpec) -> str:
    """The text of `MODEL_CARD.md`."""
    return CARD.format(
        spec=spec,
        data="\n".join(f"| {d.name} | {d.licence} | {d.used_for} |" for d in spec.training_data),
        metrics=_metrics(spec.metrics),
        limits="\n".join(f"- {limit}" for limit in spec.limits),
    )


def _metrics(metrics: Mapping[str, float]) -> str:
    """A line a source, a column for each of KINDS."""
    sources = dict.fromkeys(name.removesuffix("_recall") for name in metrics if "_recall" in name)
    rows = [["source", *KINDS], ["---"] * (1 + len(KINDS))]
    for source in sources:
        values = (metrics.get(f"{source}_{kind}") for kind in KINDS)
        rows.append([source, *("" if value is None else f"{value:.3f}" for value in values)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def origin_of_reader(checkpoint: Path, *after: Path) -> str:
    """How a reader's weights came to be, from the record of the run beside its checkpoint.

    Args:
        checkpoint: As `train reader` leaves it; others give an empty text.
        *after: Folders of runs that went on from it.
    """
    folder = checkpoint.resolve().parent
    run = _record(folder, after)
    if not run:
        return ""
    base = f" from {run['base']}" if run["base"] else ""
    done = (
        f"{run['minutes']:.0f} minutes in {run['processes']} processes, {run['step']} steps of "
        f"{run['batch']} crops each"
        if "step" in run
        else "not to the end"
    )
    return (
        f"{run['network']}{base}; {done}, {run['real']:.0%} real "
        f"({_data('reader', [run['base']], run['data'], (*after, folder))}), the others rendered, "
        f"commit {run['commit']}"
    )


def mean_with(network: Network, *others: Path) -> str:
    """What is added to the origin of a network that becomes the mean of its weights and others."""
    those = "".join(f" and those of {each.name}{_listed(network, each)}" for each in others)
    return f"; the mean of its weights{those}" if others else ""


def _listed(network: Network, weights: Path) -> str:
    """What it was trained on, where that is known."""
    data = _data(network, [str(weights)])
    return f" ({data})" if data else ""


def origin(weights: Path, *after: Path) -> str:
    """How a detector's weights came to be, from the record of their run.

    Args:
        weights: As `train detector` leaves them, in `RUN/fit/weights`; others give an empty text.
        *after: Folders of runs that went on from them.
    """
    folder = weights.resolve().parent.parent.parent
    run = _record(folder, after)
    if not run:
        return ""
    teachers = run.get("teachers", [])
    names = " and ".join(Path(each).name for each in teachers)
    taught = f", taught by {names}" if names else ""
    stopped = "" if "metrics" in run else ", not to the end,"
    data = _data("detector", (run["base"], *teachers), run["data"], (*after, folder))
    return (
        f"{Path(run['base']).name}{taught}; {run['epochs']} epochs at {run['imgsz']} px{stopped} "
        f"on {run['pictures']['train']} pictures ({data}), "
        f"data {run['data_sha256'][:12]}, commit {run['commit']}"
    )


def _record(folder: Path, after: Sequence[Path]) -> dict[str, Any] | None:
    """Of a run, finished or not; None: there is none, or `folder` is among `after`.

    The latter is a run that was moved to where its base was.
    """
    for name in ("run.json", "begun.json"):
        if (folder / name).is_file() and folder not in after:
            run: dict[str, Any] = json.loads((folder / name).read_text())
            return run
    return None


def _data(
    network: Network,
    bases: Iterable[str | None],
    folders: Iterable[str] = (),
    after: Sequence[Path] = (),
) -> str:
    """What a network was trained on: these folders, and those of the weights behind it."""
    names = [data_name(Path(folder)) for folder in folders]
    for base in filter(None, bases):
        path = Path(bundle_path(base))
        if path.is_dir():
            names += trained_on(getattr(read_spec(path), network).origin)
        else:
            came = origin if network == "detector" else origin_of_reader
            names += trained_on(came(path, *after))
    return ", ".join(dict.fromkeys(names))


def data_name(folder: Path) -> str:
    """How an origin names a folder of pictures: without what parts such names there."""
    return re.sub(r"[(),;]", "_", folder.resolve().name)


def trained_on(text: str) -> list[str]:
    """The folders that an origin names."""
    listed = re.findall(r"(?:real|pictures|those of [^(;]*) \(([^)]*)\)", text)
    return [name for names in listed for name in names.split(", ") if name]
