"""Exact confidence intervals of a share in a finite population."""

from bisect import bisect_left
from math import comb

CONFIDENCE_PERCENT = 95
"""Minimum percentage of samples whose interval holds the truth. Wilson's interval falls to 84 % for
shares near 1, where plate readers are."""


def exact_interval(right: int, asked: int, population: int) -> tuple[int, int]:
    """Returns the smallest and the largest number of right items that a sample does not exclude.

    `right` of `asked` items are right, drawn from `population` without replacement. The interval
    inverts two hypergeometric tests (Clopper and Pearson, Biometrika 1934; finite population).
    """
    wrong = asked - right
    return (
        population - _most(wrong, asked, population),
        _most(right, asked, population),
    )


def _most(right: int, asked: int, population: int) -> int:
    """Returns the largest number of right items with which so few in a sample are likely enough."""
    limit = (100 - CONFIDENCE_PERCENT) * comb(population, asked)

    def is_excluded(count: int) -> bool:
        few = sum(comb(count, n) * comb(population - count, asked - n) for n in range(right + 1))
        return 200 * few <= limit

    possible = range(right, population - (asked - right) + 1)
    return possible[bisect_left(possible, True, key=is_excluded) - 1]  # noqa: FBT003
