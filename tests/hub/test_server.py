"""The process of the hub's web UI, with real brokers and real devices."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from plateid.config.hub import AlertsConfig, DatabaseConfig, HubConfig, HubMqttConfig
from plateid.config.outputs import MqttConfig
from plateid.config.service import WebConfig
from plateid.core.ids import uuid7
from plateid.core.records import PlateEvent, Snapshot
from plateid.errors import BrokerError
from plateid.fleet_link import enrol, link_folder
from plateid.hub.database import connect
from plateid.hub.purge import purge_plate
from plateid.outputs.mqtt import check_broker
from plateid.store.event_store import EventStore
from tests.support.broker import Broker, Subscriber, free_port, until
from tests.support.certificates import Authority, Certificate
from tests.support.fleets import ServedHub, insert_events, linked_device, served_hub
from tests.support.histories import with_plate
from tests.support.samples import Publish, append, outbox, said

MakeConfig = Callable[..., HubConfig]


@pytest.fixture
def make_config(tmp_path: Path, database: DatabaseConfig) -> MakeConfig:
    def make(**mqtt: object) -> HubConfig:
        web = WebConfig(port=free_port())
        return HubConfig(
            database=database, folder=tmp_path / "hub", mqtt=HubMqttConfig(**mqtt), web=web
        )

    return make


def test_devices_are_managed_through_a_broker_that_keeps_no_messages(
    make_config: MakeConfig, broker: Broker, tmp_path: Path, logs: list[dict]
) -> None:
    broker.options = "retain_available false"
    broker.start()
    with served_hub(make_config(port=broker.port)) as hub:
        with linked_device(tmp_path, hub, "one") as one:
            until(lambda: one.link.check() or one.link._reported.version)
            hub.post("/lists", do="save", plate="TR1", list="watch")
            until(lambda: one.match("TR1") == "watch")
            append(one.store, 1)
            until(lambda: outbox(one.store) == 0)
            until(
                lambda: "TR1" not in hub.get("/devices")[1] and "Online" in hub.get("/devices")[1]
            )
        hub.post("/lists", do="save", plate="TR2", list="watch")
        with linked_device(tmp_path, hub, "one") as back:
            until(lambda: back.match("TR2") == "watch")
    assert said(logs, "outage starts") == []


def test_running_device_uses_the_certificate_of_a_new_enrolment(
    make_config: MakeConfig, broker: Broker, store: EventStore, publish: Publish
) -> None:
    tmp_path = store.path.parent
    config = make_config(port=broker.port, tls=False)
    with served_hub(config) as hub:
        issuer = Authority(tmp_path, "unused")
        issuer.certificate = Certificate(config.folder / "ca.pem", config.folder / "ca.key")
        server, crl = issuer.issue("127.0.0.1"), tmp_path / "crl.pem"
        shutil.copy(config.folder / "crl.pem", crl)
        broker.tls = (
            f"cafile {config.folder}/ca.pem\ncertfile {server.file}\nkeyfile {server.key}\n"
            f"crlfile {crl}\nrequire_certificate true\nuse_identity_as_username true\n"
        )
        broker.start()
        device = enrolled(hub, store, broker)
        old = device.model_copy(
            update={
                key: shutil.copy(getattr(device, key), tmp_path / key)
                for key in ("certificate_file", "key_file")
            }
        )
        publish(device, name="gate")
        append(store, 1)
        until(lambda: outbox(store) == 0)
        enrolled(hub, store, broker)
        shutil.copy(config.folder / "crl.pem", crl)
        broker.kill()
        broker.start()
        with closing(Subscriber(broker.port)) as subscriber:
            append(store, 2)
            until(lambda: 2 in subscriber.seqs())
        check_broker(device)
        with pytest.raises(BrokerError, match="revoked"):
            check_broker(old)


def enrolled(hub: ServedHub, store: EventStore, broker: Broker) -> MqttConfig:
    """Enrols the device of a store; returns its connection by TLS."""
    _, page = hub.post("/devices", do="enrol", device="gate")
    code = re.search(r'<code id="code">.* (\S+)</code>', page)[1]
    enrol(hub.address, code, store.path, None)
    folder = link_folder(store.path)
    return MqttConfig(
        port=broker.tls_port,
        tls=True,
        ca_file=folder / "mqtt-ca.pem",
        certificate_file=folder / "mqtt.pem",
        key_file=folder / "mqtt.key",
    )


def test_image_is_shown_with_both_events_of_a_pass_until_its_plate_is_purged(
    make_config: MakeConfig, started_broker: Broker
) -> None:
    jpegs = [b"\xff\xd8\xff one", b"\xff\xd8\xff other"]
    seen, other = (
        with_plate(n, plate, snapshot=Snapshot("a.jpg", hashlib.sha256(jpeg).hexdigest()))
        for n, plate, jpeg in zip((1, 2), ("B68SPK", "KX73LPH"), jpegs, strict=True)
    )
    left = replace(seen, id=uuid7(), event_type="plate_left")
    other = replace(other, pass_id=other.id)
    with served_hub(make_config(port=started_broker.port)) as hub:
        database, events = hub.config.database, (seen, left, other)
        insert_events(database, events)
        shown = lambda: [image_of(hub, each) for each in events]  # noqa: E731
        assert shown() == [None] * 3
        with closing(Subscriber(started_broker.port, "nothing")) as device:
            for camera, jpeg in zip(("gate", "drive"), jpegs, strict=True):
                device.publish(f"plateid/box/{camera}/snapshot", jpeg, retain=True)
        until(lambda: shown() == [jpegs[0], jpegs[0], jpegs[1]])
        found = list(hub.server._fleet.history.find_pass(seen.id))
        assert hub.server._fleet.history.with_images(found) == {seen.id, left.id}
        with connect(database, purpose="test") as db:
            purge_plate(db, "B68SPK")
            assert db.execute("SELECT jpeg FROM snapshot").fetchall() == [(jpegs[1],)]
        assert shown() == [None, None, jpegs[1]]


def test_device_takes_lists_after_the_database_was_restored_from_a_backup(
    make_config: MakeConfig, started_broker: Broker, tmp_path: Path
) -> None:
    config = make_config(port=started_broker.port)

    def execute(*statements: str) -> None:
        with connect(config.database, purpose="test") as db:
            for each in statements:
                db.execute(each.encode())

    with served_hub(config) as hub, linked_device(tmp_path, hub, "one") as one:
        until(lambda: one.link.check() or one.link._reported.version)
        execute("UPDATE desired SET version = 1000, change = nextval('desired_version')")
        hub.post("/lists", do="save", plate="TR1", list="watch")
        until(lambda: one.match("TR1") == "watch")
        assert one.link._reported.version > 1000
    execute("UPDATE desired SET version = 1, sha256 = ''", "UPDATE device SET reported = NULL")
    with served_hub(config) as hub, linked_device(tmp_path, hub, "one") as one:
        hub.post("/lists", do="save", plate="TR2", list="watch")
        until(lambda: one.match("TR2") == "watch")


def test_restarted_hub_neither_repeats_an_alert_nor_forgets_its_end(
    make_config: MakeConfig, started_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither to the broker nor to the webhook, which is away before the restart."""

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

    posted, port = list[bytes](), free_port()
    monkeypatch.setattr("plateid.hub.server.ALERTS_S", 0.2)
    alerts = AlertsConfig(webhook=f"http://127.0.0.1:{port}/")
    config = make_config(port=started_broker.port).model_copy(update={"alerts": alerts})
    with (
        closing(Subscriber(started_broker.port, "plateid/hub/alert")) as heard,
        connect(config.database, purpose="test") as db,
    ):
        waiting = lambda: db.execute("SELECT ways FROM alert_news").fetchall()  # noqa: E731
        db.execute("INSERT INTO device (name, health) VALUES ('one', '{\"disk\": \"failed\"}')")
        with served_hub(config):
            until(lambda: waiting() == [(["webhook"],)])
        db.execute("UPDATE device SET health = '{\"clock_synced\": false}'")
        with HTTPServer(("127.0.0.1", port), Hook) as server, ThreadPoolExecutor(1) as pool:
            pool.submit(server.serve_forever)
            with served_hub(config):
                until(lambda: not waiting())
            server.shutdown()
        until(lambda: len(heard.messages) == 3)
        published = [each.payload for each in heard.messages]
    for texts in (published, posted):
        changes = [(each["alert"], each["state"]) for each in map(json.loads, texts)]
        assert sorted(changes) == [("clock", "started"), ("disk", "ended"), ("disk", "started")]


def image_of(hub: ServedHub, event: PlateEvent) -> bytes | None:
    try:
        url = f"{hub.address}/events/{event.id}/snapshot.jpg"
        with urlopen(url, timeout=20) as answer:  # noqa: S310 - loopback
            return answer.read()
    except HTTPError as error:
        with error:
            return None
