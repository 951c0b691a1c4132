import contextlib
import functools
import http.server
import itertools
import threading
import time
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plateid.capture.container import live_source, packets, redacted
from plateid.capture.stream import SourceInfo, clip_length, probe, read_clip, read_stream
from plateid.capture.writer import ClipWriter
from plateid.config.cameras import CameraConfig
from plateid.errors import SourceError
from tests.capture.conftest import CREATED, free_port, write_clip


def reading(frames):
    """The frames, and the reason why there are no more."""
    taken = []
    with pytest.raises(SourceError) as error:
        taken.extend(frames)
    return taken, error.value


@pytest.mark.parametrize("fps", [5, 30])
@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ts"])
def test_every_frame_of_a_clip_comes_with_its_time(tmp_path, fps, name):
    path = write_clip(tmp_path / name, fps=fps, count=12)
    frames = list(read_clip(path))
    assert [frame.sequence for frame in frames] == list(range(12))
    times = [frame.media_time_s for frame in frames]
    assert times == pytest.approx([index / fps for index in range(12)], abs=0.002)
    assert {frame.camera for frame in frames} == {str(path)}
    changed_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    assert frames[0].captured_at == changed_at
    assert frames[-1].captured_at - changed_at == timedelta(seconds=times[-1])
    assert (frames[0].image.width, frames[0].image.height) == (64, 48)


def test_a_clip_without_times_gets_them_from_its_rate(tmp_path):
    times = [f.media_time_s for f in read_clip(write_clip(tmp_path / "clip.h264", fps=25))]
    assert times == pytest.approx([index / 25 for index in range(30)])


def test_time_goes_on_where_recordings_were_joined(tmp_path):
    parts = [write_clip(tmp_path / f"{n}.ts", count=60).read_bytes() for n in (1, 2)]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(parts))
    frames, error = reading(read_clip(joined))
    assert error.reason.startswith("is damaged")  # where they meet
    times = [frame.media_time_s for frame in frames]
    assert times == pytest.approx([index / 30 for index in range(120)], abs=0.002)


@pytest.mark.parametrize(
    ("created", "start"),
    [(CREATED, datetime(2026, 11, 24, 9, 12, 7, tzinfo=UTC)), ("1980-01-01T00:00:00Z", None)],
    ids=["set clock", "unset clock"],
)
def test_a_clip_starts_when_its_container_says_if_that_can_be(tmp_path, created, start):
    path = write_clip(tmp_path / "clip.mp4", created=created)
    expected = start or datetime.fromtimestamp(path.stat().st_mtime, UTC)
    assert next(read_clip(path)).captured_at == expected


def test_tags_in_any_encoding_do_no_harm(tmp_path):
    path = write_clip(tmp_path / "clip.mkv", created=CREATED)
    data = path.read_bytes()
    assert b"Lavf" in data
    path.write_bytes(data.replace(b"Lavf", b"L\xe9vf"))
    assert len(list(read_clip(path))) == 30


def test_the_length_of_a_clip_is_known_without_decoding_it(clip, tmp_path):
    assert clip_length(clip) == 30
    assert clip_length(write_clip(tmp_path / "clip.mkv")) == 30
    assert clip_length(write_clip(tmp_path / "clip.h264")) is None
    with pytest.raises(SourceError, match="does not exist"):
        clip_length(tmp_path / "gone.mp4")


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
def test_a_clip_that_was_cut_gives_what_is_there_and_says_where_it_stops(tmp_path, name):
    path = write_clip(tmp_path / name, count=90)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    frames, error = reading(read_clip(path))
    assert 20 < len(frames) < 60
    assert error.subject == str(path)
    assert error.reason == f"is cut off: it stops after {frames[-1].media_time_s:.1f} s of 3.0 s"


@pytest.mark.parametrize("at", [0.3, 0.4, 0.5, 0.6, 0.7])
@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
def test_a_clip_with_a_hole_gives_the_rest_and_says_where_it_is(tmp_path, name, at):
    path = write_clip(tmp_path / name, count=90)
    data = bytearray(path.read_bytes())
    hole = slice(int(at * len(data)), int(at * len(data)) + 4000)  # more than two pictures
    data[hole] = np.random.default_rng(1).bytes(4000)
    path.write_bytes(data)
    frames, error = reading(read_clip(path))
    assert len(frames) > 60 and frames[-1].media_time_s > 2.5
    assert error.reason.startswith("is damaged after ")
    assert float(error.reason.split()[3]) == pytest.approx(3 * at, abs=0.4)


def test_sound_that_began_late_is_no_fault():
    class Late:
        def demux(self):
            yield "a packet"
            raise IndexError  # as PyAV does, of a stream that it did not know at the start

    assert list(packets(Late())) == ["a packet"]


def test_what_is_not_a_clip_is_an_error_with_its_reason(tmp_path):
    def reason(name, data=None):
        if data is not None:
            (tmp_path / name).write_bytes(data)
        frames, error = reading(read_clip(tmp_path / name))
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


def test_rtsp_frames_come_with_the_clock(rtsp):
    began = datetime.now(UTC)
    frames = list(itertools.islice(read_stream("gate", rtsp.url), 40))
    assert [frame.sequence for frame in frames] == list(range(40))
    assert {(frame.camera, frame.media_time_s) for frame in frames} == {("gate", None)}
    times = [frame.captured_at for frame in frames]
    assert began < times[0] and times == sorted(times) and times[-1] <= datetime.now(UTC)
    balls = [frame.image.luma(32, 24) for frame in frames]
    assert any((a != b).any() for a, b in itertools.pairwise(balls))


def test_a_stream_that_is_decoded_too_slowly_is_shown_in_time_all_the_same(rtsp, logs):
    frames = read_stream("gate", rtsp.url)
    next(frames)
    began, first_s = time.monotonic(), next(frames).image._frame.time
    for frame in frames:
        time.sleep(0.2)  # of 25 a second
        shown_s, gone_s = frame.image._frame.time - first_s, time.monotonic() - began
        if gone_s > 9:
            break
    assert shown_s > gone_s - 4
    said = [entry for entry in logs if entry["event"] == "outage starts"]
    assert [entry["what"] for entry in said] == ["decoding of gate"]


def test_a_killed_rtsp_server_is_an_error_not_an_end(rtsp):
    frames = read_stream("gate", rtsp.url, timeout_s=1)
    next(frames)
    rtsp.kill()
    _, error = reading(frames)
    assert error.subject == f"rtsp://127.0.0.1:{rtsp.port}/live"
    rtsp.start()
    assert next(read_stream("gate", rtsp.url)).image.width == 320


def test_a_frozen_rtsp_server_runs_into_the_time_out(rtsp):
    frames = read_stream("gate", rtsp.url, timeout_s=2)
    next(frames)
    rtsp.freeze()
    began = time.monotonic()
    _, error = reading(frames)
    assert error.reason == "no answer or no video within 2 s"
    assert time.monotonic() - began < 3 * 2 + 1


def test_a_source_can_be_probed(rtsp, tmp_path):
    assert probe(rtsp.url) == SourceInfo(320, 240, 25.0)
    turned = write_clip(tmp_path / "clip.mp4", fps=5, rotation=90)
    assert probe(str(turned)) == SourceInfo(48, 64, 5.0)


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_silent_server_runs_into_the_time_out(silent_port, scheme):
    began = time.monotonic()
    url = f"{scheme}://admin:s3cret@127.0.0.1:{silent_port}/live"
    with pytest.raises(SourceError) as error:
        probe(url, timeout_s=0.3)
    assert 0.2 < time.monotonic() - began < 3 * 0.3 + 1
    address = f"{scheme}://127.0.0.1:{silent_port}/live"
    assert str(error.value) == f"{address}: no answer or no video within 0.3 s"


def test_a_source_that_cannot_be_had_is_an_error_with_its_reason():
    for url, reason in (
        (f"rtsp://admin:s3cret@127.0.0.1:{free_port()}/live", "Connection refused"),
        ("/dev/video97", "does not exist"),
        ("/dev/null", "Inappropriate ioctl"),
    ):
        with pytest.raises(SourceError, match=reason) as error:
            probe(url)
        assert "s3cret" not in str(error.value)


def test_a_device_that_blocks_for_ever_is_an_error_all_the_same(monkeypatch):
    end = threading.Event()

    def blocked(_source):
        end.wait()
        raise SourceError("/dev/video97", "ends too late")

    monkeypatch.setattr("plateid.capture.stream.opened", blocked)
    with pytest.raises(SourceError, match="/dev/video97: gives no picture"):
        probe("/dev/video97", timeout_s=0.1)
    end.set()


def test_a_usb_camera_is_asked_for_what_the_configuration_says():
    config = CameraConfig(name="gate", url="/dev/video0", size="1920x1080", format="mjpeg")
    source = live_source(config.url, 3.0, config.device_options)
    assert source.options == {"video_size": "1920x1080", "input_format": "mjpeg"}


def test_a_name_with_a_colon_is_the_name_of_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_clip(tmp_path / "written.mp4", count=3).rename("2026-11-24T10:15:00.mp4")
    assert len(list(read_clip(path))) == 3
    with ClipWriter(Path("out:0.mp4")) as writer:
        for number in range(3):
            writer.write(np.zeros((48, 64, 3), np.uint8), number / 30)
    assert len(list(read_clip(Path("out:0.mp4")))) == 3


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files, and at /mjpeg what a cheap camera sends: JPEGs without end."""

    def do_GET(self) -> None:
        if self.path == "/mjpeg":
            self.send_mjpeg()
        else:
            super().do_GET()

    def copyfile(self, source, outputfile) -> None:
        """Clips at once, sound in its own time but for what makes the stream known."""
        if self.path != "/talk.ts":
            super().copyfile(source, outputfile)
            return
        outputfile.write(source.read(150_000))
        with contextlib.suppress(ConnectionError):
            while data := source.read(9400):
                outputfile.write(data)
                time.sleep(0.1)

    def send_mjpeg(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
        self.end_headers()
        jpeg = cv2.imencode(".jpg", np.full((48, 64, 3), 99, np.uint8))[1].tobytes()
        head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
        with contextlib.suppress(ConnectionError):
            while True:
                self.wfile.write(head.encode() + jpeg + b"\r\n")
                time.sleep(0.02)

    def log_message(self, *_args) -> None:
        pass


@pytest.fixture
def web(tmp_path):
    handler = functools.partial(Handler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_clip_over_http_is_live_and_its_end_is_a_disconnect(web, clip):
    frames, error = reading(read_stream("gate", f"{web}/{clip.name}"))
    assert len(frames) == 30 and frames[0].media_time_s is None
    assert error.reason == "the stream ended"


def test_while_nobody_has_time_frames_that_no_other_needs_are_not_decoded(web, clip):
    url = f"{web}/{clip.name}"
    all_of_it, _ = reading(read_stream("gate", url))
    needed, _ = reading(read_stream("gate", url, behind=lambda: True))
    turns = itertools.cycle([True, False])
    some, _ = reading(read_stream("gate", url, behind=lambda: next(turns)))
    assert 3 < len(needed) < len(some) < len(all_of_it)


def test_mjpeg_over_http_gives_frames(web):
    frames = read_stream("gate", f"{web}/mjpeg", timeout_s=1)
    first = next(frames)
    assert (first.image.width, first.image.height) == (64, 48)
    assert np.abs(first.image.crop((9, 9, 20, 20)).astype(int) - 99).max() < 4
    assert next(frames).sequence == 1
    frames.close()


def test_a_stream_that_only_its_sound_goes_on_of_ends(web, tmp_path):
    write_talk(tmp_path / "talk.ts", pictures_s=1, sound_s=90)
    started = time.monotonic()
    frames, error = reading(read_stream("gate", f"{web}/talk.ts", timeout_s=1.5))
    assert 5 < len(frames) < 11
    assert error.reason == "sends no picture any more"
    assert 4.5 < time.monotonic() - started < 20


def write_talk(path, *, pictures_s: int, sound_s: int) -> None:
    with av.open(str(path), "w") as container:
        video, audio = container.add_stream("mpeg2video", 10), container.add_stream("mp2", 32000)
        video.width, video.height, video.pix_fmt = 160, 120, "yuv420p"
        packets = []
        for number in range(10 * pictures_s):
            frame = av.VideoFrame(160, 120, "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            packets += video.encode(frame)
        for start in range(0, 32000 * sound_s, 1152):
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 2304), np.int16), layout="stereo")
            sound.sample_rate, sound.pts, sound.time_base = 32000, start, Fraction(1, 32000)
            packets += audio.encode(sound)
        packets += [*video.encode(None), *audio.encode(None)]
        container.mux(sorted(packets, key=lambda packet: (packet.dts or 0) * packet.time_base))


def test_an_http_error_is_named(web):
    _, error = reading(read_stream("gate", f"{web}/gone.mp4"))
    assert "404" in error.reason


@given(st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=5))
def test_a_password_is_never_shown(password):
    secret = f"<{password}>"
    assert secret not in redacted(f"rtsp://admin:{secret}@camera/live")
    assert redacted(f"rtsp://admin:{secret}@camera:554/live") == "rtsp://camera:554/live"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://camera/live?channel=1", "rtsp://camera/live?channel=1"),
        ("http://c/flv?app=bcs&user=me&password=x", "http://c/flv?app=bcs&user=***&password=***"),
        (
            "rtsp://c:554/user=me&password=x&channel=1",
            "rtsp://c:554/user=***&password=***&channel=1",
        ),
        ("http://c/v?id=a&pw=x&psw=y&w=9", "http://c/v?id=a&pw=***&psw=***&w=9"),
        ("/dev/video0", "/dev/video0"),
        ("/clips/key=1@home.mp4", "/clips/key=1@home.mp4"),
    ],
)
def test_secrets_elsewhere_in_a_url_are_hidden_too(url, shown):
    assert redacted(url) == shown
