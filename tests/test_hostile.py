"""Whatever comes in, it is taken or it is one clear error: files, MQTT messages, video, RTSP.

`HOSTILE=10000 .venv/bin/pytest tests/test_hostile.py` tries so many inputs for each test.
"""

import json
import os
import socket
import socketserver
import threading
import tomllib
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import av
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plateid.capture.stream import probe
from plateid.capture.video_file import frame_count, read_video
from plateid.config.load import load_config
from plateid.config.models import ModelsConfig
from plateid.config.outputs import HomeAssistantConfig, ListsConfig, MqttConfig
from plateid.config.plate_formats import formats_of, load_formats
from plateid.demo import DEMO_VIDEO
from plateid.errors import (
    BrokerError,
    BundleError,
    ConfigError,
    ModelError,
    PlateidError,
    SourceError,
)
from plateid.models.networks import Networks
from plateid.outputs.discovery import DiscoveryPublisher
from plateid.outputs.mqtt_connection import Connection, Message
from plateid.outputs.mqtt_device import MqttDevice
from plateid.outputs.retained_messages import RetainedMessages
from plateid.outputs.self_pipe import SelfPipe
from plateid.store.event_store import EventStore
from plateid.store.list_file import ListFile
from tests.support.bundles import detector_network, reader_network, write_bundle
from tests.support.samples import SEEN

EXAMPLES = int(os.environ.get("HOSTILE", "200"))
PACKETS = 4
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
hostile = settings(
    max_examples=EXAMPLES, derandomize=True, database=None, suppress_health_check=SLOW
)
pytestmark = pytest.mark.timeout(120 if EXAMPLES <= 200 else 0)

TOKENS = (
    *(
        b"\x00",
        b"\xff",
        b"\xff\xff\xff\xff",
        b"\x7f\xff\xff\xff",
        b"\n",
        b"\r",
        b'"',
        b"'''",
        b"[[",
    ),
    *(b"{", b"}", b"=", b",", b";", b"|", b"#", b"1e999", b"nan", b"inf", b"-1", b"9" * 30),
    *(b"\xef\xbb\xbf", b"\xc3\xa4", b"\xf0\x9f\x9a\x97", b"\xd8\x00", b"\\u0000", b"9999-12-31"),
)


@st.composite
def spoilt(draw: st.DrawFn, good: bytes, *, head: int = 2000) -> bytes:
    """Bytes with a few faults, half of them in their head: bits, pieces, ends."""
    data = bytearray(good)
    for _ in range(draw(st.integers(1, 6))):
        size = len(data)
        at = draw(st.integers(0, min(size, head) if draw(st.booleans()) else size))
        length = draw(st.integers(1, 64))
        match draw(st.sampled_from(["bit", "bytes", "token", "remove", "repeat", "cut"])):
            case "bit" if at < size:
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "bytes":
                data[at : at + length] = draw(st.binary(max_size=8))
            case "token":
                data[at:at] = draw(st.sampled_from(TOKENS))
            case "remove":
                del data[at : at + length]
            case "repeat":
                data[at:at] = data[at : at + length] * draw(st.integers(1, 20))
            case "cut":
                del data[at:]
    return bytes(data)


VALUES = st.recursive(
    st.one_of(
        st.integers(),
        st.sampled_from([0, -1, 2**31, 2**63, 10**400]),
        st.floats(),
        st.booleans(),
        st.text(max_size=20),
        st.sampled_from(["", ".", "/", "a" * 5000, "rtsp://", "http://[", "\x00", "a\nb", "../.."]),
        st.dates(),
        st.times(),
        st.datetimes(timezones=st.sampled_from([None, UTC])),
    ),
    lambda values: (
        st.lists(values, max_size=4) | st.dictionaries(st.text(max_size=8), values, max_size=3)
    ),
    max_leaves=6,
)


def toml(value: Any) -> str:
    """A value as TOML writes it."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return json.dumps(value)
        case list():
            return f"[{', '.join(map(toml, value))}]"
        case dict():
            return f"{{{', '.join(f'{toml(key)} = {toml(item)}' for key, item in value.items())}}}"
        case date() | time() | datetime():
            return value.isoformat()
    return str(value)


@st.composite
def wrong_table(draw: st.DrawFn, good: dict[str, Any]) -> bytes:
    """A table of TOML in which some values, somewhere, are others, or some keys."""
    table = json.loads(json.dumps(good))
    for _ in range(draw(st.integers(1, 3))):
        place: Any = table
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = draw(st.sampled_from(keys)) if keys else "x"
            inner = place[key] if keys else None
            if not (isinstance(inner, dict | list) and inner) or draw(st.integers(0, 3)) == 0:
                break
            place = inner
        if isinstance(place, dict) and draw(st.integers(0, 4)) == 0:
            key = draw(st.text(max_size=10))
        if isinstance(place, dict) or keys:
            place[key] = draw(VALUES)
    return "".join(f"{toml(key)} = {toml(value)}\n" for key, value in table.items()).encode()


def tried(subject: object, action: Callable[[], object], *expected: type[PlateidError]) -> bool:
    """Whether it works; else the error is one line that names the thing and a reason."""
    try:
        action()
    except expected as error:
        failure: PlateidError = error
    else:
        return True
    assert str(subject) in str(failure)
    assert failure.reason
    assert str(failure).isprintable(), str(failure)
    return False


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


# files


EXAMPLE = Path("systemd/plateid.toml").read_text()
RULES = """
[[camera]]
name = "drive"
url = "rtsp://camera.local/stream"
roi = [[0, 0.3], [1, 0.3], [1, 1], [0, 1]]
masks = [[[0.7, 0.3], [1, 0.3], [1, 0.4], [0.7, 0.4]]]
min_plate_height = 14
line = [[0.1, 0.6], [0.9, 0.6]]

[camera.events]
min_confidence = 0.8

[lists]
file = "plates.csv"

[[webhook]]
name = "gate"
url = "https://gate.local/hook"
secret_file = "webhook-secret"
lists = ["allow"]
events = ["plate_seen"]
max_age_s = 30

[logfile]
csv = "/var/lib/plateid/events.csv"
"""
ALL = tomllib.loads(RULES) | {
    "device": "box",
    "mqtt": {"host": "broker.local", "port": 8883, "tls": True, "username": "a"},
    "events": {"regions": ["ro", "eu"], "strict": True, "max_wait_s": 3.0, "min_reads": 3},
    "models": {"bundle": "accurate", "provider": "cpu", "threads": 2},
    "store": {"path": "events.sqlite3"},
    "retention": {"events_mb": 2, "outbox_events": 10, "outbox_days": 2.5},
    "homeassistant": {"enabled": True, "prefix": "homeassistant"},
    "privacy": {"unlisted": "hash", "listed": "drop", "key_days": 1},
    "gps": {"enabled": True, "host": "::1", "port": 2947},
    "metrics": {"enabled": True, "host": "127.0.0.1", "port": 9797},
}


@hostile
@given(st.one_of(spoilt(RULES.encode()), spoilt(EXAMPLE.encode()), wrong_table(ALL)))
def test_a_configuration(folder: Path, content: bytes) -> None:
    file = folder / "plateid.toml"
    file.write_bytes(content)
    tried("", lambda: formats_of(load_config(file)), ConfigError)


LIST = b"""plate,list,name,note,valid_from,valid_to,cameras
B 68 SPK,allow,Ana,blue,,,
CJ 12 ABC,deny,,,2026-01-01,2026-12-31,drive
"""


@hostile
@given(spoilt(LIST) | st.binary(max_size=200), st.text(max_size=12))
def test_a_list(folder: Path, content: bytes, plate: str) -> None:
    file = folder / "plates.csv"
    file.write_bytes(content)

    def match() -> None:
        lists = ListFile(ListsConfig(file=file, max_distance=3), ("gate", "drive")).lists
        for text in (plate, *(entry.plate for entry in lists.entries)):
            lists.match(text, camera="gate", at=SEEN.first_seen)

    tried(file, match, ConfigError)


TABLES = b"""
[ro]
patterns = ["B+D2|DDD LLL", "AB|AR|CJ+DD LLL"]
letters = "ABCDEFGHIJKLMNOPRSTUVWXYZ"
[xx]
patterns = ["LL DD"]
[xx.old]
patterns = ["XXX+A|BC DDDD"]
"""


@hostile
@given(spoilt(TABLES) | wrong_table(tomllib.loads(TABLES.decode())), st.text(max_size=12))
def test_a_file_of_formats(folder: Path, content: bytes, plate: str) -> None:
    file = folder / "formats.toml"
    file.write_bytes(content)

    def use() -> None:
        formats = load_formats(file)
        for text in (plate, "B68SPK", "ABC1234"):
            formats.fits(text)
            formats.display(text, formats.region_of(text))

    tried(file, use, ConfigError)


@pytest.fixture(scope="module")
def tiny(folder: Path) -> Path:
    return write_bundle(
        folder / "bundle",
        detector_network([(32, 16, 20, 8, 0.9)]),
        reader_network("-AA-B-11-2", regions=(0.5, 0.5)),
    )


@hostile
@given(st.data())
def test_a_bundle(tiny: Path, data: st.DataObject) -> None:
    file = tiny / "bundle.toml"
    good = tiny / "good.toml"
    if not good.exists():
        good.write_bytes(file.read_bytes())
    text = good.read_bytes()
    file.write_bytes(data.draw(spoilt(text) | wrong_table(tomllib.loads(text.decode()))))

    def use() -> None:
        networks = Networks(ModelsConfig(bundle=tiny))
        networks.detector()
        networks.reader()

    tried(tiny, use, BundleError, ModelError)


# MQTT


@pytest.fixture(scope="module")
def announcer(folder: Path) -> Iterator[DiscoveryPublisher]:
    with closing(EventStore(folder / "events.sqlite3")) as store:
        box = MqttDevice("plateid", "box", store.instance, ("gate",))
        yield DiscoveryPublisher(HomeAssistantConfig(), box, store, birth_delay_s=0)


PAYLOADS = st.binary(max_size=300) | spoilt(b"online") | spoilt(b"offline")


@hostile
@given(PAYLOADS, st.booleans())
def test_a_message_of_home_assistant(
    announcer: DiscoveryPublisher, payload: bytes, retained: bool
) -> None:
    announcer.receive(Message(payload, retained))
    due = payload == b"online" and not retained
    assert announcer.step(RetainedMessages()) is due


CONNACK = b"\x20\x03\x00\x00\x00"
SUBACK = b"\x90\x04\x00\x01\x00\x01"
MESSAGE = b"\x32\x1f\x00\x14homeassistant/status\x00\x05\x00online"
PUBACK = b"\x40\x02\x00\x01"
PINGRESP = b"\xd0\x00"
DISCONNECT = b"\xe0\x02\x8e\x00"


class Liar(socketserver.ThreadingTCPServer):
    """Says one of its answers whenever it is told something, and hangs up after the last."""

    daemon_threads = True
    block_on_close = False
    answers: tuple[bytes, ...] = ()

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    @property
    def port(self) -> int:
        return self.server_address[1]

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()


class Answering(socketserver.BaseRequestHandler):
    server: Liar

    def handle(self) -> None:
        self.request.settimeout(2)
        with suppress(OSError):
            for answer in self.server.answers:
                self.request.recv(4096)
                self.request.sendall(answer)
            self.request.shutdown(socket.SHUT_WR)
            while self.request.recv(4096):
                pass


@pytest.fixture(scope="module")
def liar() -> Iterator[Liar]:
    with closing(Liar()) as server:
        yield server


@hostile
@given(
    spoilt(CONNACK + SUBACK + MESSAGE + PUBACK + PINGRESP + DISCONNECT)
    | st.builds(lambda tail: CONNACK + tail, spoilt(SUBACK + MESSAGE + PUBACK + MESSAGE))
    | st.builds(lambda tail: CONNACK + tail, st.binary(max_size=100))
)
def test_what_a_broker_sends(liar: Liar, answer: bytes) -> None:
    liar.answers = (answer,)

    def listen() -> None:
        with closing(SelfPipe()) as pipe:
            config = MqttConfig(port=liar.port)
            with closing(Connection(config, "plateid", pipe=pipe)) as connection:
                connection.subscribe("homeassistant/status")
                while True:
                    connection.poll(5)
                    connection.take_messages()

    assert not tried(f"127.0.0.1:{liar.port}", listen, BrokerError)


# video


def remuxed(path: Path) -> Path:
    """The beginning of the demo's clip, in another container; what describes it comes first."""
    options = {"movflags": "+faststart"} if path.suffix == ".mp4" else {}
    options["fflags"] = "+bitexact"  # no numbers of chance: always the same is spoilt
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
def test_a_clip(tmp_path: Path, suffix: str) -> None:
    good = remuxed(tmp_path / f"good{suffix}").read_bytes()
    assert len(list(read_video(tmp_path / f"good{suffix}"))) == PACKETS
    file = tmp_path / f"spoilt{suffix}"

    def play() -> None:
        frame_count(file)
        for frame in read_video(file):
            frame.image.luma(16, 16)
            frame.image.resized(16, 16)

    @settings(hostile, max_examples=EXAMPLES // len(CONTAINERS))
    @given(spoilt(good))
    def spoil(content: bytes) -> None:
        file.write_bytes(content)
        tried(file, play, SourceError)

    spoil()


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
def test_what_a_camera_answers(liar: Liar, data: st.DataObject, which: int) -> None:
    answers = list(ANSWERS)
    answers[which] = data.draw(spoilt(answers[which], head=200))
    liar.answers = tuple(answers)
    url = f"rtsp://127.0.0.1:{liar.port}/x"
    tried(url, lambda: probe(url, timeout_s=0.2), SourceError)
