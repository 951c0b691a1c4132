"""The MQTT publisher: one thread that sends the outbox to the broker."""

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import closing

from paho.mqtt.client import MQTTMessage
from paho.mqtt.enums import MQTTProtocolVersion

from plateid.backoff import Backoff
from plateid.config.outputs import HomeAssistantConfig, MqttConfig
from plateid.errors import BrokerError
from plateid.outputs.discovery import DiscoveryPublisher
from plateid.outputs.mqtt_connection import (
    OFFLINE,
    ONLINE,
    MqttConnection,
    newest_protocol,
)
from plateid.outputs.mqtt_sender import MqttOutages, MqttSender
from plateid.outputs.mqtt_topics import MqttDevice, RetainedMessages
from plateid.outputs.resend import ResendQueue, ResendRequests
from plateid.outputs.self_pipe import SelfPipe

TICK_S = 1.0
"""Longest wait for the network, seconds. Keep-alive and refused events are checked this often."""
HEALTH_S = 30.0
"""Interval of the health report, seconds."""
SETTLE_S = 5.0
"""Seconds after which Home Assistant listens to an entity that was published to it."""
LASTS_S = 10.0
"""Seconds after which a connection counts as working, even if there was no event to send."""
RETAINED_S = 1.0
"""Longest wait for a retained message after the subscription, seconds."""
BACKOFF = Backoff()
Handler = Callable[[MQTTMessage], object]
"""Takes a message of a subscription."""


class MqttPublisher(threading.Thread):
    """Publishes the events of an outbox, and the state of the device and its cameras.

    Only `stop` ends it. If the broker is away or refuses the connection, or if the store fails, it
    retries for ever. Methods may be called from any thread. `failure` says why the broker is not
    connected. `moved_at` is the `time.monotonic()` of the last step, at most two minutes ago.
    """

    def __init__(
        self,
        config: MqttConfig,
        device: MqttDevice,
        *,
        queue: ResendQueue,
        discovery: DiscoveryPublisher,
        health: Callable[[], str],
        backoff: Backoff = BACKOFF,
    ) -> None:
        """Does not connect yet, and each camera is offline; `health` gives the periodic report."""
        super().__init__(name="mqtt", daemon=True)
        self._brokers = deque(config.each())
        self._queue = queue
        self._backoff = backoff
        self._device = device
        self._discovery = discovery
        self._health = health
        self._health_at = 0.0
        self._report = threading.Event()
        # The same after a restart: the broker ends an old connection of this client, and publishes
        # its last will, before it answers the new one.
        self._client_id = f"plateid-{device.device}-{device.instance}"
        self._pipe = SelfPipe()
        self._retained = RetainedMessages()
        self._retained.set(device.topic("status"), ONLINE)
        for camera in device.cameras:
            self.set_camera_status(camera, online=False)
            if not device.images:  # deletes the snapshot of an earlier configuration
                self._retained.set(device.topic(camera, "snapshot"), "")
        self._handlers: dict[str, Handler] = {}
        self.handle("resend", ResendRequests(queue).receive)
        self._protocol: MQTTProtocolVersion | None = None
        self.failure: str | None = "connecting"
        self.moved_at = time.monotonic()
        self._stop_at = 0.0

    def notify(self) -> None:
        """Wakes the thread up for a new event."""
        self._pipe.wake()

    def report(self) -> None:
        """Publishes the health report now."""
        self._report.set()
        self._pipe.wake()

    def set_camera_status(self, camera: str, *, online: bool) -> None:
        """Publishes the status of a camera, now and on every new connection."""
        self._retained.set(self._device.topic(camera, "status"), ONLINE if online else OFFLINE)
        self._pipe.wake()

    def set_disk_status(self, *, failed: bool) -> None:
        """Publishes the status of the event store, if it has changed, and on every connection."""
        if self._retained.change(self._device.topic("disk"), "failed" if failed else "ok"):
            self._pipe.wake()

    def set_occupancy(self, report: str) -> None:
        """Publishes the occupancy as JSON, if it has changed, and on every connection."""
        if self._retained.change(self._device.topic("occupancy"), report):
            self._pipe.wake()

    def handle(self, level: str, handler: Handler) -> None:
        """Subscribes to a topic of this device, whose messages `handler` gets; before `start`."""
        self._handlers[self._device.topic(level)] = handler

    def set_reported(self, report: str) -> None:
        """Publishes what was applied of the hub's desired state, now and on every connection."""
        self._retained.set(self._device.topic("reported"), report)
        self._pipe.wake()

    def set_snapshot(self, camera: str, jpeg: bytes) -> None:
        """Publishes an image, before all events that are stored later."""
        self._retained.set_image(self._device.topic(camera, "snapshot"), jpeg)
        self._pipe.wake()

    def stop(self, timeout_s: float) -> None:
        """Sends what is left, publishes `offline` and disconnects, all within the time."""
        self._stop_at = time.monotonic() + 0.9 * timeout_s
        self._pipe.stop()
        self.join(timeout_s)

    def run(self) -> None:
        """Connects until `stop`; `start` calls it."""
        outages = MqttOutages(self._backoff)
        with closing(self._pipe):
            while not self._pipe.stopping:
                self.moved_at = time.monotonic()
                try:
                    self._connect(outages)
                except BrokerError as error:
                    self.failure = str(error)
                    self._protocol = None  # the next broker may be another one
                    self._brokers.rotate(-1)
                    if not self._pipe.stopping:
                        outages.broker.failed(error)
                        self.moved_at = time.monotonic()
                        self._pipe.pause(outages.broker.wait_s)

    def _connect(self, outages: MqttOutages) -> None:
        """Uses one connection until it ends or `stop` is called."""
        if self._protocol is None:
            self._protocol = newest_protocol(self._brokers[0], self._client_id, self._pipe)
        connection = MqttConnection(
            self._brokers[0],
            self._client_id,
            pipe=self._pipe,
            will_topic=self._device.topic("status"),
            protocol=self._protocol,
        )
        works_at = time.monotonic() + LASTS_S
        self.failure = None
        with closing(connection):
            sender = MqttSender(
                connection,
                self._device,
                queue=self._queue,
                retained=self._retained,
                outages=outages,
            )
            self._discovery.renew()
            if self._discovery.subscription is not None:
                connection.subscribe(self._discovery.subscription)
            for topic in self._handlers:
                connection.subscribe(topic)
            while not self._pipe.stopping:
                self.moved_at = time.monotonic()
                if self.moved_at >= works_at:
                    outages.broker.recovered()
                self._publish_state(connection)
                sender.step(TICK_S)
            self._disconnect(connection, sender)

    def _publish_state(self, connection: MqttConnection) -> None:
        for message in connection.take_messages():
            self._handlers.get(message.topic, self._discovery.receive)(message)
        now = time.monotonic()
        if self._discovery.step(self._retained) and not now < self._health_at < now + SETTLE_S:
            self._health_at = now + SETTLE_S
        if now >= self._health_at or self._report.is_set():
            self._report.clear()
            self._health_at = now + HEALTH_S
            connection.publish(self._device.topic("health"), self._health(), qos=0, retain=False)

    def _disconnect(self, connection: MqttConnection, sender: MqttSender) -> None:
        left_s = max(0.0, self._stop_at - time.monotonic())
        sender.drain(time.monotonic() + left_s / 2)
        self._retained.all_offline()
        sender.drain(self._stop_at)
        connection.disconnect()


def find_home_assistant(config: MqttConfig, home_assistant: HomeAssistantConfig) -> bool:
    """Returns whether Home Assistant's birth message is retained; raises as `check_broker`."""
    with closing(SelfPipe()) as pipe:
        client_id = f"plateid-check-{secrets.token_hex(4)}"
        protocol = newest_protocol(config, client_id, pipe)
        connection = MqttConnection(config, client_id, pipe=pipe, protocol=protocol)
        connection.subscribe(home_assistant.status_topic)
        until = time.monotonic() + RETAINED_S
        while not (messages := connection.take_messages()) and time.monotonic() < until:
            connection.poll(until - time.monotonic())
        connection.disconnect()
        connection.close()
        return any(message.payload == ONLINE.encode() for message in messages)


def check_broker(config: MqttConfig) -> None:
    """Connects once; raises BrokerError if the broker is away, refuses, or does not answer."""
    with closing(SelfPipe()) as pipe:
        newest_protocol(config, f"plateid-check-{secrets.token_hex(4)}", pipe)
