"""Events of a fleet in the database of a hub."""

import json
import re
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from psycopg.types.json import Jsonb

from plateid.bundles.trial import BundleTrial
from plateid.config.hub import DatabaseConfig, HubConfig
from plateid.config.load import load_config
from plateid.config.outputs import ListsConfig, MqttConfig
from plateid.core.records import PlateEvent, rfc3339
from plateid.fleet_link import FleetLink, enrol, hub_lists, link_folder
from plateid.hub.database import connect, make_partitions
from plateid.hub.server import HubServer
from plateid.store.event_store import EventStore
from plateid.store.list_file import ListFile
from tests.support.samples import NOON, make_publisher

INSERT = """
    INSERT INTO event (id, pass_id, event_type, device, camera, seq, plate, confidence, list_kind,
        first_seen, last_seen, payload)
    VALUES (%(id)s, %(pass_id)s, %(event_type)s, %(device)s, %(camera)s, %(seq)s, %(plate)s,
        %(confidence)s, %(list_kind)s, %(first_seen)s, %(last_seen)s, %(payload)s)"""


def insert_events(config: DatabaseConfig, events: Iterable[PlateEvent]) -> None:
    """Stores events; a device is at the site of the first letter of its name."""
    rows = [row_of(each) for each in events]
    with connect(config, purpose="test") as db, db.cursor() as cursor:
        make_partitions(db, {row["first_seen"] for row in rows})
        devices = {row["device"] for row in rows}
        add_site = "INSERT INTO site (name) VALUES (%s) ON CONFLICT DO NOTHING"
        add_device = "INSERT INTO device (name, site) VALUES (%s, %s) ON CONFLICT DO NOTHING"
        cursor.executemany(add_site, [(name[0],) for name in devices])
        cursor.executemany(add_device, [(name, name[0]) for name in devices])
        cursor.executemany(INSERT, rows)


def row_of(event: PlateEvent) -> dict[str, object]:
    """The columns of an event, as the hub stores them."""
    payload = Jsonb(event.to_json())
    payload.dumps = lambda text: text  # it is JSON already
    kind = event.list and event.list.kind
    first_seen = datetime.fromisoformat(rfc3339(event.first_seen))  # with milliseconds
    return vars(event) | {"list_kind": kind, "first_seen": first_seen, "payload": payload}


@dataclass
class ServedHub:
    """The web UI of a hub, served on loopback without a password; `cookie` is of a session."""

    config: HubConfig
    server: HubServer
    cookie: str = ""

    @property
    def address(self) -> str:
        return f"http://localhost:{self.config.web.port}"

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        """Returns status and text of a page."""
        request = urllib.request.Request(f"{self.address}{path}", headers=headers)  # noqa: S310 - loopback
        return self._answer(request)

    def post(self, path: str, *, page: str = "", **form: str) -> tuple[int, str]:
        """Sends a form, with the token of its page, or of another one."""
        status, text = self.get(page or path)
        assert status == 200, text
        form["csrf"] = re.search('name="csrf" value="([^"]*)"', text)[1]
        if found := re.search('name="state" value="([^"]*)"', text):
            form["state"] = found[1]
        body = urllib.parse.urlencode(form).encode()
        request = urllib.request.Request(f"{self.address}{path}", body)  # noqa: S310 - loopback
        return self._answer(request)

    def _answer(self, request: urllib.request.Request) -> tuple[int, str]:
        request.add_header("Cookie", self.cookie)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


@contextmanager
def served_hub(config: HubConfig) -> Iterator[ServedHub]:
    """Runs the process of a hub's web UI in a thread."""
    server, ready = HubServer(config), threading.Event()
    thread = threading.Thread(target=server.run, args=(ready.set,))
    thread.start()
    try:
        assert ready.wait(20)
        yield ServedHub(config, server)
    finally:
        server.stop()
        thread.join(10)


@dataclass
class LinkedDevice:
    """A device with a store, a list and bundles that is connected to the broker and to its hub.

    `health` are values of its health report.
    """

    file: Path
    store: EventStore
    lists: ListFile
    trial: BundleTrial
    health: dict[str, object] = field(default_factory=dict)

    def connect(self, config: MqttConfig) -> None:
        """Starts the publisher and the link."""
        self.publisher = make_publisher(
            config, self.store, name=self.file.stem, health=lambda: json.dumps(self.health)
        )
        self.link = FleetLink(self.store.path, self.lists, self.publisher, self.trial)
        self.publisher.start()
        self.link.start()

    def step(self) -> None:
        """Does what the main thread of a service does periodically, and reports its health."""
        self.link.check()
        self.trial.check()
        self.publisher.report()

    @property
    def bundle(self) -> str:
        """The name of the bundle that the next service uses, without its digits."""
        return load_config(self.file).models.bundle.name.rpartition("-")[0]

    def match(self, plate: str) -> str:
        """Returns the kind of the entry that a plate matches; empty: none."""
        self.link.check()
        found = self.lists.lists.match(plate, camera="gate", at=NOON)
        return found.kind if found else ""


@contextmanager
def linked_device(folder: Path, hub: ServedHub, name: str, own: str = "") -> Iterator[LinkedDevice]:
    """Enrols a device, unless it is, and runs its link; `own` is its own list.

    Its bundles are signed with the keys in `trusted/`.
    """
    file = folder / f"{name}.sqlite3"
    if not link_folder(file).exists():
        _, page = hub.post("/devices", do="enrol", device=name)
        code = re.search(r'<code id="code">.* (\S+)</code>', page)[1]
        enrol(hub.address, code, file, None)
    (folder / f"{name}.csv").write_text("plate,list\n" + own)
    lists = ListFile(ListsConfig(file=folder / f"{name}.csv"), ("gate",), of_hub=hub_lists(file))
    config = folder / f"{name}.toml"
    config.write_text(
        f'models = {{installed = "{name}-models", trusted_keys = "trusted"}}\n'
        f'[[camera]]\nname = "gate"\nurl = "{name}.mp4"\n'
    )
    models = load_config(config).models
    trial = BundleTrial(models, file=config, lists=lambda: lists.lists, restart=lambda: None)
    with closing(EventStore(file)) as store:
        device = LinkedDevice(config, store, lists, trial)
        device.connect(hub.config.mqtt)
        try:
            yield device
        finally:
            device.link.stop()
            device.publisher.stop(1)
