from datetime import UTC, datetime, timedelta
from pathlib import Path

import av
import numpy as np
import pytest

from plateid.capture.container import packets
from plateid.capture.video_file import frame_count, read_video
from plateid.capture.video_writer import VideoWriter
from plateid.errors import SourceError
from tests.support.videos import CREATED, read_to_error, write_video


@pytest.mark.parametrize("fps", [5, 30])
@pytest.mark.parametrize("name", ["video.mp4", "video.mkv", "video.ts"])
def test_each_frame_has_its_media_time(tmp_path, fps, name):
    path = write_video(tmp_path / name, fps=fps, count=12)
    frames = list(read_video(path))
    assert [frame.sequence for frame in frames] == list(range(12))
    times = [frame.media_time_s for frame in frames]
    assert times == pytest.approx([index / fps for index in range(12)], abs=0.002)
    assert {frame.camera for frame in frames} == {str(path)}
    changed_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    assert frames[0].captured_at == changed_at
    assert frames[-1].captured_at - changed_at == timedelta(seconds=times[-1])
    assert (frames[0].image.width, frames[0].image.height) == (64, 48)


def test_video_without_timestamps_uses_its_frame_rate(tmp_path):
    times = [f.media_time_s for f in read_video(write_video(tmp_path / "video.h264", fps=25))]
    assert times == pytest.approx([index / 25 for index in range(30)])


def test_media_time_continues_over_joined_recordings(tmp_path):
    parts = [write_video(tmp_path / f"{n}.ts", count=60).read_bytes() for n in (1, 2)]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(parts))
    frames, error = read_to_error(read_video(joined))
    assert error.reason.startswith("is damaged")  # where they meet
    times = [frame.media_time_s for frame in frames]
    assert times == pytest.approx([index / 30 for index in range(120)], abs=0.002)


@pytest.mark.parametrize(
    ("created", "start"),
    [(CREATED, datetime(2026, 11, 24, 9, 12, 7, tzinfo=UTC)), ("1980-01-01T00:00:00Z", None)],
    ids=["set clock", "unset clock"],
)
def test_start_time_is_the_plausible_creation_time_of_the_container(tmp_path, created, start):
    path = write_video(tmp_path / "video.mp4", created=created)
    expected = start or datetime.fromtimestamp(path.stat().st_mtime, UTC)
    assert next(read_video(path)).captured_at == expected


def test_metadata_in_any_encoding_is_accepted(tmp_path):
    path = write_video(tmp_path / "video.mkv", created=CREATED)
    data = path.read_bytes()
    assert b"Lavf" in data
    path.write_bytes(data.replace(b"Lavf", b"L\xe9vf"))
    assert len(list(read_video(path))) == 30


def test_frame_count_is_known_without_decoding(video, tmp_path):
    assert frame_count(video) == 30
    assert frame_count(write_video(tmp_path / "video.mkv")) == 30
    assert frame_count(write_video(tmp_path / "video.h264")) is None
    with pytest.raises(SourceError, match="does not exist"):
        frame_count(tmp_path / "gone.mp4")


@pytest.mark.parametrize("name", ["video.mp4", "video.mkv"])
def test_truncated_video_yields_its_frames_then_an_error(tmp_path, name):
    path = write_video(tmp_path / name, count=90)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    frames, error = read_to_error(read_video(path))
    assert 20 < len(frames) < 60
    assert error.subject == str(path)
    assert error.reason == f"is truncated: it ends after {frames[-1].media_time_s:.1f} s of 3.0 s"


@pytest.mark.parametrize("at", [0.3, 0.4, 0.5, 0.6, 0.7])
@pytest.mark.parametrize("name", ["video.mp4", "video.mkv"])
def test_damaged_video_yields_the_rest_then_an_error_with_the_position(tmp_path, name, at):
    path = write_video(tmp_path / name, count=90)
    data = bytearray(path.read_bytes())
    hole = slice(int(at * len(data)), int(at * len(data)) + 4000)  # more than two frames
    data[hole] = np.random.default_rng(1).bytes(4000)
    path.write_bytes(data)
    frames, error = read_to_error(read_video(path))
    assert len(frames) > 60 and frames[-1].media_time_s > 2.5
    assert error.reason.startswith("is damaged after ")
    assert float(error.reason.split()[3]) == pytest.approx(3 * at, abs=0.4)


def test_audio_that_starts_late_is_no_error():
    class Late:
        def demux(self):
            yield "a packet"
            raise IndexError  # as PyAV does, of a stream that it did not know at the start

    assert list(packets(Late())) == ["a packet"]


def test_file_that_is_no_video_is_an_error_with_the_reason(tmp_path):
    def reason(name, data=None):
        if data is not None:
            (tmp_path / name).write_bytes(data)
        frames, error = read_to_error(read_video(tmp_path / name))
        assert frames == [] and error.subject == str(tmp_path / name)
        return error.reason

    assert reason("gone.mp4") == "does not exist"
    assert reason("empty.mp4", b"") == "is empty"
    assert reason("text.mp4", b"no video\n" * 99) == "is not a video, or is damaged"
    with av.open(str(tmp_path / "sound.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        silence.sample_rate = 8000
        container.mux(stream.encode(silence))
    assert reason("sound.wav") == "holds no video that can be decoded"


def test_file_name_may_contain_a_colon(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_video(tmp_path / "written.mp4", count=3).rename("2026-11-24T10:15:00.mp4")
    assert len(list(read_video(path))) == 3
    with VideoWriter(Path("out:0.mp4")) as writer:
        for number in range(3):
            writer.write(np.zeros((48, 64, 3), np.uint8), number / 30)
    assert len(list(read_video(Path("out:0.mp4")))) == 3
