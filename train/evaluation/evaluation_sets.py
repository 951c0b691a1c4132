"""Reads the labelled images that an evaluation uses."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from train.dataset.image_reading import read_images, read_tables
from train.dataset.labelled_image import LabelledImage
from train.dataset.splits import load_crops, load_split
from train.train_error import TrainError


@dataclass(frozen=True)
class EvaluationSet:
    """A folder of labelled images, or its held-out part.

    Attributes:
        name: The folder's name, or its path if another folder has the same name.
        images: At least one image.
        trained: Plate texts in the training part of the folder. One car may be in both parts.
    """

    name: str
    images: tuple[LabelledImage, ...]
    trained: frozenset[str] = frozenset()


def read_sets(folders: Sequence[Path], *, held_out: bool) -> list[EvaluationSet]:
    """Reads folders of labelled images.

    The held-out part depends on all folders: give those of the training. A folder without a
    held-out image gives no set.

    Raises:
        TrainError: A folder cannot be read, or there is nothing to evaluate.
    """
    if held_out and folders:
        return _held_out(folders, *load_split(folders)[0])
    return _by_folder(folders, [], [each for folder in folders for each in read_images(folder)])


def read_crop_sets(folders: Sequence[Path], *, held_out: bool) -> list[EvaluationSet]:
    """Reads folders of plate crops: labels.csv with `image` and `text`."""
    if held_out and folders:
        return _held_out(folders, *load_crops(folders))
    return _by_folder(folders, [], read_tables(folders))


def _held_out(
    folders: Sequence[Path], trained: Sequence[LabelledImage], held_out: Sequence[LabelledImage]
) -> list[EvaluationSet]:
    with_some = [f for f in folders if any(each.labels.folder == f for each in held_out)]
    if not with_some:
        raise TrainError(f"{', '.join(map(str, folders))}: no image is held out")
    return _by_folder(with_some, trained, held_out)


def _by_folder(
    folders: Sequence[Path], trained: Sequence[LabelledImage], images: Sequence[LabelledImage]
) -> list[EvaluationSet]:
    names = [folder.resolve().name for folder in folders]
    sets = []
    for folder, name in zip(folders, names, strict=True):
        own = tuple(image for image in images if image.labels.folder == folder)
        if not own:
            raise TrainError(f"{folder}: no image")
        texts = {text for each in trained if each.labels.folder == folder for text in each.texts}
        unique = name if names.count(name) == 1 else str(folder)
        sets.append(EvaluationSet(unique, own, frozenset(texts)))
    return sets
