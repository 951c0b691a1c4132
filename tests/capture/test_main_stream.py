"""Two streams of one camera, from real RTSP servers."""

import itertools
import sys
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import av
import cv2
import numpy as np
import pytest

from plateid.capture.images import ArrayImage
from plateid.capture.main_stream import Group, MainStream
from plateid.capture.mapping import Mapping
from plateid.capture.stream_clock import MIN_PLATES
from plateid.capture.video_image import VideoImage
from plateid.commands.check import _camera
from plateid.config.cameras import CameraConfig
from plateid.config.problems import checked
from plateid.core.records import Frame
from plateid.demo import DEMO_VIDEO
from plateid.errors import ConfigError
from tests.capture.test_camera import Watched
from tests.support.rtsp import LoopingServer
from tests.support.stream_pair import FPS, Encoder, images, number_of, write_pair
from tests.web.onvif_camera import OnvifCamera


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return write_pair(tmp_path_factory.mktemp("pair"))


class Pair:
    """A camera with a sub-stream and a main stream."""

    def __init__(self, main: LoopingServer, sub: LoopingServer) -> None:
        self.main_server, self.sub_server = main, sub
        self.watched = Watched(sub.url, main_url=main.url, timeout_s=2)
        self.frames = self.watched.frames()

    @property
    def main(self) -> MainStream:
        return self.watched.camera.main

    def until(self, wanted, timeout_s=15):
        """Returns the first frame for which `wanted` is true."""
        deadline = time.monotonic() + timeout_s
        for frame in self.frames:
            if wanted(frame):
                return frame
            assert time.monotonic() < deadline, self.main.state
        raise AssertionError(self.main.state)

    def until_seen(self):
        return self.until(lambda frame: self.main.close_up(frame) is not None)


@contextmanager
def serving(main, sub, *, sub_lag_s=0.0, main_skew_s=0.0):
    servers = LoopingServer(main, 0.1, main_skew_s), LoopingServer(sub, sub_lag_s)
    for server in servers:
        server.start()
        time.sleep(0.3)  # their timestamps begin at different moments
    made = Pair(*servers)
    try:
        with made.watched.running(stops_within_s=8):
            yield made
    finally:
        for server in servers:
            server.kill()


def assert_shows_moment(made):
    """Fails unless the main stream's pictures have the numbers of the sub-stream's frames."""
    made.until(lambda frame: made.main.close_up(frame) and "clock" in made.main.clock.source)
    shown = 0
    while shown < 15:  # frames
        frame = next(made.frames)
        if close_up := made.main.close_up(frame):
            assert number_of(close_up.image) == number_of(frame.image)
            shown += 1


def test_main_stream_shows_the_moment_of_each_frame(pair, logs):
    with serving(*pair) as made:
        assert_shows_moment(made)
        by = [entry["by"] for entry in logs if entry["event"] == "streams are aligned"]
        assert by[-1] == "the camera's clock"
        assert made.main.state.startswith("main stream (scale 2.00 x 2.00, origin 0, 0")
        assert 0 < made.main.size_bytes < 1e6


def test_moments_of_hevc_with_b_frames_are_aligned_though_one_stream_lags(pair, tmp_path):
    options = {"codec": "libx265", "bf": "2", "x265-params": "open-gop=0:log-level=none"}
    main, _ = write_pair(tmp_path, **options)
    with serving(main, pair[1], sub_lag_s=0.4) as made:
        assert_shows_moment(made)


def test_stream_whose_clock_is_an_hour_fast_is_aligned_by_arrival(pair):
    with serving(*pair, main_skew_s=3600) as made:
        made.until(lambda _: made.main.clock.main.camera_times)
        frame = made.until_seen()
        shown = made.main.close_up(frame)
        assert made.main.clock.source == "arrival times"
        late = (number_of(shown.image) - number_of(frame.image)) % 48  # frames of the looped video
        assert min(late, 48 - late) <= 0.1 * FPS + 1


def test_moments_between_b_frames_are_decoded_in_any_order(tmp_path):
    main, _ = write_pair(tmp_path, bf="2")
    groups = []
    with av.open(str(main)) as container:
        for packet in container.demux(container.streams.video[0]):
            if packet.pts is not None:
                at_s = packet.pts * float(packet.time_base)
                if packet.is_keyframe:
                    groups.append(Group(packet.stream, packet, at_s))
                else:
                    groups[-1].add(packet, at_s)
        for number in (12, 13, 16, 20, 23, 14):
            assert number_of(VideoImage(groups[1].frame_at(number / FPS))) == number


def test_pictures_are_asked_for_while_key_frames_arrive():
    main, failures, done = MainStream("gate", "rtsp://gate/", 1.0), [], threading.Event()
    main._mapping = Mapping((1.0, 1.0), (0, 0), (2, 2, 2, 2))
    image = ArrayImage(np.zeros((2, 2, 3), np.uint8))

    def ask(frame):
        while not done.is_set():
            try:
                main.is_cheap(frame)
            except IndexError as error:
                failures.append(error)

    with av.open(str(DEMO_VIDEO)) as container:
        stream = container.streams.video[0]
        packet = next(container.demux(stream))
        at_s = main.clock.sub.add(packet)
        frame = Frame("gate", 0, datetime.now(UTC), None, image, stream_s=at_s)
        thread = threading.Thread(target=ask, args=(frame,))
        thread.start()
        interval_s = sys.getswitchinterval()
        try:
            sys.setswitchinterval(3e-4)  # threads take turns more often than usual
            for _ in range(100_000):
                main._add(packet, stream)
        finally:
            sys.setswitchinterval(interval_s)
            done.set()
            thread.join()
    assert failures == []


def test_damaged_main_stream_is_left_until_its_next_key_frame(logs):
    main = MainStream("gate", "rtsp://gate/", 1.0)
    main.sub = ArrayImage(np.zeros((2, 2, 3), np.uint8))
    with av.open(str(DEMO_VIDEO)) as container:
        stream = container.streams.video[0]
        packet = next(container.demux(stream))
        damaged = av.Packet(b"garbage" * 50)
        damaged.pts, damaged.time_base, damaged.is_keyframe = packet.pts, packet.time_base, True
        at_s = main.clock.sub.add(packet)
        main._add(damaged, stream)
        assert main.state.startswith("sub-stream (main stream: Invalid data found")
        main._mapping = Mapping((1.0, 1.0), (0, 0), (2, 2, 1280, 720))
        frame = Frame("gate", 0, datetime.now(UTC), None, main.sub, stream_s=at_s)
        assert [main.close_up(frame) for _ in range(3)] == [None] * 3
        assert [entry["event"] for entry in logs].count("main stream is damaged") == 1
        main._add(packet, stream)
        assert main.close_up(frame) is not None


def test_main_stream_that_is_lost_and_returns_with_another_size(pair, tmp_path, logs):
    other, _ = write_pair(tmp_path, size=(960, 540))
    with serving(*pair) as made:
        made.until_seen()
        made.main_server.kill()
        lost = made.until(lambda frame: made.main.close_up(frame) is None)
        assert made.main.is_cheap(lost)  # the sub-stream is read without a pause
        assert made.main.state.startswith("sub-stream (rtsp://127.0.0.1:")
        made.main_server.video = other
        made.main_server.start()
        frame = made.until_seen()
        assert made.main.close_up(frame).image.width == 960
        assert made.watched.statuses == [True]
    sources = [entry["source"][:11] for entry in logs if entry["event"] == "plates are read"]
    assert sources == ["main stream", "sub-stream ", "main stream"]


def test_camera_with_one_stream_only_keeps_its_sub_stream(pair):
    with serving(*pair) as made:
        made.main_server.kill()
        frame = made.until(lambda _: made.main.state.startswith("sub-stream ("))
        assert made.main.close_up(frame) is None
        assert made.watched.statuses == [True]


def test_camera_is_asked_for_a_key_frame_if_none_comes(pair, tmp_path, monkeypatch):
    monkeypatch.setattr("plateid.capture.main_stream.MAX_GROUP_S", 1.0)
    monkeypatch.setattr("tests.web.onvif_camera.PASSWORD", "s3cret")
    main, _ = write_pair(tmp_path, g="1000")
    with closing(OnvifCamera()) as onvif, serving(main, pair[1]) as made:
        frame = made.until(lambda _: "no key frame for 1 s" in made.main.state)
        assert made.main.close_up(frame) is None
        assert made.main.size_bytes == 0
        made.until(lambda _: ("SetSynchronizationPoint", "main") in onvif.asked)
        assert made.main._may_ask


def test_camera_that_refuses_to_be_asked_is_asked_once(logs):
    with closing(OnvifCamera()) as onvif:
        main = MainStream("gate", "rtsp://admin:wrong@127.0.0.1/live", 1.0)
        main._ask()
        assert not main._may_ask
        assert "SetSynchronizationPoint" not in dict(onvif.asked)
    (entry,) = [each for each in logs if each["event"] == "no key frame can be requested"]
    assert entry["reason"].endswith("refuses this user name or password")


def test_memory_is_bounded(pair, monkeypatch):
    monkeypatch.setattr("plateid.capture.main_stream.MAX_BYTES", 50_000)
    with serving(*pair) as made:
        for _ in range(3 * FPS):
            next(made.frames)
            assert made.main.size_bytes <= 50_000


def test_few_frames_are_decoded_early_in_a_group(pair):
    with serving(*pair) as made:
        made.until_seen()
        cheap = [
            made.main.is_cheap(frame) for frame, _ in zip(made.frames, range(2 * FPS), strict=False)
        ]
    assert 0.4 < np.mean(cheap) < 0.9
    assert sum(a and not b for a, b in itertools.pairwise(cheap)) <= 3


def test_other_scene_is_refused_with_the_reason(pair, tmp_path):
    other = tmp_path / "noise.mp4"
    with av.open(str(other), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"g": "12"})
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        noise = np.random.default_rng(1).integers(0, 255, (45, 80, 3), np.uint8)
        for _ in range(48):
            image = ArrayImage(noise).resized(640, 360)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "bgr24")))
        container.mux(stream.encode())
    with serving(other, pair[1]) as made:
        frame = made.until(lambda _: "points agree" in made.main.state)
        assert made.main.close_up(frame) is None


def test_main_stream_of_a_changed_configuration_is_followed(pair):
    with serving(*pair) as made:
        next(made.frames)
        before = made.main
        config = CameraConfig(name="gate", url=made.sub_server.url, timeout_s=2)
        made.watched.camera.use(config)
        made.until(lambda frame: frame.main is None)
        assert made.main is None
        url = made.main_server.url
        made.watched.camera.use(config.model_copy(update={"main_url": url}))
        made.until(lambda frame: frame.main not in (None, before))
        made.watched.camera.use(config.model_copy(update={"main_url": url, "timeout_s": 3.0}))
        made.until(lambda frame: frame.main and frame.main.timeout_s == 3)


def test_place_of_the_sub_stream_is_measured_again_when_that_changes(pair, tmp_path):
    cropped = tmp_path / "cropped.mp4"
    with Encoder(cropped, (640, 360), {}) as sub:
        for image in images(48):
            sub.write(cv2.resize(image[:480, :960], (640, 360), interpolation=cv2.INTER_AREA))
    with serving(*pair) as made:
        made.until_seen()
        made.sub_server.kill()
        made.sub_server.video = cropped
        made.sub_server.start()
        made.until(lambda _: "scale 2.0" not in made.main.state)
        assert made.main.state.startswith("main stream (scale ")


def test_moment_that_no_packet_will_show_is_not_waited_for(pair):
    with serving(*pair) as made:
        frame = made.until_seen()
        ahead = replace(frame, stream_s=frame.stream_s + 60)
        assert made.main._place(frame)[1] is not None
        assert made.main._place(ahead)[1] is None
        assert made.main.is_cheap(ahead)  # it is read in the sub-stream


def test_moment_before_several_key_frames_is_shown(pair, tmp_path):
    main, _ = write_pair(tmp_path, g="1")
    with serving(main, pair[1]) as made:
        made.until_seen()
        before = next(made.frames)
        for _ in range(FPS // 2):  # as long as a slow device takes to detect its plates
            next(made.frames)
        assert made.main.close_up(before) is not None
        assert len(made.main._groups) < 2 * FPS


def test_check_names_both_streams(rtsp):
    config = CameraConfig(name="gate", url=rtsp.url, main_url=rtsp.url)
    size = "320x240, 25 frames a second"
    assert _camera(config) == f"{size}; main stream {size}"


@pytest.mark.parametrize(("url", "main_url"), [("a.mp4", "rtsp://b/"), ("rtsp://a/", "b.mp4")])
def test_main_url_of_a_file_is_refused(url, main_url):
    values = {"name": "gate", "url": url, "main_url": main_url}
    with pytest.raises(ConfigError, match="must both be network streams"):
        checked(CameraConfig, values, subject="camera")


def test_plate_of_an_older_picture_does_not_correct_the_clock(pair):
    with serving(*pair) as made:
        made.until(lambda frame: made.main.close_up(frame) and "clock" in made.main.clock.source)
        frame = next(made.frames)
        ahead = replace(frame, stream_s=frame.stream_s + 0.2)  # its packets have not arrived
        for _ in range(MIN_PLATES):
            assert made.main.close_up(ahead) is not None
            shown_s = made.main._groups[-1].shown_s
            made.main.correct_clock(shown_s - ahead.stream_s - made.main.clock.offset_s())
        assert made.main.clock.source == "the camera's clock"
