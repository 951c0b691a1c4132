"""Describes how weights were trained, from the records of their runs, for `bundle.toml`.

The text names the folders of training data in parentheses. `trained_on` reads them back.
"""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from plateid.config.models import bundle_path
from plateid.models.bundle import read_spec

Network = Literal["detector", "reader"]


def detector_origin(weights: Path, *after: Path) -> str:
    """Describes the weights in `RUN/fit/weights`. Returns an empty text for other weights.

    `after` are the folders of the runs that started from these weights.
    """
    folder = weights.resolve().parents[2]
    run = _record(folder, after)
    if not run:
        return ""
    teachers = run.get("teachers", [])
    names = " and ".join(Path(each).name for each in teachers)
    distilled = f", distilled from {names}" if names else ""
    stopped = "" if "metrics" in run else ", not finished,"
    data = _data("detector", (run["base"], *teachers), run["data"], (*after, folder))
    return (
        f"{Path(run['base']).name}{distilled}; {run['epochs']} epochs at {run['imgsz']} px{stopped}"
        f" on {run['images']['train']} images ({data}), "
        f"data {run['data_sha256'][:12]}, commit {run['commit']}"
    )


def reader_origin(checkpoint: Path, *after: Path) -> str:
    """Describes a checkpoint of `train reader`, as `detector_origin` does for a detector."""
    folder = checkpoint.resolve().parent
    run = _record(folder, after)
    if not run:
        return ""
    base = f" from {run['base']}" if run["base"] else ""
    done = "not finished"
    if "step" in run:
        time = f"{run['minutes']:.0f} minutes in {run['processes']} processes"
        done = f"{time}, {run['step']} steps of {run['batch']} crops each"
    data = _data("reader", [run["base"]], run["data"], (*after, folder))
    real = f"{run['real']:.0%} real ({data})"
    return f"PlateNet{base}; {done}, {real}, the others rendered, commit {run['commit']}"


def averaged_with(network: Network, *others: Path) -> str:
    """Returns what the origin says about averaging the weights with others."""
    text = "; average of its weights" if others else ""
    for each in others:
        data = _data(network, [str(each)])
        text += f" and those of {each.name}" + (f" ({data})" if data else "")
    return text


def _record(folder: Path, after: Sequence[Path]) -> dict[str, Any] | None:
    """Reads the record of a finished or unfinished run.

    A folder in `after` gives None: a run may have been moved to where its base was.
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
    """Lists the folders of training data, including those of the weights that a run began with."""
    names = [data_name(Path(folder)) for folder in folders]
    for base in filter(None, bases):
        path = Path(bundle_path(base))
        if path.is_dir():
            names += trained_on(getattr(read_spec(path), network).origin)
        else:
            describe = detector_origin if network == "detector" else reader_origin
            names += trained_on(describe(path, *after))
    return ", ".join(dict.fromkeys(names))


def data_name(folder: Path) -> str:
    """Returns a folder's name without the characters that separate names in an origin."""
    return re.sub(r"[(),;]", "_", folder.resolve().name)


def trained_on(origin: str) -> list[str]:
    """Returns the folders of training data that an origin names."""
    listed = re.findall(r"(?:real|images|those of [^(;]*) \(([^)]*)\)", origin)
    return [name for names in listed for name in names.split(", ") if name]
