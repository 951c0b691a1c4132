import pytest

from tests.train.evaluation.samples import plate, read
from train.evaluation.passes import GAP_S, fused, pass_figures, passes
from train.evaluation.results import Transcribed

THRESHOLD = 0.3


def seen(text: str, t: float, said: str = "", sure: float = 0.8, **changes) -> Transcribed:
    crop = read(said or text, sure)
    return plate(text, crop, moment=(changes.pop("video", "ride"), t), **changes)


def test_a_pass_is_one_text_in_one_ride_seen_again_soon():
    frames = [
        seen("B68SPK", 3.0),
        seen("B12AAA", 1.0),
        seen("B68SPK", 1.0),
        seen("B68SPK", 2.0),
        seen("B68SPK", 3.0 + GAP_S),
        seen("B68SPK", 3.1 + 2 * GAP_S),
        seen("B68SPK", 2.0, video="another"),
        seen("B68SPK", 2.0, source="other"),
        plate("B68SPK"),
        seen("B68SPK", 2.0, is_cut_out=True),
    ]
    found = [[each.moment[1] for each in ride] for ride in passes(frames)]
    assert found == [[1.0, 2.0, 3.0, 3.0 + GAP_S], [3.1 + 2 * GAP_S], [1.0], [2.0], [2.0]]


def test_reads_that_agree_outvote_the_surest_one():
    ride = [
        seen("B68SPK", 1, sure=0.7),
        seen("B68SPK", 2, sure=0.7),
        seen("B68SPK", 3, "B68SPX", sure=0.8),
    ]
    assert fused(ride, THRESHOLD).reading.plate == "B68SPK"
    (figures,) = pass_figures([*ride, seen("B12AAA", 1, sure=0.99)], THRESHOLD)
    assert (figures.name, figures.passes, figures.frames) == ("data", 2, 4)
    assert figures.one_frame == pytest.approx((2 / 3 + 1) / 2)
    assert (figures.best_frame, figures.fused, figures.exact) == (0.5, 1, 1)
    assert (figures.sure, figures.sure_right) == (0.5, 1)


def test_what_the_detector_does_not_find_is_not_fused():
    ride = [seen("B68SPK", 1, score=0.2), seen("B68SPK", 2, found=None, score=0.0)]
    assert fused(ride, THRESHOLD).reading.plate == ""
    (figures,) = pass_figures(ride, THRESHOLD)
    assert (figures.one_frame, figures.best_frame, figures.fused, figures.sure) == (0, 0, 0, 0)
    assert figures.sure_right is None


def test_a_pass_is_right_with_o_as_0_and_exact_only_as_it_is():
    (figures,) = pass_figures([seen("B680SPK", 1, "B68OSPK", sure=0.99)], THRESHOLD)
    assert (figures.fused, figures.exact) == (1, 0)


def test_sources_without_times_have_no_passes():
    assert pass_figures([plate("B68SPK")], THRESHOLD) == []
