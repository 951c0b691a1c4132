import numpy as np
import pytest

from plateid.capture.stream import read_clip
from plateid.capture.writer import ClipWriter
from plateid.errors import SourceError
from tests.store.test_event_store import full_disk

IMAGE = np.random.default_rng(1).integers(0, 255, (48, 64, 3), np.uint8)


def test_a_clip_that_finds_no_room_at_its_end_is_an_error_and_leaves_nothing(tmp_path):
    with full_disk(), pytest.raises(SourceError, match=r"a\.mp4: File too large"):  # noqa: SIM117
        with ClipWriter(tmp_path / "a.mp4") as writer:
            writer.write(IMAGE, 0.0)
    assert list(tmp_path.iterdir()) == []


def test_pictures_of_one_moment_are_all_kept(tmp_path):
    times = [0, 0.04, 0.04, 0.0404, 0.08]
    with ClipWriter(tmp_path / "a.mp4") as writer:
        for time_s in times:
            writer.write(IMAGE, time_s)
    written = [frame.media_time_s for frame in read_clip(tmp_path / "a.mp4")]
    assert written == pytest.approx(times, abs=0.003)


def test_a_clip_that_is_interrupted_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), ClipWriter(tmp_path / "a.mp4") as writer:  # noqa: PT012
        writer.write(IMAGE, 0.0)
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
