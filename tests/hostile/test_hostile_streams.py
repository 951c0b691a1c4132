"""Tests with mutated MQTT messages, broker answers, video files and RTSP answers."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import av
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from paho.mqtt.client import MQTTMessage

from plateid.capture.stream import probe
from plateid.capture.video_file import frame_count, read_video
from plateid.config.outputs import HomeAssistantConfig, MqttConfig
from plateid.demo import DEMO_VIDEO
from plateid.errors import BrokerError, SourceError
from plateid.outputs.discovery import DiscoveryPublisher
from plateid.outputs.mqtt_connection import MqttConnection, SelfPipe
from plateid.outputs.mqtt_topics import MqttDevice, RetainedMessages
from plateid.store.event_store import EventStore
from tests.hostile.mutations import EXAMPLES, accepts, hostile, mutated, time_limit
from tests.support.scripted_server import ScriptedServer

PACKETS = 4
"""Number of packets in a mutated video file."""
pytestmark = time_limit


@pytest.fixture(scope="module")
def discovery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DiscoveryPublisher]:
    with closing(EventStore(tmp_path_factory.mktemp("store") / "events.sqlite3")) as store:
        device = MqttDevice("plateid", "gate", store.instance, ("gate",))
        yield DiscoveryPublisher(HomeAssistantConfig(), device, store, birth_delay_s=0)


PAYLOADS = st.binary(max_size=300) | mutated(b"online") | mutated(b"offline")


@hostile
@given(PAYLOADS, st.booleans())
def test_only_online_announces_devices_to_home_assistant(
    discovery: DiscoveryPublisher, payload: bytes, retained: bool
) -> None:
    message = MQTTMessage()
    message.payload, message.retain = payload, retained
    discovery.receive(message)
    due = payload == b"online" and not retained
    assert discovery.step(RetainedMessages()) is due


# Answers of an MQTT 5 broker.
CONNACK = b"\x20\x03\x00\x00\x00"
SUBACK = b"\x90\x04\x00\x01\x00\x01"
MESSAGE = b"\x32\x1f\x00\x14homeassistant/status\x00\x05\x00online"
PUBACK = b"\x40\x02\x00\x01"
PINGRESP = b"\xd0\x00"
DISCONNECT = b"\xe0\x02\x8e\x00"


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedServer]:
    with closing(ScriptedServer()) as made:
        yield made


@hostile
@given(
    mutated(CONNACK + SUBACK + MESSAGE + PUBACK + PINGRESP + DISCONNECT)
    | st.builds(lambda tail: CONNACK + tail, mutated(SUBACK + MESSAGE + PUBACK + MESSAGE))
    | st.builds(lambda tail: CONNACK + tail, st.binary(max_size=100))
)
@example(CONNACK + SUBACK + SUBACK)
@example(CONNACK + SUBACK[:1] + b"\x03" + SUBACK[2:5])
def test_mutated_broker_answers_raise_broker_error(server: ScriptedServer, answer: bytes) -> None:
    server.answers = (answer,)

    def listen() -> None:
        with closing(SelfPipe()) as pipe:
            config = MqttConfig(port=server.port)
            with closing(MqttConnection(config, "plateid", pipe=pipe)) as connection:
                connection.subscribe("homeassistant/status")
                while True:
                    connection.poll(5)
                    connection.take_messages()

    assert not accepts(f"127.0.0.1:{server.port}", listen, BrokerError)


def remuxed(path: Path) -> Path:
    """Writes the first packets of the demo video into another container, index first."""
    options = {"movflags": "+faststart"} if path.suffix == ".mp4" else {}
    options["fflags"] = "+bitexact"  # no random numbers: mutations hit the same bytes
    with av.open(str(DEMO_VIDEO)) as source, av.open(str(path), "w", options=options) as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        for number, packet in enumerate(source.demux(stream)):
            if number == PACKETS:
                break
            packet.stream = copy
            target.mux(packet)
    return path


CONTAINERS = (".mp4", ".h264", ".mkv", ".ts")


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_mutated_video_file_is_decoded_or_raises_source_error(tmp_path: Path, suffix: str) -> None:
    good = remuxed(tmp_path / f"good{suffix}").read_bytes()
    assert len(list(read_video(tmp_path / f"good{suffix}"))) == PACKETS
    file = tmp_path / f"mutated{suffix}"

    def play() -> None:
        frame_count(file)
        for frame in read_video(file):
            frame.image.luma(16, 16)
            frame.image.resized(16, 16)

    @settings(hostile, max_examples=EXAMPLES // len(CONTAINERS))
    @given(mutated(good))
    def play_mutated(content: bytes) -> None:
        file.write_bytes(content)
        accepts(file, play, SourceError)

    play_mutated()


# Answers of an RTSP server to OPTIONS, DESCRIBE, SETUP and PLAY.
SDP = b"""v=0
o=- 0 0 IN IP4 127.0.0.1
s=camera
t=0 0
m=video 0 RTP/AVP 96
a=rtpmap:96 H264/90000
a=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z0LAHtkDxWhAAAADAEAAAAwDxYuS,aMuMsg==
a=control:track1
"""
OK = b"RTSP/1.0 200 OK\r\nCSeq: %d\r\n"
RTP = b"$\x00\x00\x10\x80\xe0\x00\x01\x00\x00\x00\x01\x12\x34\x56\x78\x65\x88\x84\x00"
ANSWERS = (
    OK % 1 + b"Public: OPTIONS, DESCRIBE, SETUP, PLAY\r\n\r\n",
    OK % 2 + b"Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n" % len(SDP) + SDP,
    OK % 3 + b"Session: 1;timeout=60\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n",
    OK % 4 + b"Session: 1\r\nRTP-Info: url=track1;seq=1;rtptime=0\r\n\r\n" + 20 * RTP,
)


@hostile
@given(st.data(), st.integers(0, len(ANSWERS) - 1))
def test_mutated_camera_answers_are_accepted_or_raise_source_error(
    server: ScriptedServer, data: st.DataObject, index: int
) -> None:
    answers = list(ANSWERS)
    answers[index] = data.draw(mutated(answers[index], head=200))
    server.answers = tuple(answers)
    url = f"rtsp://127.0.0.1:{server.port}/x"
    accepts(url, lambda: probe(url, timeout_s=0.2), SourceError)
