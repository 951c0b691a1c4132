"""Counts which characters are read as which."""

from collections import Counter
from collections.abc import Iterable
from difflib import SequenceMatcher
from itertools import zip_longest

from train.evaluation.reader_accuracy import ReadResult

NOTHING = ""
"""Stands for a missing character, or opposite an extra one."""
MAX_ERRORS = 0.5
"""Share of wrong characters up to which a text can be aligned with its reading."""


def confusions(results: Iterable[ReadResult]) -> Counter[tuple[str, str]]:
    """Counts pairs of true and wrongly read characters, in texts with up to MAX_ERRORS."""
    return Counter(
        (truth, read)
        for each in results
        if each.edits <= MAX_ERRORS * len(each.plate.text)
        for truth, read in aligned(each.plate.text, each.reading.plate)
        if truth != read
    )


def aligned(truth: str, read: str) -> list[tuple[str, str]]:
    """Aligns two texts. Returns pairs of characters, with NOTHING where one side has none."""
    pairs: list[tuple[str, str]] = []
    blocks = SequenceMatcher(None, truth, read, autojunk=False).get_opcodes()
    for _, start, end, read_start, read_end in blocks:
        pairs += zip_longest(truth[start:end], read[read_start:read_end], fillvalue=NOTHING)
    return pairs
