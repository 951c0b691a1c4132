"""The MQTT publisher: one thread that brings the outbox to the broker."""

import secrets
import threading
import time
from collections.abc import Callable
from contextlib import closing

from paho.mqtt.enums import MQTTProtocolVersion

from plateid.backoff import Backoff
from plateid.config.outputs import MqttConfig
from plateid.errors import BrokerError
from plateid.outputs.discovery import Announcer
from plateid.outputs.mqtt_connection import Connection, newest_protocol
from plateid.outputs.mqtt_delivery import Delivery, Outages
from plateid.outputs.mqtt_device import Box
from plateid.outputs.retained import Retained
from plateid.outputs.self_pipe import Wake
from plateid.store.event_store import EventStore

TICK_S = 1.0
"""Longest wait for the network; keep-alive and refused events are looked after this often."""
HEALTH_S = 30.0
SETTLE_S = 5.0
"""Home Assistant, once told of an entity, listens after about so long."""
LASTS_S = 10.0
"""A connection that lived so long works, even if there is no event for the broker to take."""
BACKOFF = Backoff()


class MqttPublisher:
    """Publishes the events of a store, and how the device and its cameras are.

    The topics are `prefix`/`device`/..., as README.md lists them. Only `stop` ends it: a broker
    that is away or refuses us and a store that fails are retried for ever. Methods may be called
    from any thread.

    Attributes:
        moved_at: When the thread last began a step or a wait, as `time.monotonic()`; it begins
            one at least every minute or two, unless it hangs.
    """

    def __init__(
        self,
        config: MqttConfig,
        box: Box,
        *,
        store: EventStore,
        announcer: Announcer,
        health: Callable[[], str],
        backoff: Backoff = BACKOFF,
    ) -> None:
        """Does not connect yet; each camera is offline until `set_camera_status`.

        `health` gives what is published every 30 seconds; it is called by the publisher's thread.
        """
        self._config = config
        self._store = store
        self._backoff = backoff
        self._box = box
        self._announcer = announcer
        self._health = health
        self._health_at = 0.0
        self._report = threading.Event()
        # The same after a restart: the broker ends what is left of our older connection, and
        # publishes its will, before it answers this one.
        self._client_id = f"plateid-{box.device}-{box.instance}"
        self._wake = Wake()
        self._retained = Retained()
        self._retained.set_status(box.status_topic, online=True)
        for camera in box.cameras:
            self.set_camera_status(camera, online=False)
            if not box.images:  # what the broker has from before is deleted
                self._retained.set(box.snapshot_topic(camera), "")
        self._protocol: MQTTProtocolVersion | None = None
        self.moved_at = time.monotonic()
        self._stop_at = 0.0
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def notify(self) -> None:
        """Says that the outbox has something new."""
        self._wake.set()

    def report(self) -> None:
        """Publishes the health now, not only when it is time again."""
        self._report.set()
        self._wake.set()

    def set_camera_status(self, camera: str, *, online: bool) -> None:
        """Publishes the state of a camera, now and on every connection."""
        self._retained.set_status(f"{self._box.root}/{camera}/status", online=online)
        self._wake.set()

    def set_snapshot(self, camera: str, jpeg: bytes) -> None:
        """Publishes a picture, before any event that is stored later."""
        self._retained.set_image(self._box.snapshot_topic(camera), jpeg)
        self._wake.set()

    def stop(self, timeout_s: float) -> None:
        """Sends what is left, says `offline`, and disconnects, all within the time.

        What the broker does not acknowledge stays in the outbox.
        """
        self._stop_at = time.monotonic() + 0.9 * timeout_s
        self._wake.stop()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        outages = Outages(self._backoff)
        with closing(self._wake):
            while not self._wake.stopping:
                self.moved_at = time.monotonic()
                try:
                    self._converse(outages)
                except BrokerError as error:
                    self._protocol = None  # it may be another broker next time
                    if not self._wake.stopping:
                        outages.broker.failed(error)
                        self.moved_at = time.monotonic()
                        self._wake.pause(outages.broker.wait_s)

    def _converse(self, outages: Outages) -> None:
        """One connection, until it ends or `stop` is called."""
        if self._protocol is None:
            self._protocol = newest_protocol(self._config, self._client_id, self._wake)
        connection = Connection(
            self._config,
            self._client_id,
            wake=self._wake,
            will_topic=self._box.status_topic,
            protocol=self._protocol,
        )
        works_at = time.monotonic() + LASTS_S
        with closing(connection):
            delivery = Delivery(
                connection,
                self._store,
                root=self._box.root,
                retained=self._retained,
                outages=outages,
            )
            self._announcer.renew()
            if self._announcer.subscription is not None:
                connection.subscribe(self._announcer.subscription)
            while not self._wake.stopping:
                self.moved_at = time.monotonic()
                if self.moved_at >= works_at:
                    outages.broker.recovered()
                self._say_what_is_due(connection)
                delivery.step(TICK_S)
            self._leave(connection, delivery)

    def _say_what_is_due(self, connection: Connection) -> None:
        for message in connection.take_messages():
            self._announcer.receive(message)
        now = time.monotonic()
        if self._announcer.step(self._retained) and not now < self._health_at < now + SETTLE_S:
            self._health_at = now + SETTLE_S
        if now >= self._health_at or self._report.is_set():
            self._report.clear()
            self._health_at = now + HEALTH_S
            connection.publish(self._box.health_topic, self._health(), qos=0, retain=False)

    def _leave(self, connection: Connection, delivery: Delivery) -> None:
        left_s = max(0.0, self._stop_at - time.monotonic())
        delivery.drain(time.monotonic() + left_s / 2)
        self._retained.all_offline()
        delivery.drain(self._stop_at)
        connection.disconnect()


def check_broker(config: MqttConfig) -> None:
    """Connects once and disconnects.

    Raises:
        BrokerError: The broker cannot be reached, refuses us, or does not answer in time.
    """
    with closing(Wake()) as wake:
        newest_protocol(config, f"plateid-check-{secrets.token_hex(4)}", wake)
