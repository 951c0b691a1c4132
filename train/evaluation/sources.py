"""The labelled pictures that an evaluation is made on."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from train.dataset.image_reading import read_images, read_tables
from train.dataset.labelled_image import LabelledImage
from train.dataset.splits import load_crops, load_split
from train.train_error import TrainError


@dataclass(frozen=True)
class Source:
    """A folder of labelled pictures, or the part of it that is evaluated.

    Attributes:
        name: Unique among the sources of an evaluation.
        pictures: Not empty.
        trained: Texts of the part that is not held out: a car is seen in many minutes.
    """

    name: str
    pictures: tuple[LabelledImage, ...]
    trained: frozenset[str] = frozenset()


def read_sources(folders: Sequence[Path], *, held_out: bool) -> list[Source]:
    """The sources by their folders' names, or by their paths where two have the same name.

    What is held out depends on all folders: only with those of a training it is what that held out.
    A folder of which nothing is held out is no source.

    Raises:
        TrainError: A folder cannot be read, or there is nothing to evaluate.
    """
    if held_out and folders:
        return _held_out(folders, *load_split(folders)[0])
    return _by_folder(folders, [], [each for folder in folders for each in read_images(folder)])


def read_crops(folders: Sequence[Path], *, held_out: bool) -> list[Source]:
    """Folders of plates that are cut out: labels.csv with `image` and `text`; else as above."""
    if held_out and folders:
        return _held_out(folders, *load_crops(folders))
    return _by_folder(folders, [], read_tables(folders))


def _held_out(
    folders: Sequence[Path],
    trained: Sequence[LabelledImage],
    pictures: Sequence[LabelledImage],
) -> list[Source]:
    with_some = [f for f in folders if any(each.labels.folder == f for each in pictures)]
    if not with_some:
        raise TrainError(f"{', '.join(map(str, folders))}: no picture is held out")
    return _by_folder(with_some, trained, pictures)


def _by_folder(
    folders: Sequence[Path],
    trained: Sequence[LabelledImage],
    pictures: Sequence[LabelledImage],
) -> list[Source]:
    names = Counter(folder.resolve().name for folder in folders)
    sources = []
    for folder in folders:
        name = folder.resolve().name
        own = tuple(picture for picture in pictures if picture.labels.folder == folder)
        if not own:
            raise TrainError(f"{folder}: no picture")
        texts = {text for each in trained if each.labels.folder == folder for text in each.texts}
        sources.append(Source(name if names[name] == 1 else str(folder), own, frozenset(texts)))
    return sources
