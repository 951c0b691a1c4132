"""Checks labels before and after a first training: too few, faulty and suspicious ones."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from plateid.core.records import Image
from plateid.core.text import edit_distance, fold, normalise
from train.dataset.labelled_image import LabelledImage
from train.evaluation.reader_accuracy import aligned
from train.learn.gather import OwnPlate
from train.learn.inputs import Read
from train.train_error import TrainError

MIN_VEHICLES = 10
"""Smallest number of vehicles to learn texts from, and of scenes to learn boxes from: with fewer,
the test could not prove a gain."""
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
    """A label that is probably wrong."""

    number: int  # of the plate
    image: Image
    label: str
    read: str  # instead of the label
    doubt: float  # how much likelier that is, as a log-probability ratio
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


def proving(plates: Sequence[OwnPlate], *, self_labels: bool) -> tuple[list[int], str]:
    """Returns the numbers of the plates that prove the gain, and a warning about self-labels.

    Raises TrainError if there are self-labels without --self.
    """
    people = [number for number, each in enumerate(plates) if not each.is_self_labelled]
    if len(people) < len(plates) and not self_labels:
        raise TrainError(
            f"{len(plates) - len(people)} labels were given by plateid, not by a person (they have "
            "a confidence): give --self to learn from them"
        )
    if not self_labels or len({plates[number].vehicle for number in people}) >= MIN_VEHICLES:
        return people, ""
    return [*range(len(plates))], (
        f"--self: only {len(people)} labels are of people, so self-labels of other vehicles "
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


def suspects(
    plates: Sequence[OwnPlate], before: Sequence[Read], held_out: Sequence[Read]
) -> list[Suspect]:
    """Returns the labels that a network contradicts which did not train on them, worst first.

    A label that the base reads is right: the proof would otherwise leave out what became worse. So
    is one whose confused characters are all confused in other vehicles, too: the network does not
    know this font.
    """
    found, vehicles = [], defaultdict[tuple[str, str], set[str]](set)
    for own, new in zip(plates, held_out, strict=True):
        for pair in aligned(own.vehicle, fold(new.text)):
            vehicles[pair].add(own.vehicle)
    for number, (own, old, new) in enumerate(zip(plates, before, held_out, strict=True)):
        label, read = own.plate.text, new.text
        doubt = new.read_log - new.label_log * len(label)
        confused = [pair for pair in aligned(own.vehicle, fold(read)) if pair[0] != pair[1]]
        is_font = all(len(vehicles[pair]) > 1 for pair in confused)  # also if there is none
        is_known = is_font or own.vehicle == fold(old.text)
        if not is_known and doubt >= LESS_LIKELY and new.confidence >= CONFIDENT:
            is_other = edit_distance(read, label) >= OTHER_PLATE * len(label)
            reason = "other plate" if is_other else "wrong text"
            found.append(Suspect(number, own.plate.image, label, read, doubt, reason))
    return worst_first(found, len(plates))


def worst_first(found: Sequence[Suspect], count: int) -> list[Suspect]:
    """Returns suspicious labels, worst first; none if more than `MAX_SUSPECTS` of all are."""
    worst = sorted(found, key=lambda suspect: -suspect.doubt)
    return worst if len({each.number for each in worst}) <= MAX_SUSPECTS * count else []
