"""The exact interval of a share, against all samples of small populations."""

from math import comb

import pytest

from plateid.store.report_card import exact_interval


@pytest.mark.parametrize(("population", "asked"), [(1, 1), (12, 5), (40, 10), (200, 60), (61, 60)])
def test_interval_covers_the_truth_in_95_percent_of_samples(population, asked):
    intervals = [exact_interval(right, asked, population) for right in range(asked + 1)]
    for truth in range(population + 1):
        covering = sum(
            comb(truth, right) * comb(population - truth, asked - right)
            for right, (low, high) in enumerate(intervals)
            if low <= truth <= high
        )
        assert covering >= 0.95 * comb(population, asked)


@pytest.mark.parametrize(
    ("sample", "interval"),
    [((20, 20, 20), (20, 20)), ((0, 0, 50), (0, 50)), ((3, 4, 4), (3, 3)), ((0, 0, 0), (0, 0))],
)
def test_interval_is_the_truth_if_all_are_asked_and_everything_if_none(sample, interval):
    assert exact_interval(*sample) == interval


def test_interval_of_60_among_many_is_that_of_clopper_and_pearson():
    low, high = exact_interval(57, 60, 1_000_000)
    assert (low / 1e6, high / 1e6) == pytest.approx((0.8608, 0.9896), abs=1e-4)
