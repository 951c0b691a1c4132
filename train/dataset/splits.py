"""Checks all data before a training: repairs and counts what can be repaired, refuses the rest."""

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from plateid.core.records import Box
from train.dataset.formats import ImageLabels, read_labels
from train.dataset.formats.image_labels import all_below
from train.dataset.image_reading import look_at, refuse
from train.dataset.labelled_images import LabelledImage, grouped, split, without_turned_copies
from train.train_error import TrainError

TINY = 4.0
"""Pixels a side; of a smaller plate there is nothing to learn."""
AGREE = 2.0
"""Pixels by which two label files may differ about one box."""


@dataclass(frozen=True)
class DataSummary:
    """What the data are, and what was done to them; printed, it is a short table.

    Attributes:
        pictures: Used, on both sides.
        validation: Of these, held out.
        groups: What is never parted: scenes, minutes of a ride, near-duplicates, single pictures.
        negatives: Pictures without a plate.
        plates: Boxes of plates.
        heights: Of the plates in pixels: smallest, median, largest.
        tiny: Plates smaller than 4 pixels.
        classes: How many plates are of which class, where classes have names.
        clipped: Boxes that lay partly outside and were cut.
        others: How many boxes of which other classes were ignored.
        duplicates: Pictures left out, since they are the same file as another.
        merged: Groups that joined another, since they share near-duplicates or copies.
        moved: Pictures that changed side by that.
        turned: Pictures left out, since an exporter turned them.
        unlabelled: Pictures left out, since no label file names them or a folder is named `test`.
    """

    pictures: int
    validation: int
    groups: int
    negatives: int
    plates: int
    heights: tuple[float, float, float]
    tiny: int
    classes: dict[str, int]
    clipped: int
    others: dict[str, int]
    duplicates: int
    merged: int
    moved: int
    turned: int
    unlabelled: int

    def __str__(self) -> str:
        classes, others = (
            ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
            for counts in (self.classes, self.others)
        )
        smallest, median, largest = self.heights
        rows = (
            ("pictures", f"{self.pictures} in {self.groups} groups; {self.validation} held out"),
            ("without a plate", self.negatives),
            ("plates", f"{self.plates}; {smallest:.0f} to {largest:.0f} pixels high"),
            ("plates are", classes),
            ("median height", f"{median:.0f} pixels"),
            ("warning", self.tiny and f"{self.tiny} plates are smaller than {TINY:.0f} pixels"),
            (
                "warning",
                2 * self.validation > self.pictures and "most is held out: few groups",
            ),
            ("cut at the border", self.clipped and f"{self.clipped} boxes"),
            ("ignored, other classes", others),
            ("left out, same files", self.duplicates),
            ("left out, turned copies", self.turned),
            ("left out, not labelled", self.unlabelled),
            ("groups joined", self.merged and f"{self.merged}; {self.moved} pictures moved"),
        )
        return "\n".join(f"{name:24}{said}" for name, said in rows if said)


def checked_pictures(folders: Iterable[Path]) -> tuple[list[LabelledImage], DataSummary]:
    """Reads data sets, checks each by itself and all together.

    Returns:
        The pictures for `split`, less the turned copies of its training side, and what was done.

    Raises:
        TrainError: Of a line for each thing that is wrong.
    """
    folders, problems = list(folders), list[str]()
    labels = _labels(folders, problems)
    looked = look_at(labels, problems)
    before = _once(looked, problems)
    refuse(problems)
    # which of two same files is left must not move their group: the reader's split has both
    after = _once(grouped(looked), problems)
    train, validation = split(after)
    upright = without_turned_copies(train)
    _check_sides(upright, validation)
    return [*upright, *validation], _summary(
        upright,
        validation,
        before,
        duplicates=len(labels) - len(before),
        merged=_groups(before) - _groups(after),
        moved=len({p.path for p in split(before)[1]} ^ {p.path for p in validation}),
        turned=len(train) - len(upright),
        unlabelled=len(_unlabelled(folders, labels)),
    )


def _labels(folders: Sequence[Path], problems: list[str]) -> list[ImageLabels]:
    labels = []
    for folder in folders:
        known = len(problems)
        found = read_labels(folder, problems)
        if not found and len(problems) == known:
            problems.append(f"{folder}: no pictures")
        labels += found
    return labels


def _unlabelled(folders: Sequence[Path], labels: Sequence[ImageLabels]) -> set[Path]:
    return {p for folder in folders for p in all_below(folder)} - {la.path for la in labels}


def _once(pictures: Sequence[LabelledImage], problems: list[str]) -> list[LabelledImage]:
    """The first of all pictures that are the same file; their boxes must agree."""
    first: dict[bytes, LabelledImage] = {}
    for picture in pictures:
        one = first.setdefault(picture.digest, picture)
        if not _agree(one.boxes, picture.boxes):
            problems.append(
                f"{picture.path}: the same file as {one.path}, but with other boxes"
                f" (by {picture.labels.source} and by {one.labels.source})"
            )
    return list(first.values())


def _agree(some: Sequence[Box], others: Sequence[Box]) -> bool:
    return len(some) == len(others) and all(
        any(max(abs(a - b) for a, b in zip(one, other, strict=True)) <= AGREE for other in others)
        for one in some
    )


def _check_sides(train: Sequence[LabelledImage], validation: Sequence[LabelledImage]) -> None:
    groups = _groups([picture for picture in (*train, *validation) if picture.boxes])
    for name, part in (("training", train), ("validation", validation)):
        if not any(picture.boxes for picture in part):
            raise TrainError(
                f"no plate falls into the {name} part: groups of pictures with plates: {groups}"
                " (scenes, minutes of a ride and near-duplicates are never parted);"
                " a folder needs at least two"
            )


def _groups(pictures: Sequence[LabelledImage]) -> int:
    return len({picture.group for picture in pictures})


def _summary(
    train: Sequence[LabelledImage],
    validation: Sequence[LabelledImage],
    looked: Sequence[LabelledImage],
    **repairs: int,
) -> DataSummary:
    used = [*train, *validation]
    boxes = [box for picture in used for box in picture.boxes]
    names = (box.name for picture in used for box in picture.labels.boxes)
    heights = [y2 - y1 for _, y1, _, y2 in boxes]
    return DataSummary(
        pictures=len(used),
        validation=len(validation),
        groups=_groups(used),
        negatives=sum(not picture.boxes for picture in used),
        plates=len(boxes),
        heights=(min(heights), statistics.median(heights), max(heights)),
        tiny=sum(min(x2 - x1, y2 - y1) < TINY for x1, y1, x2, y2 in boxes),
        classes=dict(Counter(name for name in names if name)),
        clipped=sum(picture.clipped for picture in looked),
        others=dict(Counter(name for picture in looked for name in picture.labels.others)),
        **repairs,
    )
