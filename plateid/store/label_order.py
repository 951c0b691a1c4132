"""The order in which plates are labelled: the greatest expected gain first, one of each vehicle."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from plateid.core.lists import FOLDED, Lists
from plateid.store.unpublished import HOUR

FIRST_TRAINING = 100
"""Number of labelled plates that make a first training. With 20, a new country gains half as much.
"""
NEW_FORMAT = 0.4
"""Usefulness (0-1) of the first label of a format, however sure the reading is."""
MAX_LOST = 2
"""Number of misread characters with which two plates within an hour count as one vehicle."""


@dataclass(frozen=True)
class LabelTask:
    """An event to label, how useful its label is (0-1), and why."""

    event: dict[str, Any]
    usefulness: float
    why: str


def order_tasks(
    events: Iterable[dict[str, Any]], labelled: Sequence[tuple[str, dict[str, Any]]], lists: Lists
) -> list[LabelTask]:
    """Returns the tasks of unlabelled vehicles; `labelled` are texts of labels with their events.

    Reads of one plate that differ in a character, in two within an hour at a camera, and the
    same box of identical images count as one vehicle.
    """
    formats = Counter(_format(text) for text, _ in labelled if text)
    known = {key for text, event in labelled for key in _vehicle(event, text)}
    tasks = [_task(event, lists, formats) for event in events]
    kept = []
    for task in sorted(tasks, key=lambda task: -task.usefulness):
        keys = set(_vehicle(task.event))
        if keys.isdisjoint(known):
            kept.append(task)
            known |= keys
    return kept


def _vehicle(event: dict[str, Any], text: str = "") -> Iterator[str]:
    """Yields keys of which two events of one vehicle, an edit apart, share at least one."""
    image = (event["snapshot"] or {}).get("sha256", event["id"])
    yield f"{image} {event['box']}"
    for plate in {event["plate"], text} - {""}:
        folded = plate.translate(FOLDED)
        for lost in range(1 + min(MAX_LOST, (len(folded) - 1) // 3)):
            place = f"{event['first_seen'][:HOUR]} {event['camera']} " if lost == MAX_LOST else ""
            for left in combinations(folded, len(folded) - lost):
                yield place + "".join(left)


def _format(text: str) -> str:
    """Returns the letters and digits of a plate as A and 0."""
    return "".join("0" if character.isdigit() else "A" for character in text)


def _task(event: dict[str, Any], lists: Lists, formats: Counter[str]) -> LabelTask:
    agreeing = event["agreeing_reads"] / max(1, event["reads"])
    nearest = min((apart for apart, _ in lists.near(event["plate"])), default=0.0)
    labels = formats[_format(event["plate"])]
    reasons = [
        (1 - event["confidence"], "low confidence"),
        (0.8 * (1 - agreeing), "frames disagree"),
        (0.5 if event["region"] is None else 0.0, "no country issues it"),
        (0.6 if event["list"] and event["list"]["distance"] else 0.0, "listed, but not exactly"),
        (0.7 if event["list"] is None and nearest > 0 else 0.0, "nearly listed"),
        (NEW_FORMAT if formats and not labels else 0.0, "first label of this format"),
    ]
    usefulness, why = max(reasons)
    return LabelTask(event, usefulness * (1 + 1 / math.sqrt(1 + labels)) / 2, why)
