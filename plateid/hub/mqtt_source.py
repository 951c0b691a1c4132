"""Takes messages by shared subscriptions of MQTT 5, and acknowledges what is stored."""

import socket
import time
from contextlib import closing

import paho.mqtt.client as mqtt

from plateid.config.outputs import MqttConfig
from plateid.errors import BrokerError
from plateid.hub.messages import MAX_BYTES, Message
from plateid.outputs.mqtt_connection import MqttConnection, Session, UnknownProtocolError
from plateid.outputs.self_pipe import SelfPipe

SESSION_S = 7 * 86_400
"""Seconds that the broker keeps messages for a hub that is away."""
GROUP = "plateid-hub"
"""Name of the shared subscription: the broker gives each message to one hub."""
KINDS = ("event", "read")
"""Last levels of the topics with messages to store."""


class MqttSource:
    """One connection, and its messages that are not acknowledged."""

    def __init__(
        self, config: MqttConfig, pipe: SelfPipe, *, instance: int, max_messages: int
    ) -> None:
        """Connects and subscribes, however long that takes; raises BrokerError."""
        self._pipe = pipe
        self._max_messages = max_messages
        self._received: list[tuple[Message, mqtt.MQTTMessage]] = []
        self._unacknowledged: list[mqtt.MQTTMessage] = []
        client_id = f"plateid-hub-{socket.gethostname()}-{instance}"
        session = Session(max_messages, SESSION_S)
        try:
            self._connection = MqttConnection(config, client_id, pipe=pipe, session=session)
        except UnknownProtocolError as error:
            reason = "has no MQTT 5, which shared subscriptions need; with NATS, set nats.servers"
            raise BrokerError(error.subject, reason) from error
        for topic in (*(f"+/+/{kind}" for kind in KINDS), "+/health"):
            self._connection.subscribe(f"$share/{GROUP}/{config.prefix}/{topic}")
        while not self._connection.subscribed and not pipe.stopping:
            self._poll(1.0)

    def take(self, max_messages: int, batch_s: float) -> list[Message]:
        """Returns messages at the latest `batch_s` after the first; none if `pipe` wakes it up."""
        if not self._received:
            self._poll(1.0)
        until = time.monotonic() + batch_s
        while self._received and len(self._received) < max_messages:
            if (left_s := until - time.monotonic()) <= 0:
                break
            self._poll(left_s)
        batch, self._received = self._received[:max_messages], self._received[max_messages:]
        self._unacknowledged += [message for _, message in batch]
        return [message for message, _ in batch]

    def acknowledge(self) -> None:
        """Acknowledges all messages that `take` returned."""
        for message in self._unacknowledged:
            self._connection.acknowledge(message)
        self._unacknowledged.clear()
        self._poll(0)

    def wait(self, seconds: float) -> None:
        """Keeps the connection alive for a time, at most until `pipe` stops it."""
        until = time.monotonic() + seconds
        while (left_s := until - time.monotonic()) > 0 and not self._pipe.stopping:
            self._poll(left_s)

    def publish(self, topic: str, payload: str) -> None:
        """Sends a message at QoS 0."""
        self._connection.publish(topic, payload, qos=0, retain=False)

    def close(self) -> None:
        """Disconnects; the broker keeps the session."""
        with closing(self._connection):
            self._connection.disconnect()

    def _poll(self, timeout_s: float) -> None:
        """Receives; keeps a part only of messages that are too long, and few of QoS 0."""
        self._connection.poll(timeout_s)
        for message in self._connection.take_messages():
            payload, message.payload = bytes(message.payload[: MAX_BYTES + 1]), b""
            if message.qos or len(self._received) < self._max_messages:
                self._received.append((Message(message.topic, payload), message))
