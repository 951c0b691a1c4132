"""The summary that is printed before a training."""

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from train.dataset.grouping import Split
from train.dataset.labelled_image import LabelledImage

TINY_PX = 4.0
"""Side of a plate below which there is nothing to learn, pixels."""


@dataclass(frozen=True)
class DataSummary:
    """What the data contain, and what the checks changed; `str()` makes a short table of it.

    `images` are used, on both sides; `duplicates`, `rotated` and `unlabelled` ones are left out.
    `joined` counts groups that near-duplicates or copies joined to others; `moved`, the images that
    changed side by that. `heights` are the smallest, median and largest of the plates, in pixels.
    """

    images: int
    validation: int
    groups: int
    negatives: int
    plates: int
    heights: tuple[float, float, float]
    tiny: int
    classes: dict[str, int]
    clipped: int
    other_classes: dict[str, int]
    duplicates: int
    joined: int
    moved: int
    rotated: int
    unlabelled: int

    def __str__(self) -> str:
        smallest, median, largest = self.heights
        most_held_out = 2 * self.validation > self.images
        rows = (
            ("images", f"{self.images} in {self.groups} groups; {self.validation} held out"),
            ("without a plate", self.negatives),
            ("plates", f"{self.plates}; {smallest:.0f} to {largest:.0f} px high"),
            ("classes", _counts(self.classes)),
            ("median height", f"{median:.0f} px"),
            ("warning", self.tiny and f"{self.tiny} plates are smaller than {TINY_PX:.0f} px"),
            ("warning", most_held_out and "most images are held out: there are few groups"),
            ("clipped", self.clipped and f"{self.clipped} boxes at the border"),
            ("ignored classes", _counts(self.other_classes)),
            ("skipped, same file", self.duplicates),
            ("skipped, rotated copy", self.rotated),
            ("skipped, no label", self.unlabelled),
            ("joined groups", self.joined and f"{self.joined}; {self.moved} images changed side"),
        )
        return "\n".join(f"{name:24}{value}" for name, value in rows if value)


def summarise(split: Split, readable: Sequence[LabelledImage], **changes: int) -> DataSummary:
    """Returns the summary of a split of readable images, with the counts that the checks made."""
    images = split.images
    boxes = [box for image in images for box in image.boxes]
    classes = (box.name for image in images for box in image.labels.boxes)
    heights = [y2 - y1 for _, y1, _, y2 in boxes]
    return DataSummary(
        images=len(images),
        validation=len(split.validation),
        groups=len({image.group for image in images}),
        negatives=sum(not image.boxes for image in images),
        plates=len(boxes),
        heights=(min(heights), statistics.median(heights), max(heights)),
        tiny=sum(min(x2 - x1, y2 - y1) < TINY_PX for x1, y1, x2, y2 in boxes),
        classes=dict(Counter(name for name in classes if name)),
        clipped=sum(image.clipped for image in readable),
        other_classes=dict(Counter(name for i in readable for name in i.labels.other_classes)),
        **changes,
    )


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
