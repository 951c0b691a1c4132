"""Invents formats that no country need have: any length, any groups, any mix of characters."""

import numpy as np

FREE = "*"
"""The row of a pattern that has a random format."""
LENGTHS = (3, 12)
"""Least and largest number of characters of a plate."""
MAX_GROUPS = 4
"""Largest number of groups in a row."""
KINDS = {"D": 0.45, "X": 0.2, "L": 0.05, "": 0.3}
"""What all groups of a plate consist of, as in a pattern, and the share of plates (0-1). The last
kind has groups of digits and groups of letters."""


def with_free_rows(rng: np.random.Generator, pattern: str) -> str:
    """Returns the pattern with a random format, such as `DDDDD DDD DD`, in place of free rows."""
    words = pattern.split(" ")
    rows = words.count(FREE)
    if not rows:
        return pattern
    kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    length = int(rng.integers(max(LENGTHS[0], rows), LENGTHS[1] + 1))
    formats = iter([_groups(rng, count, kind) for count in random_split(rng, length, rows)])
    return " ".join(next(formats) if word == FREE else word for word in words)


def _groups(rng: np.random.Generator, length: int, kind: str) -> str:
    count = int(rng.integers(1, min(MAX_GROUPS, length) + 1))
    sizes = random_split(rng, length, count)
    return " ".join((kind or str(rng.choice(["D", "L"]))) * size for size in sizes)


def random_split(rng: np.random.Generator, length: int, parts: int) -> list[int]:
    """Returns a random division of the length into parts of at least one character."""
    cuts = np.sort(rng.choice(np.arange(1, length), parts - 1, replace=False))
    sizes: list[int] = np.diff([0, *cuts, length]).tolist()
    return sizes
