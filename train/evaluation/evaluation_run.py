"""The options of an evaluation, and which of its folders are training data."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from plateid.models.bundle import read_spec
from train.manifest.weight_origin import data_name, trained_on


@dataclass(frozen=True)
class EvaluationRun:
    """Configuration, command line (see `train evaluate --help`) and record of an evaluation."""

    folders: tuple[Path, ...]
    bundle: Path
    crops: tuple[Path, ...] = ()
    held_out: bool = False
    is_open: bool = False
    negatives: tuple[Path, ...] = ()
    choose_threshold: bool = False
    calibrate: bool = False
    write: bool = False
    out: Path = Path("runs/evaluation")


def training_data(run: EvaluationRun) -> Iterator[str]:
    """Yields a line for each folder that the bundle was trained on, or may have been.

    Metrics on training data are too good. With `held_out`, the folder's name decides which images
    are held out, so it must be a recorded one. Raises BundleError if `bundle.toml` is wrong.
    """
    spec = read_spec(run.bundle)
    recorded = dict.fromkeys(trained_on(f"{spec.detector.origin} {spec.reader.origin}"))
    for folder in (*run.folders, *run.crops):
        is_recorded = data_name(folder).lower() in map(str.lower, recorded)
        if not run.held_out and is_recorded:
            yield f"{folder}: the bundle was trained on it; use --held-out for honest metrics"
        elif run.held_out and recorded and not is_recorded:
            yield (
                f"{folder}: the bundle was trained on {', '.join(recorded)}; if it is one of them "
                "under another name, another part is held out"
            )
