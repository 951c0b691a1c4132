"""Groups images that must stay together, and splits the groups into training and validation."""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from train.dataset.labelled_image import ROBOFLOW, SCENE, LabelledImage
from train.dataset.perceptual_hash import near_duplicates

BLOCK_S = 60
"""Length of the pieces that a drive is cut into, seconds."""
VALIDATION = 6
"""One group in this many is held out for validation."""


class Split(NamedTuple):
    """The two sides."""

    training: list[LabelledImage]
    validation: list[LabelledImage]

    @property
    def images(self) -> list[LabelledImage]:
        """The images of both sides."""
        return [*self.training, *self.validation]


def group_of(folder: Path, row: Mapping[str, str]) -> str:
    """Returns the group of a row of labels: the minute of its drive, its scene, or its image.

    Numbers in file names are not used: frames of a video need the columns `video` and `t`.
    """
    name = folder.resolve().name
    if row.get("video"):
        return f"{name}/{row['video']}/{int(float(row['t'])) // BLOCK_S}"
    copied = ROBOFLOW.fullmatch(PurePosixPath(row["image"]).name)
    return f"{name}/{row.get(SCENE) or (copied[1] if copied else row['image'])}"


def is_held_out(group: str) -> bool:
    """Whether a group is for validation: decided by a hash, so that it stays as data grows."""
    return _digest(group)[0] % VALIDATION == 0


def with_joined_groups(images: Sequence[LabelledImage]) -> list[LabelledImage]:
    """Returns the images with groups joined that share near-duplicates or Roboflow's copies."""
    hashes = [image.perceptual_hash for image in images]
    pairs = [*near_duplicates(hashes), *_roboflow_copies(images)]
    names = join_groups([image.group for image in images], pairs)
    return [replace(image, group=name) for image, name in zip(images, names, strict=True)]


def join_groups(groups: Sequence[str], pairs: Iterable[tuple[int, int]]) -> list[str]:
    """Joins groups that are connected by pairs of images.

    A joined group takes the name of its largest member (of several, the first in order). That
    member does not change side, and joined groups are held out as often as others.
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


def split_groups(images: Sequence[LabelledImage]) -> Split:
    """Splits images into training and validation; a group is never divided.

    A hash of the group's name decides. If that puts all plates of a folder on one side, its group
    with the smallest hash changes side. Each folder is treated separately, so that its groups keep
    their sides whatever other folders there are.
    """
    folders = defaultdict(set)
    for group in {image.group for image in images if image.boxes}:
        folders[group.partition("/")[0]].add(group)
    changed = {
        min(groups, key=_digest)
        for groups in folders.values()
        if len(groups) > 1 and len({is_held_out(group) for group in groups}) == 1
    }
    split = Split([], [])
    for image in images:
        split[is_held_out(image.group) != (image.group in changed)].append(image)
    return split


def without_rotated_copies(images: Sequence[LabelledImage]) -> list[LabelledImage]:
    """Leaves out copies that an exporter rotated, if the scene has others.

    Their boxes are upright around a tilted plate and would teach loose boxes.
    """
    upright = [image for image in images if not (image.is_copy and image.is_rotated)]
    scenes = {(image.labels.folder, image.group) for image in upright}
    return upright + [i for i in images if (i.labels.folder, i.group) not in scenes]


def _roboflow_copies(images: Sequence[LabelledImage]) -> Iterator[tuple[int, int]]:
    """Yields pairs that Roboflow made of one image, also in different exports."""
    first: dict[str, int] = {}
    for number, image in enumerate(images):
        copied = ROBOFLOW.fullmatch(image.path.name)
        if copied and (one := first.setdefault(copied[1], number)) != number:
            yield one, number


def _digest(group: str) -> bytes:
    return hashlib.sha256(os.fsencode(group)).digest()
