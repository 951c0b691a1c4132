"""Loads data sets: reads, checks and splits them. Everything that needs labels starts here."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from plateid.core.records import Box
from train.dataset.data_summary import DataSummary, summarise
from train.dataset.formats import ImageLabels, read_labels
from train.dataset.formats.image_labels import all_below
from train.dataset.grouping import Split, split_groups, with_joined_groups, without_rotated_copies
from train.dataset.image_reading import raise_problems, read_labelled, read_tables
from train.dataset.labelled_image import LabelledImage
from train.train_error import TrainError

AGREEMENT_PX = 2.0
"""Largest difference of a box between two label files of the same image, pixels."""


def load_split(folders: Iterable[Path]) -> tuple[Split, DataSummary]:
    """Reads data sets, checks them one by one and together, and splits them.

    Rotated copies are left out of the training side. A TrainError has one line for each problem.
    """
    folders, problems = list(folders), list[str]()
    labels = _read_all(folders, problems)
    readable = read_labelled(labels, problems)
    before = _without_duplicates(readable, problems)
    raise_problems(problems)
    # join first: which of two identical files is kept must not decide the side of its group
    after = _without_duplicates(with_joined_groups(readable), problems)
    training, validation = split_groups(after)
    files = {path for folder in folders for path in all_below(folder)}
    split = Split(without_rotated_copies(training), validation)
    _check_sides(split)
    return split, summarise(
        split,
        before,
        duplicates=len(labels) - len(before),
        joined=_count_groups(before) - _count_groups(after),
        moved=len({i.path for i in split_groups(before)[1]} ^ {i.path for i in validation}),
        rotated=len(training) - len(split.training),
        unlabelled=len(files - {each.path for each in labels}),
    )


def load_crops(folders: Sequence[Path]) -> Split:
    """Reads and splits each folder's labels.csv; an image without corners is a cropped plate."""
    return split_groups(with_joined_groups(read_tables(folders)))


def _read_all(folders: Sequence[Path], problems: list[str]) -> list[ImageLabels]:
    labels = []
    for folder in folders:
        known = len(problems)
        found = read_labels(folder, problems)
        if not found and len(problems) == known:
            problems.append(f"{folder}: no images")
        labels += found
    return labels


def _without_duplicates(
    images: Sequence[LabelledImage], problems: list[str]
) -> list[LabelledImage]:
    """Returns the first of each set of identical files; their boxes must agree."""
    first: dict[bytes, LabelledImage] = {}
    for image in images:
        one = first.setdefault(image.digest, image)
        if not _agree(one.boxes, image.boxes):
            problems.append(
                f"{image.path}: the same file as {one.path}, but with other boxes"
                f" ({image.labels.source}, {one.labels.source})"
            )
    return list(first.values())


def _agree(some: Sequence[Box], others: Sequence[Box]) -> bool:
    def is_near(one: Box, other: Box) -> bool:
        return max(abs(a - b) for a, b in zip(one, other, strict=True)) <= AGREEMENT_PX

    same_count = len(some) == len(others)
    return same_count and all(any(is_near(one, other) for other in others) for one in some)


def _check_sides(split: Split) -> None:
    groups = _count_groups([image for image in split.images if image.boxes])
    for name, images in (("training", split.training), ("validation", split.validation)):
        if not any(image.boxes for image in images):
            raise TrainError(
                f"no plate in the {name} part: the data have {groups} groups with plates, and a"
                " folder needs at least two (a group is a scene, a minute of a drive, or a set of"
                " near-duplicates)"
            )


def _count_groups(images: Sequence[LabelledImage]) -> int:
    return len({image.group for image in images})
