"""ImageLabels pictures: split without leakage, laid out for ultralytics."""

import hashlib
import json
import os
import re
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from plateid.capture.images import IMAGE_SUFFIXES
from plateid.core.records import Box
from train.dataset.formats import ImageLabels
from train.dataset.perceptual_hash import PerceptualHash, near_duplicates

BLOCK_S = 60
VALIDATION = 6
"""One group in so many is held out."""
COPIES = "scene"
"""The column that says which pictures are an exporter's copies of one."""
ROBOFLOW = re.compile(r"(.+)\.rf\.\w+\.\w+")
"""How Roboflow names its copies of one picture: `NAME_jpg.rf.HASH.jpg`."""

JPEG_BEGIN, JPEG_END = b"\xff\xd8", b"\xff\xd9"


@dataclass(frozen=True)
class LabelledImage:
    """One labelled picture, and what reading it has shown.

    Attributes:
        labels: What its labels say.
        boxes: (x1, y1, x2, y2) of each plate in pixels, cut at the picture's border; empty: a
            negative.
        group: Pictures of one group (one scene, or one minute of one ride) stay on one side of a
            split.
        width: In pixels, upright.
        height: In pixels, upright.
        clipped: How many boxes were cut.
        digest: Of the file.
        looks: What the picture looks like.
        is_turned: Whether an exporter seems to have turned it.
    """

    labels: ImageLabels
    boxes: tuple[Box, ...]
    group: str
    width: int
    height: int
    clipped: int
    digest: bytes
    looks: PerceptualHash
    is_turned: bool

    @property
    def path(self) -> Path:
        """The picture file."""
        return self.labels.path

    @property
    def texts(self) -> tuple[str, ...]:
        """What each plate says; "" where nobody transcribed it."""
        return tuple(box.text for box in self.labels.boxes)

    @property
    def is_copy(self) -> bool:
        """Whether an exporter made several pictures of the scene."""
        return COPIES in self.labels.row or bool(ROBOFLOW.fullmatch(self.path.name))


def group_of(folder: Path, row: Mapping[str, str]) -> str:
    """What a row of labels must not be parted from: its minute, scene or picture.

    Numbers in the names of pictures tell nothing: frames of a clip need `video` and `t`.
    """
    name = folder.resolve().name
    if row.get("video"):
        return f"{name}/{row['video']}/{int(float(row['t'])) // BLOCK_S}"
    copied = ROBOFLOW.fullmatch(PurePosixPath(row["image"]).name)
    return f"{name}/{row.get(COPIES) or (copied[1] if copied else row['image'])}"


def held_out(group: str) -> bool:
    """Whether a group belongs to the validation part: by a hash, so that it stays as data grows."""
    return _digest(group)[0] % VALIDATION == 0


def _digest(group: str) -> bytes:
    return hashlib.sha256(os.fsencode(group)).digest()


def grouped(pictures: Sequence[LabelledImage]) -> list[LabelledImage]:
    """The same pictures, but groups that share near-duplicates, or Roboflow's copies, are one."""
    pairs = [*near_duplicates([picture.looks for picture in pictures]), *_copies(pictures)]
    names = joined([picture.group for picture in pictures], pairs)
    return [replace(p, group=name) for p, name in zip(pictures, names, strict=True)]


def _copies(pictures: Sequence[LabelledImage]) -> Iterator[tuple[int, int]]:
    """Pairs that Roboflow made of one picture, in whatever export of it."""
    first: dict[str, int] = {}
    for number, picture in enumerate(pictures):
        copied = ROBOFLOW.fullmatch(picture.path.name)
        if copied and (one := first.setdefault(copied[1], number)) != number:
            yield one, number


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


def split(
    pictures: Sequence[LabelledImage],
) -> tuple[list[LabelledImage], list[LabelledImage]]:
    """Train and validation parts; a group goes to one side whole.

    A hash of its name decides. Where it puts all plates of a folder on one side, the group with the
    least hash goes to the other. This is done for each folder, so that a folder's groups stay where
    they are whatever other folders are there.
    """
    folders = defaultdict(set)
    for group in {picture.group for picture in pictures if picture.boxes}:
        folders[group.partition("/")[0]].add(group)
    changed = {
        min(groups, key=_digest)
        for groups in folders.values()
        if len(groups) > 1 and len({held_out(group) for group in groups}) == 1
    }
    sides: tuple[list[LabelledImage], list[LabelledImage]] = ([], [])
    for picture in pictures:
        sides[held_out(picture.group) != (picture.group in changed)].append(picture)
    return sides


def without_turned_copies(pictures: Sequence[LabelledImage]) -> list[LabelledImage]:
    """Leaves out copies that an exporter turned, where the scene has others.

    Their boxes stand upright around a leaning plate and teach loose boxes.
    """
    upright = [p for p in pictures if not (p.is_copy and p.is_turned)]
    scenes = {(p.labels.folder, p.group) for p in upright}
    return upright + [p for p in pictures if (p.labels.folder, p.group) not in scenes]


def write_yolo(sides: tuple[Sequence[LabelledImage], Sequence[LabelledImage]], root: Path) -> Path:
    """Links the two parts into the layout of ultralytics and returns its `data.yaml`.

    Whatever is at `root` is replaced, once all is written.
    """
    new = root.with_name(f"{root.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    for side, pictures in zip(("train", "val"), sides, strict=True):
        _write_side(new, side, pictures)
    where = json.dumps(str(root.resolve()), ensure_ascii=False)  # YAML knows no pairs of surrogates
    (new / "data.yaml").write_text(
        f"path: {where}\ntrain: images/train\nval: images/val\nnames: {{0: plate}}\n",
        encoding="utf-8",
    )
    shutil.rmtree(root, ignore_errors=True)
    new.rename(root)
    return root / "data.yaml"


def _write_side(root: Path, side: str, pictures: Sequence[LabelledImage]) -> None:
    images, labels = root / "images" / side, root / "labels" / side
    for folder in (images, labels):
        folder.mkdir(parents=True)
    for number, picture in enumerate(pictures):
        # Two folders may have pictures of one name, and one folder two that differ in the suffix.
        name = f"{number:05}_{picture.path.name.encode('ascii', 'ignore').decode()}"
        if picture.path.suffix.lower() not in IMAGE_SUFFIXES:
            name += ".jpg"  # ultralytics goes by names before it looks
        _link(images / name, picture.path)
        (labels / name).with_suffix(".txt").write_text(_yolo_lines(picture))


def _link(link: Path, picture: Path) -> None:
    """A copy where more follows a JPEG's end, as in motion photos: ultralytics would mend that."""
    link.symlink_to(picture.resolve())
    with picture.open("rb") as file:
        begin = file.read(len(JPEG_BEGIN))
        file.seek(-len(JPEG_END), os.SEEK_END)
        end = file.read()
    if begin == JPEG_BEGIN and end != JPEG_END:
        link.unlink()
        link.write_bytes(picture.read_bytes() + JPEG_END)


def _yolo_lines(picture: LabelledImage) -> str:
    lines = []
    for x1, y1, x2, y2 in picture.boxes:
        centre = (x1 + x2) / 2 / picture.width, (y1 + y2) / 2 / picture.height
        size = (x2 - x1) / picture.width, (y2 - y1) / picture.height
        lines.append("0 " + " ".join(f"{value:.6f}" for value in (*centre, *size)))
    return "\n".join(lines)
