import pytest

from train import progress
from train.progress import timed, tracked


@pytest.mark.parametrize(
    ("items", "total", "expected"),
    [
        ([1, 2], None, "crops: 1 of 2\ncrops: 2 of 2\n"),
        (iter([1]), 5, "crops: 1 of 5\n"),
        (iter([1]), None, "crops: 1\n"),
        ([], None, ""),
    ],
)
def test_piped_progress_is_one_plain_line_per_interval(
    monkeypatch, capsys, *, items, total, expected
):
    monkeypatch.setattr(progress, "INTERVAL_S", 0.0)
    count = len(list(tracked(items, "crops", total=total)))
    assert capsys.readouterr().err == expected
    assert count == expected.count("\n")


def test_piped_progress_prints_nothing_within_the_interval(capsys):
    assert list(tracked(range(9), "crops")) == list(range(9))
    assert capsys.readouterr().err == ""


def test_piped_step_with_a_duration_says_how_much_time_is_left(monkeypatch, capsys):
    monkeypatch.setattr(progress, "INTERVAL_S", 0.0)
    assert list(timed(range(2), "training", 120.0)) == [0, 1]
    assert capsys.readouterr().err == 2 * "training: 2.0 min left\n"


def test_step_with_a_duration_ends_after_it_and_not_before_the_least_number():
    assert list(timed(range(5), "training", 0.0, least=1)) == [0]
    assert list(timed(range(5), "training", 0.0, least=3)) == [0, 1, 2]
    assert list(timed(range(5), "training", 60.0, least=1)) == [*range(5)]
