"""The process of the hub's web UI: shows events, sends desired states, and raises alerts."""

import hashlib
import json
import secrets
import time
import urllib.request
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from http.client import HTTPException
from typing import Any

import psycopg
import structlog
from pydantic import ValidationError

from plateid.backoff import Backoff, Chore, Outage
from plateid.config.hub import HubConfig
from plateid.errors import BrokerError, ConfigError, PlateidError, StoreError, errors_as
from plateid.fleet_link import Reported
from plateid.hub import desired
from plateid.hub.database import migrate
from plateid.hub.enrolment import note_own_certificate, write_crl
from plateid.hub.messages import NAME
from plateid.hub.purge import FINISH, drop_old
from plateid.hub.site import HOOKS, LISTS, FleetSite
from plateid.outputs.mqtt_connection import MqttConnection, newest_protocol
from plateid.outputs.self_pipe import SelfPipe
from plateid.service.health_report import idle_report
from plateid.store.database import CorruptError, parse_event
from plateid.store.list_csv import parse_entries
from plateid.store.list_file import file_state, read_text
from plateid.web.credentials import credentials_file, read_credentials
from plateid.web.server import WebServer

TICK_S = 0.5
"""Longest wait for a message, seconds: a changed list is sent that much later."""
ALERTS_S, ROLLOUTS_S, RETENTION_S = 5.0, 2.0, 3600.0
"""Intervals of the look for alerts, at rollouts, and for old events, seconds."""
WEBHOOK_S = 5.0
"""Time-out of the webhook of alerts, seconds."""
SUBSCRIPTIONS = ("+/+/event", "+/+/snapshot", "+/status", "+/reported")
MAX_IMAGE_BYTES = 2_000_000
"""Largest image that the hub keeps, bytes: a full frame of 4K has about 1,500,000."""
JPEG = b"\xff\xd8\xff"
"""First bytes of a JPEG."""
STORE_SNAPSHOT = "INSERT INTO snapshot VALUES (%s, now(), %s) ON CONFLICT DO NOTHING"
SET_ONLINE = """
    INSERT INTO device (name, online) VALUES (%s, %s)
    ON CONFLICT (name) DO UPDATE SET online = excluded.online"""
DEVICES = "SELECT name, site, groups, token_sha256 FROM device ORDER BY name"
NAMES = "SELECT name FROM list_name ORDER BY 1"
PURGES = "SELECT id FROM purge ORDER BY id"
ROLLOUTS = "SELECT * FROM wanted_hash"
ALERTS = "SELECT id, news, ways FROM alert_news ORDER BY id"
ALERT_SENT = "UPDATE alert_news SET ways = array_remove(ways, %s) WHERE id = %s"
NOTE_REPORT = "SELECT note_report(%s, %s)"
log = structlog.get_logger()


class HubServer:
    """Runs until `stop`; outages of broker and database are retried for ever."""

    def __init__(self, config: HubConfig) -> None:
        """Opens the database. Raises PlateidError."""
        migrate(config.database)
        self._config = config
        self._fleet = FleetSite.opened(config)
        users = credentials_file(self._fleet.config.store.path, config.web)
        has_admin = read_credentials(users).has_admin
        code = secrets.token_hex(4) if config.web.needs_password and not has_admin else ""
        self.code_text = code and f"/first-password, code {code}"
        self._web = WebServer(
            self._fleet.config, idle_report(()), hooks=HOOKS, code=code, make=self._fleet.make
        )
        self._pipe = SelfPipe()
        self._broker = Outage("broker", Backoff())
        self._database = Outage("database", Backoff())
        self._webhook = Outage("webhook of alerts", Backoff())
        self._alerts = Chore("alerts", self._check_alerts, interval_s=ALERTS_S)
        self._rollouts = Chore("rollouts", self._advance, interval_s=ROLLOUTS_S)
        self._retention = Chore("retention", self._drop_old, interval_s=RETENTION_S)
        self._posts = ThreadPoolExecutor(1, "alerts")
        self._connection: MqttConnection | None = None
        self._brokers = deque(config.mqtt.each())
        self._sent, self._published, self._posting = 0, dict[int, int](), set[int]()
        self._state: object = None
        self._lists = config.folder / LISTS

    @property
    def address(self) -> str:
        """URL of the web UI."""
        return self._web.address

    def stop(self) -> None:
        """Ends `run`."""
        self._pipe.stop()

    def run(self, ready: Callable[[], object]) -> None:
        """Serves until `stop`; calls `ready` once."""
        with self._fleet.history.opened() as db:
            if file := self._config.mqtt.certificate_file:
                note_own_certificate(db, file)
            write_crl(db, self._fleet.authority)
        self._web.check()
        ready()
        while not self._pipe.stopping:
            self._web.check()
            self._alerts.check()
            self._rollouts.check()
            self._retention.check()
            self._step()
        self._web.stop()
        if self._connection:
            with closing(self._connection):
                self._connection.disconnect()
        self._pipe.close()
        self._posts.shutdown(cancel_futures=True)
        self._fleet.history.close()

    def _step(self) -> None:
        """Handles messages, and sends what has changed."""
        if not self._database.wait_s:
            with self._database.noted(StoreError):
                self._update()
        if self._broker.wait_s:
            self._pipe.pause(min(TICK_S, self._broker.wait_s))
            return
        try:
            self._exchange(self._connection or self._connect())
            self._broker.recovered()
        except BrokerError as error:
            self._broker.failed(error)
            if self._connection:
                self._connection.close()
            self._connection = None
            self._brokers.rotate(-1)

    def _connect(self) -> MqttConnection:
        client_id = f"plateid-hub-web-{time.time_ns():x}"
        protocol = newest_protocol(self._brokers[0], client_id, self._pipe)
        made = MqttConnection(self._brokers[0], client_id, pipe=self._pipe, protocol=protocol)
        for topic in SUBSCRIPTIONS:
            made.subscribe(f"{self._config.mqtt.prefix}/{topic}")
        self._connection, self._sent, self._published = made, 0, {}
        return made

    def _exchange(self, connection: MqttConnection) -> None:
        """Raises BrokerError."""
        for ack in connection.poll(TICK_S):
            if id_ := self._published.pop(ack.message, 0):
                with errors_as(BrokerError, "alerts", StoreError):
                    self._store(ALERT_SENT, "mqtt", id_)
        prefix, resent = self._config.mqtt.prefix, list[str]()
        for message in connection.take_messages():
            levels = message.topic.split("/")[1:]
            with errors_as(BrokerError, "messages", StoreError):  # a new connection gets them again
                self._receive(levels, bytes(message.payload))
            if levels[1:] == ["status"] and message.payload == b"online":
                resent.append(levels[0])  # the broker may keep no retained messages
        url = f"{self._config.address}/api/v1/desired"
        with self._database.noted(StoreError), self._fleet.history.opened() as db:
            due = desired.messages(db, self._fleet.authority, url=url, after=self._sent, to=resent)
            for change, device, text in due:
                connection.publish(f"{prefix}/{device}/desired", text, qos=1, retain=True)
                self._sent = max(self._sent, change)

    def _receive(self, levels: list[str], payload: bytes) -> None:
        """Handles a message of a device; raises StoreError. `ingest` counts what is invalid."""
        device = levels[0]
        if not NAME.fullmatch(device) or len(payload) > MAX_IMAGE_BYTES:
            return
        match levels[1:]:
            case [_, "event"]:
                with suppress(CorruptError, UnicodeDecodeError):
                    event = parse_event(payload.decode())
                    if event.device == device:
                        self._fleet.lives.publish(event)
            case [_, "snapshot"] if payload.startswith(JPEG):
                self._store(STORE_SNAPSHOT, hashlib.sha256(payload).hexdigest(), payload)
            case ["status"]:
                self._store(SET_ONLINE, device, payload == b"online")
            case ["reported"]:
                with suppress(ValidationError):
                    report = Reported.model_validate_json(payload)
                    self._store(NOTE_REPORT, device, report.model_dump_json())

    def _store(self, statement: str, *values: object) -> None:
        with self._fleet.history.opened() as db, suppress(psycopg.DataError):
            db.execute(statement.encode(), values)

    def _update(self) -> None:
        """Computes the desired states after a change; raises StoreError."""
        with self._fleet.history.opened() as db:
            db.execute(FINISH)
            devices = db.execute(DEVICES).fetchall()
            state = file_state(self._lists), devices, db.execute(PURGES).fetchall()
            state += tuple(db.execute(ROLLOUTS))
            if state == self._state:
                return
            lives = self._fleet.lives
            lives.tokens = {token: name for name, *_, token in devices if token}
            lives.sites = {name: site or "" for name, site, *_ in devices}
            lives.names = tuple(name for (name,) in db.execute(NAMES))
            desired.update(db, self._master_list())
            self._state = state

    def _master_list(self) -> desired.MasterList | None:
        """Returns the master list; None, with a line in the log, if it is not valid."""
        try:
            text = read_text(self._lists)
            parse_entries(text, self._lists, self._fleet.lives.names)
            return desired.MasterList(text)
        except (ConfigError, ValueError) as error:
            log.error("master list refused, devices keep theirs", reason=str(error))  # noqa: TRY400
            return None

    def _check_alerts(self) -> Iterator[None]:
        """Publishes the starts and ends of alerts."""
        url, topic = self._config.alerts.webhook, f"{self._config.mqtt.prefix}/hub/alert"
        ways = ["mqtt", "webhook"] if url else ["mqtt"]
        with self._fleet.history.opened() as db:
            for (change,) in db.execute("SELECT changed_alerts(%s)", (ways,)).fetchall():
                log.warning("alert", **change)
            waiting = db.execute(ALERTS).fetchall()
        for id_, alert, left in waiting:
            if "mqtt" in left and self._connection and id_ not in self._published.values():
                text = json.dumps(alert)
                number = self._connection.publish(topic, text, qos=1, retain=False)
                self._published[number] = id_
            if url and "webhook" in left and id_ not in self._posting:
                self._posting.add(id_)
                self._posts.submit(self._post, url, id_, alert)
        yield

    def _advance(self) -> Iterator[None]:
        with self._fleet.history.opened() as db:
            for (change,) in db.execute("SELECT advance_rollouts()").fetchall():
                log.info("rollout", change=change)
        yield

    def _post(self, url: str, id_: int, alert: dict[str, Any]) -> None:
        """Sends an alert to the webhook; if that fails, a later look for alerts sends it again."""
        body, headers = json.dumps(alert).encode(), {"Content-Type": "application/json"}
        failures = OSError, ValueError, HTTPException  # the log does not get the URL's secrets
        try:
            if not self._webhook.wait_s:
                with (
                    self._webhook.noted(PlateidError),
                    errors_as(PlateidError, "webhook", *failures),
                ):
                    request = urllib.request.Request(url, body, headers)  # noqa: S310 - http(s)
                    urllib.request.urlopen(request, timeout=WEBHOOK_S).close()  # noqa: S310
                    self._store(ALERT_SENT, "webhook", id_)
        finally:
            self._posting.discard(id_)

    def _drop_old(self) -> Iterator[None]:
        with self._fleet.history.opened() as db:
            yield from drop_old(db, self._config.retention_days)
