"""Labelled pictures: read, split without leakage, laid out for ultralytics."""

import hashlib
import json
import re
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from plateid.core.records import Box
from train.dataset.formats import read_labels
from train.dataset.look import Look, look_at
from train.errors import TrainError

BLOCK_S = 60
VALIDATION = 6
"""One group in so many is held out."""
COPIES = "scene"
"""The column that says which pictures are an exporter's copies of one."""
ROBOFLOW = re.compile(r"(.+)\.rf\.\w+\.\w+")
"""How Roboflow names its copies of one picture: `NAME_jpg.rf.HASH.jpg`."""
TOLD = 20
"""Problems that are told one by one."""


@dataclass(frozen=True)
class Picture:
    """One labelled picture.

    Attributes:
        path: The picture file.
        boxes: (x1, y1, x2, y2) of each plate in pixels, inside the picture; empty: a negative.
        group: Pictures of one group (one scene, or one minute of one ride) stay on one side of a
            split.
        width: In pixels, upright.
        height: In pixels, upright.
        is_copy: Whether an exporter made several pictures of the scene.
        is_turned: Whether an exporter seems to have turned it.
    """

    path: Path
    boxes: tuple[Box, ...]
    group: str
    width: int
    height: int
    is_copy: bool = False
    is_turned: bool = False


def read_pictures(folder: Path) -> list[Picture]:
    """Reads a data set: labels.csv, COCO, YOLO or Pascal VOC.

    This checks each picture by itself; `train.dataset.checks.checked_pictures` also compares them.

    Raises:
        TrainError: Of a line for each thing that is wrong.
    """
    problems: list[str] = []
    looks = look_at(read_labels(folder, problems), problems)
    refuse(problems)
    return [picture_of(look) for look in looks]


def refuse(problems: Sequence[str]) -> None:
    """Raises a TrainError that tells the problems, if there are any."""
    more = [f"and {len(problems) - TOLD} more"] if len(problems) > TOLD else []
    if problems:
        raise TrainError("\n".join([*problems[:TOLD], *more]))


def picture_of(look: Look) -> Picture:
    """What is kept of a picture that was looked at."""
    labels = look.labels
    return Picture(
        path=labels.path,
        boxes=look.boxes,
        group=group_of(labels.folder, labels.row),
        width=look.width,
        height=look.height,
        is_copy=COPIES in labels.row or bool(ROBOFLOW.fullmatch(labels.path.name)),
        is_turned=look.is_turned,
    )


def group_of(folder: Path, plate: Mapping[str, str]) -> str:
    """What a row of labels must not be parted from: its minute, scene or picture."""
    if "video" in plate:
        return f"{folder.name}/{plate['video']}/{int(float(plate['t'])) // BLOCK_S}"
    copied = ROBOFLOW.fullmatch(PurePosixPath(plate["image"]).name)
    return f"{folder.name}/{plate.get(COPIES) or (copied[1] if copied else plate['image'])}"


def held_out(group: str) -> bool:
    """Whether a group belongs to the validation part: by a hash, so that it stays as data grows."""
    return hashlib.sha256(group.encode()).digest()[0] % VALIDATION == 0


def joined(groups: Sequence[str], pairs: Iterable[tuple[int, int]]) -> list[str]:
    """The groups of pictures, after those that a pair connects have become one.

    It takes the name of its member with the most pictures (of several, the first name). These do
    not change side, and as many of the joined groups are held out as of any others.

    Args:
        groups: The group of each picture.
        pairs: Positions in `groups`.
    """
    parents = {group: group for group in groups}

    def root(group: str) -> str:
        while group != parents[group]:
            parents[group] = group = parents[parents[group]]
        return group

    for i, j in pairs:
        parents[root(groups[i])] = root(groups[j])
    members: dict[str, Counter[str]] = defaultdict(Counter)
    for group in groups:
        members[root(group)][group] += 1
    names = {
        one: min(counts, key=lambda name: (-counts[name], name)) for one, counts in members.items()
    }
    return [names[root(group)] for group in groups]


def split(pictures: Sequence[Picture]) -> tuple[list[Picture], list[Picture]]:
    """Train and validation parts; a group goes to one side whole, by a hash of its name."""
    sides: tuple[list[Picture], list[Picture]] = ([], [])
    for picture in pictures:
        sides[held_out(picture.group)].append(picture)
    return sides


def without_turned_copies(pictures: Sequence[Picture]) -> list[Picture]:
    """Leaves out copies that an exporter turned, where the scene has others.

    Their boxes stand upright around a leaning plate and teach loose boxes.
    """
    upright = [p for p in pictures if not (p.is_copy and p.is_turned)]
    scenes = {p.group for p in upright}
    return upright + [p for p in pictures if p.group not in scenes]


def write_yolo(sides: tuple[Sequence[Picture], Sequence[Picture]], root: Path) -> Path:
    """Links the two parts into the layout of ultralytics and returns its `data.yaml`.

    Whatever is at `root` is replaced, once all is written.
    """
    new = root.with_name(f"{root.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    for side, pictures in zip(("train", "val"), sides, strict=True):
        _write_side(new, side, pictures)
    where = json.dumps(str(root.resolve()))
    (new / "data.yaml").write_text(
        f"path: {where}\ntrain: images/train\nval: images/val\nnames: {{0: plate}}\n"
    )
    shutil.rmtree(root, ignore_errors=True)
    new.rename(root)
    return root / "data.yaml"


def _write_side(root: Path, side: str, pictures: Sequence[Picture]) -> None:
    images, labels = root / "images" / side, root / "labels" / side
    for folder in (images, labels):
        folder.mkdir(parents=True)
    for number, picture in enumerate(pictures):
        # Two folders may have pictures of one name, and one folder two that differ in the suffix.
        name = f"{number:05}_{picture.path.name}"
        (images / name).symlink_to(picture.path.resolve())
        (labels / name).with_suffix(".txt").write_text(_yolo_lines(picture))


def _yolo_lines(picture: Picture) -> str:
    lines = []
    for x1, y1, x2, y2 in picture.boxes:
        centre = (x1 + x2) / 2 / picture.width, (y1 + y2) / 2 / picture.height
        size = (x2 - x1) / picture.width, (y2 - y1) / picture.height
        lines.append("0 " + " ".join(f"{value:.6f}" for value in (*centre, *size)))
    return "\n".join(lines)
