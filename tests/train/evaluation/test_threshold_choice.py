import numpy as np
import pytest

from train.evaluation.coco_metrics import RankedBoxes
from train.evaluation.threshold_choice import choose_threshold, false_per_frame
from train.train_error import TrainError


def ranked(right: list[float], wrong: list[float], plates: int) -> RankedBoxes:
    scores = np.array([*right, *wrong], np.float32)
    order = np.argsort(-scores)
    found = np.arange(len(scores)) < len(right)
    return RankedBoxes(scores[order], found[order], plates)


HUNDRED = [0.9] * 98 + [0.404, 0.204]


@pytest.mark.parametrize(
    ("right", "negatives", "threshold"),
    [
        (HUNDRED, [], 0.4),
        ([0.9] * 98 + [0.304, 0.204], [], 0.3),
        ([0.604] * 20, [], 0.6),
        ([*HUNDRED, 0.03], [], 0.4),
        (HUNDRED, [[0.154], *[[]] * 9], 0.16),
        (HUNDRED, [[0.154], *[[]] * 49], 0.05),
        (HUNDRED, [[0.8, 0.7], [0.5]], 0.4),
    ],
    ids=[
        "without negatives, the highest that keeps 99 %",
        "one plate in a hundred may be lost",
        "of few plates none may be lost",
        "plates below 0.05 do not count",
        "with negatives, the lowest with few false boxes",
        "one false box in fifty frames is acceptable",
        "if there are always more, the highest that keeps 99 %",
    ],
)
def test_rule_for_the_threshold(right, negatives, threshold):
    scores = [np.array(frame, np.float32) for frame in negatives]
    assert choose_threshold(ranked(right, [], 101), scores, [], current=0.25).threshold == threshold


def test_table_shows_the_neighbours_the_lowest_and_the_current_threshold():
    loud, frame = np.array([0.99], np.float32), np.array([0.8, 0.3, 0.06], np.float32)
    choice = choose_threshold(ranked(HUNDRED, [0.3, 0.1], 101), [loud], [frame], current=0.25)
    assert [point.threshold for point in choice.table] == [0.05, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5]
    lowest = choice.table[0]
    assert lowest.recall == pytest.approx(100 / 101)
    assert lowest.precision == pytest.approx(100 / 102)
    assert [point.false_per_frame for point in choice.table] == [3, 2, 2, 1, 1, 1, 1]
    without = choose_threshold(ranked(HUNDRED, [], 101), [], [], current=0.25)
    assert {point.false_per_frame for point in without.table} == {None}


def test_no_threshold_without_a_found_plate():
    with pytest.raises(TrainError, match=r"no plate was found, even at 0\.05"):
        choose_threshold(ranked([0.03], [0.9], 5), [], [], current=0.25)


def test_boxes_at_the_threshold_are_counted():
    frames = [np.array(scores, np.float32) for scores in ([0.9, 0.5], [], [0.5, 0.1])]
    assert [false_per_frame(frames, t) for t in (0.05, 0.5, 0.6)] == [4 / 3, 1, 1 / 3]
