"""Hardware decoders: this machine has none, so that each falls back."""

import functools
import time
from itertools import islice

import pytest

from plateid.capture.container import open_container, packets
from plateid.capture.decoder import StreamDecoder
from plateid.capture.stream import read_stream
from plateid.commands.check import _camera
from plateid.config.cameras import CameraConfig
from plateid.config.problems import checked
from plateid.errors import ConfigError
from tests.capture.test_camera import Watched


@pytest.mark.parametrize("wanted", ["cuda", "qsv", "v4l2m2m"])
def test_missing_hardware_falls_back_without_losing_a_frame(video, wanted):
    software, decoder = StreamDecoder(), StreamDecoder(wanted)
    assert len(decoded(video, decoder)) == len(decoded(video, software)) == 30
    assert decoder.used.startswith(f"software ({wanted}: ")
    assert software.used == "software"


def test_auto_names_the_reason_of_each_decoder(rtsp):
    decoder = StreamDecoder("auto")
    frames = list(islice(read_stream("gate", rtsp.url, decoder=decoder), 3))
    assert [frame.image.width for frame in frames] == [320] * 3
    reasons = decoder.used.removeprefix("software (").removesuffix(")").split("; ")
    assert [reason.partition(": ")[0] for reason in reasons] == ["cuda", "qsv", "v4l2m2m"]


@pytest.mark.parametrize(("limit_s", "used"), [(60.0, ""), (0.0, "software (qsv: no frame within")])
def test_hardware_decoder_waits_for_a_key_frame_for_some_time(video, limit_s, used):
    decoder = StreamDecoder("qsv")
    with open_container(str(video)) as (container, stream):
        decoder.open(stream, limit_s)
        delta = next(each for each in packets(container) if not each.is_keyframe)
        for _ in range(300):
            assert not decoder.decode(delta)
    assert decoder.used.startswith(used) and bool(decoder.used) is bool(used)


def test_hardware_decoder_without_a_frame_is_replaced_before_the_stream_ends(rtsp):
    decoder = StreamDecoder("qsv")
    decoder._prove = lambda packet: [] if time.monotonic() < decoder._until else prove(packet)
    prove = functools.partial(StreamDecoder._prove, decoder)
    frames = read_stream("gate", rtsp.url, timeout_s=1, decoder=decoder)
    assert next(frames).image.width == 320
    assert decoder.used.startswith("software (qsv: ")


def test_hardware_decoder_that_fails_after_it_worked_falls_back(video):
    decoder = StreamDecoder("qsv")
    with open_container(str(video)) as (container, stream):
        decoder.open(stream)
        decoder._settle()  # as if it had decoded frames, which this machine's cannot
        assert decoder.used == "qsv"
        frames = [each for packet in packets(container) for each in decoder.decode(packet) or ()]
    assert len(frames) == 30
    assert decoder.used.startswith("software (qsv: ")


def test_check_prints_why_a_hardware_decoder_is_not_used(rtsp):
    config = CameraConfig(name="gate", url=rtsp.url, decoder="cuda")
    assert "320x240, 25 frames a second, decoder software (cuda: " in _camera(config)


def test_fallback_is_logged_once_and_shown(rtsp, logs):
    watched = Watched(rtsp.url, decoder="v4l2m2m")
    with watched.running(stops_within_s=5):
        next(watched.frames())
        rtsp.kill()
        watched.until(True, False)
        rtsp.start()
        watched.until(True, False, True)
    assert watched.camera.decoder.startswith("software (v4l2m2m: ")
    found = [entry for entry in logs if entry["event"] == "decoder"]
    assert [entry["uses"] for entry in found] == [watched.camera.decoder]


def test_decoder_of_a_video_file_is_refused():
    values = {"name": "gate", "url": "gate.mp4", "decoder": "cuda"}
    with pytest.raises(ConfigError, match="decoder is for streams"):
        checked(CameraConfig, values, subject="camera")


def decoded(video, decoder):
    with open_container(str(video)) as (container, stream):
        decoder.open(stream)
        return [frame for packet in packets(container) for frame in decoder.decode(packet) or ()]


def test_each_packet_is_observed_once_though_it_is_decoded_again(video):
    seen = []
    decoder = StreamDecoder("qsv", observe=seen.append)
    decoded(video, decoder)
    assert len(seen) == len({id(packet) for packet in seen}) == 31  # 30 frames and the end
