"""Checks labels before and after a first training: too few, faulty and suspicious ones."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from plateid.core.text import edit_distance, normalise
from train.dataset.labelled_image import LabelledImage
from train.folding import fold
from train.learn.gather import OwnPlate, OwnPlates
from train.learn.reads import Reads
from train.train_error import TrainError

MIN_VEHICLES = 10
"""Smallest number of vehicles to learn texts from, and of scenes to learn boxes from: with fewer,
the test could not prove a gain."""
MAX_PROVING = 1000
"""Number of self-labels, about, that prove a gain: a device may keep 5,000, which take long."""
O_FOR_0 = re.compile(r"(?<=\d)O(?=\d)")
"""A letter O between digits."""
MIN_O = 3
"""Number of texts with such an O that are suspicious."""
CONFIDENT = 0.7
"""Least confidence (0-1) of a read that contradicts a label."""
LESS_LIKELY = 5.0
"""A suspicious label is less probable than what is read, by this log-probability ratio."""
MAX_SUSPECTS = 0.34
"""Largest share of the labels that are left out: with more, the network is at fault."""
OTHER_PLATE = 0.5
"""Share of wrong characters from which the label seems to be of another plate."""


@dataclass(frozen=True, eq=False)
class Suspect:
    """A label that is probably wrong: which plate, what is read instead, and how much likelier."""

    number: int
    read: str
    doubt: float
    reason: str


def check_texts(images: Sequence[LabelledImage]) -> None:
    """Raises TrainError if a text has characters that no reader knows."""
    raw = [image.labels.row.get("text", "") for image in images]
    foreign = [text for text in raw if any(c.isalnum() and not normalise(c) for c in text)]
    if foreign:
        raise TrainError(
            f"{len(foreign)} texts have characters outside of A-Z and 0-9, such as "
            f"{foreign[0]!r}: the reader cannot write them; remove them from the labels"
        )


def shortage(labels: str, names: Sequence[str], what: str) -> str:
    """Says that labels show too few vehicles or scenes (their names); empty if they are enough."""
    count = len({*names})
    if count >= MIN_VEHICLES:
        return ""
    needed = f"{MIN_VEHICLES} different {what} are needed, 20 to 100 are better"
    return f"{len(names)} {labels} show {count} {what}: {needed}"


def divided(plates: Sequence[OwnPlate], *, self_labels: bool) -> tuple[OwnPlates, str]:
    """Returns the plates that prove the gain and others, and a warning if these are self-labelled.

    Raises TrainError if there are self-labels without --self.
    """
    sides = OwnPlates(*([p for p in plates if p.is_self_labelled is s] for s in (False, True)))
    if sides.others and not self_labels:
        raise TrainError(
            f"{len(sides.others)} labels were given by plateid, not by a person (they have a "
            "confidence): give --self to learn from them"
        )
    if not self_labels or len({each.vehicle for each in sides.proving}) >= MIN_VEHICLES:
        return sides, ""
    step = 1 + len(sides.others) // MAX_PROVING
    return OwnPlates([*sides.proving, *sides.others[::step]], ()), (
        f"--self: only {len(sides.proving)} labels are of people, so self-labels of other vehicles "
        "than those trained on prove the gain"
    )


def warnings_about(images: Sequence[LabelledImage], plates: Sequence[OwnPlate]) -> Iterator[str]:
    """Yields a line for each thing in the labels that may be wrong, or was changed."""
    raw = [image.labels.row.get("text", "") for image in images]
    changed = [text for text in raw if text != normalise(text)]
    if changed:
        yield (
            f"{len(changed)} texts had lower case, spaces or other signs: {changed[0]!r} counts as "
            f"{normalise(changed[0])}"
        )
    suspicious = [each.plate.text for each in plates if O_FOR_0.search(each.plate.text)]
    if len(suspicious) >= MIN_O:
        yield (
            f"suspicion: {len(suspicious)} texts have the letter O between digits, such as "
            f"{suspicious[0]}: is it the digit 0?"
        )


def suspects(plates: Sequence[OwnPlate], before: Reads, held_out: Reads) -> list[Suspect]:
    """Returns the labels that a network contradicts which did not train on them, worst first.

    A label that the base reads is right: the proof would otherwise leave out what became worse.
    """
    found = []
    for number, (own, read) in enumerate(zip(plates, held_out.texts, strict=True)):
        doubt = float(
            held_out.read_logs[number] - held_out.label_logs[number] * len(own.plate.text)
        )
        if own.vehicle in (fold(read), fold(before.texts[number])) or doubt < LESS_LIKELY:
            continue
        if held_out.confidences[number] >= CONFIDENT:
            edits = edit_distance(read, own.plate.text)
            is_other = edits >= OTHER_PLATE * len(own.plate.text)
            found.append(Suspect(number, read, doubt, "other plate" if is_other else "wrong text"))
    worst = sorted(found, key=lambda suspect: -suspect.doubt)
    return worst if len(worst) <= MAX_SUSPECTS * len(plates) else []
