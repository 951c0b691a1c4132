import pytest

from tests.train.evaluation.evaluation_samples import plate, read
from train.evaluation.image_results import LabelledPlate
from train.evaluation.reader_accuracy import GAP_S, fused, pass_accuracy, passes


def seen(text: str, t: float, reading: str = "", score: float = 0.8, **changes) -> LabelledPlate:
    """Returns a plate in a frame at `t` seconds, read as `reading` with this character score."""
    return plate(
        text, read(reading or text, score), moment=(changes.pop("video", "ride"), t), **changes
    )


def test_pass_is_one_text_in_one_video_without_long_gaps():
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
        seen("B68SPK", 2.0, is_crop=True),
    ]
    found = [[each.moment[1] for each in frames] for frames in passes(frames)]
    assert found == [[1.0, 2.0, 3.0, 3.0 + GAP_S], [3.1 + 2 * GAP_S], [1.0], [2.0], [2.0]]


def test_fused_reading_outvotes_the_frame_with_the_highest_confidence():
    frames = [
        seen("B68SPK", 1, score=0.7),
        seen("B68SPK", 2, score=0.7),
        seen("B68SPK", 3, "B68SPX", score=0.8),
    ]
    assert fused(frames).reading.plate == "B68SPK"
    (found,) = pass_accuracy([*frames, seen("B12AAA", 1, score=0.99)])
    assert (found.name, found.frames.plates, found.fused.plates) == ("data", 4, 2)
    assert found.frames.plate_accuracy == pytest.approx(3 / 4)
    assert found.best_frames.plate_accuracy == 0.5
    assert (found.fused.plate_accuracy, found.fused.plate_accuracy_folded) == (1, 1)
    assert (found.fused.confident, found.fused.confident_correct) == (0.5, 1)


def test_frames_without_a_detection_are_not_fused():
    frames = [
        plate("B68SPK", moment=("ride", 1.0), score=0.2),
        plate("B68SPK", moment=("ride", 2.0), found=None, score=0.0),
    ]
    assert fused(frames).reading.plate == ""
    (found,) = pass_accuracy(frames)
    for part in (found.frames, found.best_frames, found.fused):
        assert (part.plate_accuracy, part.confident, part.confident_correct) == (0, 0, None)


def test_sources_without_times_have_no_passes():
    assert pass_accuracy([plate("B68SPK")]) == []
