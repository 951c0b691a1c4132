"""Loads data sets: reads, checks and splits them. Everything that needs labels starts here."""

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from plateid.core.records import Box
from train.dataset.formats import ImageLabels, read_labels
from train.dataset.formats.image_labels import all_below
from train.dataset.grouping import Split, split_groups, with_joined_groups, without_rotated_copies
from train.dataset.image_reading import raise_problems, read_labelled, read_tables
from train.dataset.labelled_image import LabelledImage
from train.train_error import TrainError

AGREEMENT_PX = 2.0
"""Largest difference of a box between two label files of the same image, pixels."""
TINY_PX = 4.0
"""Side of a plate below which there is nothing to learn, pixels."""


Summary = dict[str, str | int]
"""What the data contain, and what the checks changed, by heading. What is 0 is left out."""


def load_split(folders: Iterable[Path]) -> tuple[Split, Summary]:
    """Reads data sets, checks them one by one and together, and splits them.

    Rotated copies are left out of the training side. A TrainError has one line for each problem.
    """
    folders, problems = list(folders), list[str]()
    labels = list[ImageLabels]()
    for folder in folders:
        known = len(problems)
        found = read_labels(folder, problems)
        if not found and len(problems) == known:
            problems.append(f"{folder}: no images")
        labels += found
    readable = read_labelled(labels, problems)
    before = _without_duplicates(readable, problems)
    raise_problems(problems)
    # join first: which of two identical files is kept must not decide the side of its group
    after = _without_duplicates(with_joined_groups(readable), problems)
    training, validation = split_groups(after)
    unlabelled = {path for folder in folders for path in all_below(folder)}
    unlabelled -= {each.path for each in labels}
    split = Split(without_rotated_copies(training), validation)
    _check_sides(split)
    return split, _summary(split, labels, before, after, unlabelled=len(unlabelled))


def _summary(
    split: Split,
    labels: Sequence[ImageLabels],
    before: Sequence[LabelledImage],
    after: Sequence[LabelledImage],
    *,
    unlabelled: int,
) -> Summary:
    """Summarises a split; images are given before and after their groups were joined."""
    boxes = [box for image in split.images for box in image.boxes]
    heights = [y2 - y1 for _, y1, _, y2 in boxes]
    tiny = sum(min(x2 - x1, y2 - y1) < TINY_PX for x1, y1, x2, y2 in boxes)
    groups, held_out = _count_groups(split.images), len(split.validation)
    joined = _count_groups(before) - _count_groups(after)
    moved = {i.path for i in split_groups(before)[1]} ^ {i.path for i in split.validation}
    few = 2 * held_out > len(split.images) and "most images are held out: there are few groups"
    rows: Summary = {
        "images": f"{len(split.images)} in {groups} groups; {held_out} held out",
        "without a plate": sum(not image.boxes for image in split.images),
        "plates": f"{len(boxes)}; {min(heights):.0f} to {max(heights):.0f} px high",
        "classes": _counted(box.name for image in split.images for box in image.labels.boxes),
        "median height": f"{statistics.median(heights):.0f} px",
        "tiny plates": tiny and f"{tiny} are smaller than {TINY_PX:.0f} px",
        "warning": few,
        "clipped boxes": sum(image.clipped for image in before),
        "ignored classes": _counted(name for i in before for name in i.labels.other_classes),
        "skipped, same file": len(labels) - len(before),
        "skipped, rotated copy": len(after) - len(split.images),
        "skipped, no label": unlabelled,
        "joined groups": joined and f"{joined}; {len(moved)} images changed side",
    }
    return {name: value for name, value in rows.items() if value}


def summary_text(summary: Summary) -> str:
    """Returns a summary as a short table."""
    return "\n".join(f"{name:24}{value}" for name, value in summary.items())


def _counted(names: Iterable[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(Counter(names).items()) if name)


def load_crops(folders: Sequence[Path]) -> Split:
    """Reads and splits each folder's labels.csv; an image without corners is a cropped plate."""
    return split_groups(with_joined_groups(read_tables(folders)))


def _without_duplicates(
    images: Sequence[LabelledImage], problems: list[str]
) -> list[LabelledImage]:
    """Returns the first of each set of identical files; their boxes must agree."""

    def is_near(one: Box, other: Box) -> bool:
        return max(abs(a - b) for a, b in zip(one, other, strict=True)) <= AGREEMENT_PX

    first: dict[bytes, LabelledImage] = {}
    for image in images:
        one = first.setdefault(image.digest, image)
        agree = (any(is_near(a, b) for b in image.boxes) for a in one.boxes)
        if len(one.boxes) != len(image.boxes) or not all(agree):
            problems.append(
                f"{image.path}: the same file as {one.path}, but with other boxes"
                f" ({image.labels.source}, {one.labels.source})"
            )
    return list(first.values())


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
