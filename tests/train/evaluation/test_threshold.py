import numpy as np
import pytest

from train.evaluation.metrics import Ranking
from train.evaluation.threshold import choose, per_frame
from train.train_error import TrainError


def ranking(right: list[float], wrong: list[float], plates: int) -> Ranking:
    scores = np.array([*right, *wrong], np.float32)
    order = np.argsort(-scores)
    found = np.arange(len(scores)) < len(right)
    return Ranking(scores[order], found[order], np.ones(len(scores), np.float32), plates)


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
        "a plate in a hundred may go",
        "of few plates none may go",
        "what has no score of 0.05 cannot be kept",
        "with negatives, the lowest that is quiet",
        "one false box in fifty frames is quiet",
        "none is quiet: a missed plate costs more than false boxes",
    ],
)
def test_the_rule(right, negatives, threshold):
    scores = [np.array(frame, np.float32) for frame in negatives]
    assert choose(ranking(right, [], 101), scores, [], current=0.25).threshold == threshold


def test_the_table_shows_what_lies_around_the_choice_the_lowest_and_the_bundles_on_other_frames():
    loud, frame = np.array([0.99], np.float32), np.array([0.8, 0.3, 0.06], np.float32)
    choice = choose(ranking(HUNDRED, [0.3, 0.1], 101), [loud], [frame], current=0.25)
    assert [point.threshold for point in choice.table] == [0.05, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5]
    lowest = choice.table[0]
    assert lowest.recall == pytest.approx(100 / 101)
    assert lowest.precision == pytest.approx(100 / 102)
    assert [point.false_per_frame for point in choice.table] == [3, 2, 2, 1, 1, 1, 1]
    without = choose(ranking(HUNDRED, [], 101), [], [], current=0.25)
    assert {point.false_per_frame for point in without.table} == {None}


def test_a_detector_that_finds_nothing_gives_no_threshold():
    with pytest.raises(TrainError, match=r"no plate was found, even at 0\.05"):
        choose(ranking([0.03], [0.9], 5), [], [], current=0.25)


def test_false_boxes_are_counted_from_the_threshold_on():
    frames = [np.array(scores, np.float32) for scores in ([0.9, 0.5], [], [0.5, 0.1])]
    assert [per_frame(frames, t) for t in (0.05, 0.5, 0.6)] == [4 / 3, 1, 1 / 3]
