import contextlib
import functools
import http.server
import itertools
import threading
import time
from datetime import UTC, datetime
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plateid.capture.container import open_arguments, redacted
from plateid.capture.decoder import StreamDecoder
from plateid.capture.stream import probe, read_stream
from plateid.config.cameras import CameraConfig
from plateid.errors import SourceError
from tests.support.broker import free_port
from tests.support.videos import read_to_error, write_video


def test_rtsp_frames_have_wall_clock_times(rtsp):
    began = datetime.now(UTC)
    frames = list(itertools.islice(read_stream("gate", rtsp.url), 40))
    assert [frame.sequence for frame in frames] == list(range(40))
    assert {(frame.camera, frame.media_time_s) for frame in frames} == {("gate", None)}
    times = [frame.captured_at for frame in frames]
    assert began < times[0] and times == sorted(times) and times[-1] <= datetime.now(UTC)
    balls = [frame.image.luma(32, 24) for frame in frames]
    assert any((a != b).any() for a, b in itertools.pairwise(balls))


def test_rtsp_stream_decoded_too_slowly_stays_current(rtsp, logs):
    frames = read_stream("gate", rtsp.url)
    next(frames)
    began, first_s = time.monotonic(), next(frames).image._frame.time
    for frame in frames:
        time.sleep(0.2)  # of 25 a second
        shown_s, gone_s = frame.image._frame.time - first_s, time.monotonic() - began
        if gone_s > 9:
            break
    assert shown_s > gone_s - 4
    outages = [entry for entry in logs if entry["event"] == "outage starts"]
    assert [entry["what"] for entry in outages] == ["decoding of gate"]


def test_killed_rtsp_server_raises_an_error(rtsp):
    frames = read_stream("gate", rtsp.url, timeout_s=1)
    next(frames)
    rtsp.kill()
    _, error = read_to_error(frames)
    assert error.subject == f"rtsp://127.0.0.1:{rtsp.port}/live"
    rtsp.start()
    assert next(read_stream("gate", rtsp.url)).image.width == 320


def test_frozen_rtsp_server_times_out(rtsp):
    frames = read_stream("gate", rtsp.url, timeout_s=2)
    next(frames)
    rtsp.freeze()
    began = time.monotonic()
    _, error = read_to_error(frames)
    assert error.reason == "no answer or no video within 2 s"
    assert time.monotonic() - began < 3 * 2 + 1


def test_probe_reports_size_and_frame_rate(rtsp, tmp_path):
    assert str(probe(rtsp.url)) == "320x240, 25 frames a second"
    turned = write_video(tmp_path / "video.mp4", fps=5, rotation=90)
    assert str(probe(str(turned))) == "48x64, 5 frames a second"


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_silent_server_times_out(silent_port, scheme):
    began = time.monotonic()
    url = f"{scheme}://admin:s3cret@127.0.0.1:{silent_port}/live"
    with pytest.raises(SourceError) as error:
        probe(url, timeout_s=0.3)
    assert 0.2 < time.monotonic() - began < 3 * 0.3 + 1
    address = f"{scheme}://127.0.0.1:{silent_port}/live"
    assert str(error.value) == f"{address}: no answer or no video within 0.3 s"


def test_unreachable_source_is_an_error_with_the_reason():
    for url, reason in (
        (f"rtsp://admin:s3cret@127.0.0.1:{free_port()}/live", "Connection refused"),
        ("rtsp://admin:s3cret@nowhere.invalid/live", "not known|name resolution"),
        ("rstp://admin:s3cret@127.0.0.1/live", "must begin with rtsp://"),
        ("/dev/video97", "does not exist"),
        ("/dev/null", "Inappropriate ioctl"),
    ):
        with pytest.raises(SourceError, match=reason) as error:
            probe(url)
        assert "s3cret" not in str(error.value)


def test_probe_of_a_blocking_device_times_out(monkeypatch):
    end = threading.Event()

    def blocked(*_arguments):
        end.wait()
        raise SourceError("/dev/video97", "ends too late")

    monkeypatch.setattr("plateid.capture.stream.open_container", blocked)
    with pytest.raises(SourceError, match="/dev/video97: delivers no frame"):
        probe("/dev/video97", timeout_s=0.1)
    end.set()


def test_usb_camera_gets_the_configured_options():
    config = CameraConfig(name="gate", url="/dev/video0", size="1920x1080", format="mjpeg")
    arguments = open_arguments(config.url, 3.0, config.device_options)
    assert arguments["options"] == {"video_size": "1920x1080", "input_format": "mjpeg"}


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files, and at /mjpeg an endless MJPEG stream."""

    def do_GET(self) -> None:
        if self.path == "/mjpeg":
            self.send_mjpeg()
        else:
            super().do_GET()

    def copyfile(self, source, outputfile) -> None:
        """Sends the audio of talk.ts slowly after its first bytes, and other files at once."""
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


def test_video_over_http_is_live_and_its_end_is_a_disconnect(web, video):
    frames, error = read_to_error(read_stream("gate", f"{web}/{video.name}"))
    assert len(frames) == 30 and frames[0].media_time_s is None
    assert error.reason == "the stream ended"


def test_non_reference_frames_are_not_decoded_while_workers_are_behind(web, video):
    url = f"{web}/{video.name}"
    complete, _ = read_to_error(read_stream("gate", url))
    needed, _ = read_to_error(read_stream("gate", url, decoder=StreamDecoder(behind=lambda: True)))
    turns = itertools.cycle([True, False])
    some, _ = read_to_error(
        read_stream("gate", url, decoder=StreamDecoder(behind=lambda: next(turns)))
    )
    assert 3 < len(needed) < len(some) < len(complete)


def test_playlist_of_other_hosts_is_refused(web, tmp_path):
    (tmp_path / "inner.ts").write_bytes(b"")
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{web}/inner.ts\n#EXT-X-ENDLIST\n"
    (tmp_path / "live.m3u8").write_text(playlist)
    _, error = read_to_error(read_stream("gate", f"{web}/live.m3u8"))
    assert error.reason.startswith("is not a camera's video format")


def test_mjpeg_over_http_is_read(web):
    frames = read_stream("gate", f"{web}/mjpeg", timeout_s=1)
    first = next(frames)
    assert (first.image.width, first.image.height) == (64, 48)
    assert np.abs(first.image.crop((9, 9, 20, 20)).astype(int) - 99).max() < 4
    assert next(frames).sequence == 1
    frames.close()


def test_stream_with_audio_but_no_video_ends(web, tmp_path):
    write_talk(tmp_path / "talk.ts", video_s=1, audio_s=90)
    started = time.monotonic()
    frames, error = read_to_error(read_stream("gate", f"{web}/talk.ts", timeout_s=1.5))
    assert 5 < len(frames) < 11
    assert error.reason == "sends no video any more"
    assert 4.5 < time.monotonic() - started < 20


def write_talk(path, *, video_s: int, audio_s: int) -> None:
    with av.open(str(path), "w") as container:
        video, audio = container.add_stream("mpeg2video", 10), container.add_stream("mp2", 32000)
        video.width, video.height, video.pix_fmt = 160, 120, "yuv420p"
        packets = []
        for number in range(10 * video_s):
            frame = av.VideoFrame(160, 120, "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            packets += video.encode(frame)
        for start in range(0, 32000 * audio_s, 1152):
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 2304), np.int16), layout="stereo")
            sound.sample_rate, sound.pts, sound.time_base = 32000, start, Fraction(1, 32000)
            packets += audio.encode(sound)
        packets += [*video.encode(None), *audio.encode(None)]
        container.mux(sorted(packets, key=lambda packet: (packet.dts or 0) * packet.time_base))


def test_http_error_names_its_status(web):
    _, error = read_to_error(read_stream("gate", f"{web}/gone.mp4"))
    assert "404" in error.reason


@given(st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=5))
def test_redacted_url_hides_any_password(password):
    secret = f"<{password}>"
    shown = redacted(f"rtsp://admin:{secret}@camera:554/live")
    assert secret not in shown
    assert shown == ("rtsp://***" if set("/?#") & set(secret) else "rtsp://camera:554/live")


USERS = ("user=admin", "usr=admin", "u=admin", "login=admin", "loginuse=admin")
SECRETS = (
    *("password=S3", "pass=S3", "pwd=S3", "psw=S3", "p=S3", "loginpas=S3", "access_token=S3"),
    *("api_key=S3", "apikey=S3", "token=S3", "auth=S3", "key=S3", "sig=S3", "session=S3"),
)
FORMS = (
    *(f"rtsp://h:554/live?{user}&{secret}" for user in USERS for secret in SECRETS),
    *(f"rtsp://h:554/{user}&{secret}&channel=1" for user in USERS for secret in SECRETS),
    *(f"http://h:554/v.cgi?{secret}#x" for secret in SECRETS),
    *(f"http://h:554/v;{secret}/1" for secret in SECRETS),
    *(f"http://h:554/{secret.replace('=', '%3D')}" for secret in SECRETS),
    *(f"rtsp://admin:S3@h:554/ch{n}" for n in range(20)),
    *("rtsp://h:554/admin:S3/ch1", "rtsp://h:554/admin,S3", "rtsp://S3@h:554", "http://h:554#S3"),
    *("rtsp://h:554/user=admin_password=S3_channel=1", "http://h:554?S3", "rtsp://a:S3@b@h/live"),
)


def test_redacted_url_hides_secrets_in_each_of_200_forms():
    assert len(FORMS) >= 200
    for url in FORMS:
        shown = redacted(url)
        assert "S3" not in shown and "admin" not in shown, url
        assert shown.startswith((f"{url.split(':')[0]}://h:554", "rtsp://h/", "rtsp://***")), shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://camera/Streaming/Channels/101", "rtsp://camera/Streaming/Channels/101"),
        ("rtsp://camera/cam/realmonitor?channel=1", "rtsp://camera/cam/realmonitor"),
        ("rtsp://[fe80::1]:554/live", "rtsp://[fe80::1]:554/live"),
        ("/dev/video0", "/dev/video0"),
        ("/videos/key=1@home.mp4", "/videos/key=1@home.mp4"),
    ],
)
def test_redacted_url_keeps_host_and_path(url, shown):
    assert redacted(url) == shown
