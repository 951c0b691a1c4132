"""Fuzz targets of networks: events, searches, HTTP requests, MQTT and gpsd."""

import asyncio
import re
import socket
import urllib.parse
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import h11
import numpy as np

from plateid.capture.camera_posts import parse_post
from plateid.capture.images import ArrayImage
from plateid.config.load import load_config
from plateid.config.outputs import HomeAssistantConfig, MqttConfig, WebhookConfig
from plateid.config.service import GpsConfig
from plateid.core.records import Frame, OutboxEntry
from plateid.errors import BrokerError, GpsError, OutputError, SourceError
from plateid.outputs.discovery import DiscoveryPublisher
from plateid.outputs.mqtt_connection import MqttConnection
from plateid.outputs.mqtt_topics import MqttDevice, RetainedMessages
from plateid.outputs.self_pipe import SelfPipe
from plateid.outputs.webhook import Webhook
from plateid.service.gps import SILENCE_S, Gpsd, position_of
from plateid.store.database import CorruptError, parse_event
from plateid.store.event_store import EventStore
from plateid.store.history import History
from plateid.store.list_file import state_of
from plateid.store.search import csv_lines, find
from plateid.store.search_query import QueryError, parse_query
from plateid.store.snapshot_files import SnapshotFiles
from plateid.store.snapshots import encoded
from plateid.web.access import LoginSession
from plateid.web.credentials import Credentials, Token, User, credentials_file, write_credentials
from plateid.web.guard import HEADERS, OPEN_PATHS
from plateid.web.live import Live
from plateid.web.routes import ROUTES, make_site
from tests.fuzz.file_targets import Target
from tests.hostile.mutations import accepts
from tests.hostile.test_hostile_files import LIST
from tests.hostile.test_hostile_streams import CONNACK, MESSAGE, PINGRESP, PUBACK, SUBACK
from tests.support.camera_posts import axis, dahua, hikvision
from tests.support.samples import NO_HOOKS, NOON, SEEN, append, event, make_health
from tests.support.scripted_server import ScriptedServer


@contextmanager
def event_json(_: Path) -> Iterator[Target]:
    def run(data: bytes) -> None:
        with suppress(CorruptError):
            read = parse_event(data.decode(errors="replace"))
            assert parse_event(read.to_json()).to_json() == read.to_json()

    yield (SEEN.to_json().encode(),), run


@contextmanager
def search_fields(folder: Path) -> Iterator[Target]:
    with closing(EventStore(folder / "events.sqlite3")) as store:
        append(store, *range(1, 9))
    history = History(folder / "events.sqlite3")

    def run(data: bytes) -> None:
        fields = dict(urllib.parse.parse_qsl(data.decode("latin-1"), errors="replace"))
        with suppress(QueryError):
            assert "" not in list(csv_lines(find(history, parse_query(fields)).events))

    seeds = b"plate=B68SPK&fuzzy=1&listed=none", b"plate=B*%3F&since=2026-01-01&min=.5&limit=2"
    yield (
        (
            *seeds,
            b"after=2026-11-24T12:00:00.123Z~01939d2c-1a2b-7c3d-8e4f-5a6b7c8d9e0f&until=2026-11-24&max=1",
        ),
        run,
    )


@contextmanager
def camera_post(_: Path) -> Iterator[Target]:
    kind = "multipart/form-data; boundary=boundary"

    def run(data: bytes) -> None:
        for header in (kind, "text/xml", data.partition(b"\n")[0].decode("latin-1")):
            accepts("post", lambda: parse_post(header, data), SourceError)  # noqa: B023 - called now

    yield (hikvision()[1], dahua()[1], axis(parts=False)[1], axis()[1]), run


@contextmanager
def gpsd_report(_: Path) -> Iterator[Target]:
    def run(data: bytes) -> None:
        gpsd, (ours, theirs) = Gpsd(GpsConfig()), socket.socketpair()
        with ours, theirs, suppress(GpsError):
            theirs.sendall(data[:4096])
            theirs.shutdown(socket.SHUT_WR)
            for position in filter(None, map(position_of, gpsd._reports(ours, SILENCE_S))):
                assert abs(position.lat) <= 90
                assert abs(position.lon) <= 180

    yield (b'{"class":"TPV","mode":3,"lat":44.4,"lon":26.1}\n{"class":"VERSION"}\n',), run


@contextmanager
def mqtt_answer(folder: Path) -> Iterator[Target]:
    """A broker that accepts the connection and then sends the input."""
    with (
        closing(EventStore(folder / "events.sqlite3")) as store,
        closing(ScriptedServer()) as server,
    ):
        device = MqttDevice("plateid", "gate", store.instance, ("gate",))
        discovery = DiscoveryPublisher(HomeAssistantConfig(), device, store, birth_delay_s=0)

        def run(data: bytes) -> None:
            server.answers = (CONNACK + data,)
            with suppress(BrokerError), closing(SelfPipe()) as pipe:
                config = MqttConfig(port=server.port)
                with closing(MqttConnection(config, "plateid", pipe=pipe)) as connection:
                    connection.subscribe("homeassistant/status")
                    while True:
                        connection.poll(5)
                        for message in connection.take_messages():
                            discovery.receive(message)
                        discovery.step(RetainedMessages())

        yield (SUBACK + MESSAGE, PUBACK + PINGRESP + MESSAGE), run


@contextmanager
def webhook_answer(_: Path) -> Iterator[Target]:
    with closing(ScriptedServer()) as server:
        url = f"http://127.0.0.1:{server.port}/hook"
        webhook = Webhook(WebhookConfig(name="gate", url=url, timeout_s=1))

        def run(data: bytes) -> None:
            server.answers = (data,)
            accepts(url[:-5], lambda: webhook.deliver(OutboxEntry(SEEN, sent=False)), OutputError)

        yield (b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 410 Gone\r\na: b\r\n\r\n"), run


CONFIG = """
[[camera]]
name = "drive"
url = "rtsp://camera.local/stream"
[lists]
file = "plates.csv"
[web]
enabled = true
[store]
path = "{store}"
"""
SECRET = b"B68SPK"
"""The plate of all events, which no client gets without a login."""


class Site:
    """The web UI of a device with events, an image and a list."""

    def __init__(self, folder: Path, *, is_open: bool) -> None:
        self._files = {
            folder / "plateid.toml": CONFIG.format(store=folder / "events.sqlite3"),
            folder / "plates.csv": LIST.decode(),
        }
        self._restore()
        self._config = load_config(folder / "plateid.toml")
        image = np.full((600, 800, 3), 90, np.uint8)
        jpeg, live = encoded(image, 80), Live(self._config.web, ["drive"])
        live.show(Frame("drive", 1, NOON, 0.0, ArrayImage(image)), [])
        snapshot = SnapshotFiles(self._config.store.path).add(SEEN.id, jpeg, hidden=False)
        self._store = EventStore(self._config.store.path)
        self._store.append(event(1, id=SEEN.id, camera="drive", snapshot=snapshot))
        if not is_open:
            file = credentials_file(self._config.store.path)
            write_credentials(
                file, Credentials({"admin": User("admin", "no")}, {"token": Token("no")})
            )
        self._site, self._app = make_site(
            self._config,
            live,
            make_health(self._store, cameras=["drive"]).report,
            file=folder / "plateid.toml",
            hooks=NO_HOOKS,
        )
        self._site.access._open_session = LoginSession("admin", csrf="token")

    def close(self) -> None:
        self._site.access.queue.close()
        self._store.close()

    def _restore(self) -> None:
        for file, text in self._files.items():
            file.write_text(text)

    def answer(self, scope: dict[str, Any], body: bytes) -> tuple[int, bytes]:
        """Returns status and body of the answer; an exception of a page is raised."""
        self._restore()
        self._site.config = self._config
        messages = [{"type": "http.request", "body": body}, {"type": "http.disconnect"}]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return messages.pop(0) if len(messages) > 1 else messages[0]

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        asyncio.run(self._app(dict(scope), receive, send))
        headers = {name.lower(): value for name, value in sent[0]["headers"]}
        assert {name.lower().encode() for name in HEADERS} <= headers.keys()
        assert re.match(rb"/(?!/)", headers.get(b"location", b"/")), headers  # to no other host
        return sent[0]["status"], b"".join(part.get("body", b"") for part in sent[1:])


def parsed(data: bytes) -> tuple[dict[str, Any], bytes] | None:
    """Returns the scope and body of an HTTP request, as uvicorn makes them; None if it is bad."""
    connection, body = h11.Connection(h11.SERVER), b""
    scope: dict[str, Any] = {"type": "http", "asgi": {"version": "3.0"}, "scheme": "http"}
    connection.receive_data(data)
    with suppress(h11.RemoteProtocolError):
        while not isinstance(part := connection.next_event(), type | h11.ConnectionClosed):
            if isinstance(part, h11.Request):
                path, _, query = part.target.partition(b"?")
                text = urllib.parse.unquote(path.decode("ascii"))
                scope |= {"path": text, "raw_path": path, "query_string": query, "root_path": ""}
                scope |= {
                    "method": part.method.decode(),
                    "http_version": part.http_version.decode(),
                }
                scope |= {"headers": list(part.headers), "client": ("127.0.0.1", 1)}
            elif isinstance(part, h11.Data):
                body += part.data
            else:
                break
    return (scope, body) if "path" in scope else None


def requests() -> Iterator[bytes]:
    """Yields a request to each page, and one with each form."""
    for route in ROUTES:
        path = route.path.replace("{camera}", "drive").replace("{id}", SEEN.id)
        yield b"GET %b?plate=B* HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode()
    kind = "Content-Type: application/x-www-form-urlencoded"
    for path, form in (
        ("lists", f"do=save&plate=A1&list=deny&csrf=token&state={state_of(LIST.decode())}"),
        ("cameras/drive", "roi=[[0,0],[1,0],[1,1]]&masks=[]&line=[[0,0],[1,1]]&csrf=token"),
        ("review", f"id={SEEN.id}&verdict=plate&text=A1&box=1,2,30,40&csrf=token"),
        ("login", "user=ana&password=x"),
        ("people", "do=token&name=hotel&write_lists=1&expires=2026-12-31&csrf=token"),
    ):
        head = f"POST /{path} HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n{kind}\r\n"
        yield f"{head}Content-Length: {len(form)}\r\n\r\n{form}".encode()
    booking = b'{"plate": "A1", "list": "deny", "valid_to": "2026-12-31T18:30+02:00"}'
    yield (
        b"POST /api/v1/lists/entries HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(booking), booking)
    )
    yield (
        b"POST /lists HTTP/1.1\r\nHost: localhost\r\nContent-Length: 66\r\n"
        b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        b'--x\r\nContent-Disposition: form-data; name="csrf"\r\n\r\ntoken\r\n--x--\r\n'
    )


@contextmanager
def http_request(folder: Path) -> Iterator[Target]:
    """The request goes to a device without a password, and to one with a password."""
    (folder / "locked").mkdir()
    with (
        closing(Site(folder, is_open=True)) as opened,
        closing(Site(folder / "locked", is_open=False)) as locked,
    ):

        def run(data: bytes) -> None:
            if (request := parsed(data)) is None:
                return
            opened.answer(*request)
            status, body = locked.answer(*request)
            assert status != 200 or request[0]["path"].startswith(OPEN_PATHS)
            assert SECRET not in body

        yield list(requests()), run
