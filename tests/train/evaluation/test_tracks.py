import numpy as np
import pytest
from click.testing import CliRunner

from plateid.core.records import PlateRead
from plateid.core.text import CHARSET
from train.__main__ import main
from train.evaluation.tracks import EACH_FRAME, FRAMES, ORACLE, _texts, render_track
from train.synth.camera_effects import _add_noise


def read_of(text: str, sure: float) -> PlateRead:
    rows = np.full((len(text), 1 + len(CHARSET)), (1 - sure) / len(CHARSET), np.float32)
    rows[np.arange(len(text)), [1 + CHARSET.index(each) for each in text]] = sure
    return PlateRead(rows, 1.0, 20.0)


def test_a_track_shows_one_plate_that_comes_nearer_and_depends_on_its_seed():
    text, frames = render_track(np.random.default_rng(3))
    again = render_track(np.random.default_rng(3))
    assert text == again[0]
    assert all(np.array_equal(a, b) for a, b in zip(frames, again[1], strict=True))
    assert len(frames) == FRAMES
    heights = [len(frame) for frame in frames]
    assert heights[0] < heights[-1]
    assert all(6 <= height < 60 for height in heights)


def test_frames_of_a_track_share_the_noise_strength_and_differ_in_the_grain():
    light = np.full((40, 160, 3), 120.0, np.float32)
    light[:, ::2] = 200

    def grain(seed: int) -> np.ndarray:
        return _add_noise(np.random.default_rng(1), light, np.random.default_rng(seed)) - light

    one, again, other = grain(2), grain(2), grain(3)
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert one.std() == pytest.approx(other.std(), rel=0.05)


def test_the_majority_and_the_sum_of_log_probabilities_may_differ():
    reads = [read_of("AB123C", 0.55), read_of("AB123C", 0.55), read_of("AB128C", 0.999)]
    texts = _texts(reads)
    assert texts["frame with the highest confidence"] == ["AB128C"]
    assert texts["majority of the texts"] == ["AB123C"]
    assert texts["sum of log-probabilities"] == ["AB128C"]
    assert len(texts[EACH_FRAME]) == 3


def test_reads_of_another_length_do_not_count_in_the_sum():
    texts = _texts([read_of("AB123C", 0.6), read_of("AB123C", 0.6), read_of("AB12C", 0.99)])
    assert texts["sum of log-probabilities"] == ["AB123C"]


def test_frames_without_text_give_no_text():
    assert {each for texts in _texts([read_of("", 1.0)] * 2).values() for each in texts} == {""}


def test_the_command_compares_the_methods():
    result = CliRunner().invoke(main, ["tracks", "--count", "2", "--seed", "5"])
    assert result.exit_code == 0
    lines = [line for line in result.output.splitlines() if "tracks:" not in line]
    names = [line.rsplit(maxsplit=1)[0].strip() for line in lines]
    assert names == [EACH_FRAME, ORACLE, *list(_texts([read_of("", 1.0)]))[1:]]
    each, oracle, confident, *_ = (float(line.split()[-1]) for line in lines)
    assert each <= oracle
    assert confident <= oracle
