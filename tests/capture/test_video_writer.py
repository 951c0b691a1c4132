import numpy as np
import pytest

from plateid.capture.video_file import read_video
from plateid.capture.video_writer import VideoWriter
from plateid.errors import SourceError
from tests.support.broken_disk import full_disk

IMAGE = np.random.default_rng(1).integers(0, 255, (48, 64, 3), np.uint8)


def test_full_disk_is_an_error_and_leaves_no_file(tmp_path):
    with full_disk(), pytest.raises(SourceError, match=r"a\.mp4: File too large"):  # noqa: SIM117
        with VideoWriter(tmp_path / "a.mp4") as writer:
            writer.write(IMAGE, 0.0)
    assert list(tmp_path.iterdir()) == []


def test_images_of_the_same_millisecond_are_all_written(tmp_path):
    times = [0, 0.04, 0.04, 0.0404, 0.08]
    with VideoWriter(tmp_path / "a.mp4") as writer:
        for time_s in times:
            writer.write(IMAGE, time_s)
    written = [frame.media_time_s for frame in read_video(tmp_path / "a.mp4")]
    assert written == pytest.approx(times, abs=0.003)


def test_interrupted_video_leaves_no_file(tmp_path):
    with pytest.raises(KeyboardInterrupt), VideoWriter(tmp_path / "a.mp4") as writer:  # noqa: PT012
        writer.write(IMAGE, 0.0)
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
