"""The options of an evaluation, its images, and which of its folders are training data."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from plateid.models.bundle import read_spec
from train.dataset.image_reading import read_images, read_tables
from train.dataset.labelled_image import LabelledImage
from train.dataset.splits import load_crops, load_split
from train.manifest.weight_origin import data_name, trained_on
from train.train_error import TrainError

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


def read_sets(
    folders: Sequence[Path], *, held_out: bool
) -> tuple[list[SourcedImage], frozenset[str]]:
    """Returns the labelled images, and with `held_out` the plate texts of their training part.

    The held-out part depends on all folders: give those of the training. One car may be in both
    parts. Raises TrainError if a folder cannot be read, or there is nothing to evaluate.
    """
    if held_out and folders:
        return _held_out(folders, *load_split(folders)[0])
    images = [each for folder in folders for each in read_images(folder)]
    return _sourced(folders, images), frozenset()


def read_crop_sets(
    folders: Sequence[Path], *, held_out: bool
) -> tuple[list[SourcedImage], frozenset[str]]:
    """Returns the same of folders of plate crops: labels.csv with `image` and `text`."""
    if held_out and folders:
        return _held_out(folders, *load_crops(folders))
    return _sourced(folders, read_tables(folders)), frozenset()


def _held_out(
    folders: Sequence[Path], trained: Sequence[LabelledImage], held_out: Sequence[LabelledImage]
) -> tuple[list[SourcedImage], frozenset[str]]:
    with_some = [f for f in folders if any(each.labels.folder == f for each in held_out)]
    if not with_some:
        raise TrainError(f"{', '.join(map(str, folders))}: no image is held out")
    texts = {text for each in trained if each.labels.folder in with_some for text in each.texts}
    return _sourced(with_some, held_out), frozenset(texts)


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
