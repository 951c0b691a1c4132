"""One connection to the MQTT broker, from CONNECT to its end."""

import re
import select
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from plateid.backoff import Backoff, Outage
from plateid.config.outputs import MqttConfig
from plateid.errors import BrokerError, errors_as
from plateid.outputs.mqtt_credentials import read_password, tls_context
from plateid.outputs.self_pipe import SelfPipe

KEEPALIVE_S = 30
"""Keep-alive interval of MQTT, seconds."""
CONNECT_TIMEOUT_S = 5.0
"""Time-out of the TCP connection, and of the answer to CONNECT, seconds."""
WINDOW = 20
"""Maximum number of messages without PUBACK. A broker may allow fewer (Receive Maximum)."""
OWN_PACKET_LIMIT_BYTES = 65536
"""Longest message that plateid accepts, bytes. Messages of its subscriptions are shorter."""
MAX_PACKET_BYTES = 268_435_455
"""Longest message that MQTT allows, bytes: the limit if the broker states none."""
ONLINE, OFFLINE = "online", "offline"
"""Retained payloads of the availability topic."""


class UnknownProtocolError(BrokerError):
    """The broker does not support this version of MQTT."""


@dataclass(frozen=True)
class Ack:
    """The broker's answer to the message of a number; `failure` is the reason of a refusal."""

    message: int
    failure: str | None


@dataclass(frozen=True)
class Session:
    """A session that the broker keeps; each received message needs `acknowledge`."""

    max_unacknowledged: int
    expiry_s: int


class MqttConnection:
    """An established connection, for one thread; `window` bounds messages without PUBACK.

    A refused subscription is tried again: a cluster refuses some for seconds after a node's death.
    A broker that keeps no retained messages gets them as normal ones (MQTT 5 only).
    """

    def __init__(
        self,
        config: MqttConfig,
        client_id: str,
        *,
        pipe: SelfPipe,
        will_topic: str | None = None,
        protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv5,
        session: Session | None = None,
    ) -> None:
        """Connects; continues a session, which needs MQTT 5, or else begins without one.

        The broker publishes a retained `offline` to `will_topic` if the connection ends without
        `disconnect`. Raises BrokerError if the broker cannot be reached, refuses the connection, or
        does not answer.
        """
        self.window = WINDOW
        self.protocol = protocol
        self.max_packet_bytes = MAX_PACKET_BYTES
        self._broker = config.brokers[0]
        self._endpoint = str(self._broker)
        self._pipe = pipe
        unset = [key for key in ("tls", "certificate_file") if not getattr(config, key)]
        hint = f"; mqtt.{unset[0]} is not set" if unset else ""
        self._lost_reason = f"it closes the connection without an answer{hint}"
        self._awaiting_ack: set[int] = set()
        self._acks: list[Ack] = []
        self._messages: list[mqtt.MQTTMessage] = []
        self._subscriptions: dict[str, Outage] = {}
        self._awaiting_suback: dict[int | None, str] = {}
        self._refused: set[str] = set()
        self._established, self._retains, self._qos = False, True, int(session is not None)
        self._tls_alert: str | None = None
        self._end_reason: str | None = None
        self._client = _client(config, client_id, will_topic, protocol)
        self._set_callbacks()
        self._client.manual_ack_set(session is not None)
        limited = will_topic is not None and protocol == MQTTProtocolVersion.MQTTv5
        options: dict[str, Any] = {} if session is None else {"clean_start": False}
        options["properties"] = _properties(session) if session or limited else None
        try:
            self._connect(options)
        except BrokerError:
            if will_topic is None or self._end_reason != "Retain not supported":
                raise
            self._client.will_set(will_topic, OFFLINE, qos=1)
            self._end_reason = None
            self._connect(options)

    def publish(self, topic: str, payload: str | bytes, *, qos: int, retain: bool) -> int:
        """Queues a message for `poll`; returns the number of its `Ack`, if `qos` is 1."""
        message = self._client.publish(topic, payload, qos=qos, retain=retain and self._retains).mid
        if qos:
            self._awaiting_ack.add(message)
        return message

    def subscribe(self, topic: str) -> None:
        """Subscribes to a topic, for `take_messages`; QoS 0 spares NATS a consumer for each."""
        self._subscriptions.setdefault(topic, Outage(f"subscription to {topic}", Backoff()))
        self._awaiting_suback[self._client.subscribe(topic, qos=self._qos)[1]] = topic

    @property
    def subscribed(self) -> bool:
        """Whether the broker has accepted all subscriptions."""
        return not self._awaiting_suback and not self._refused

    def acknowledge(self, message: mqtt.MQTTMessage) -> None:
        """Sends the PUBACK of a message of a session."""
        self._client.ack(message.mid, message.qos)

    def take_messages(self) -> list[mqtt.MQTTMessage]:
        """Returns the messages that `poll` received."""
        messages, self._messages = self._messages, []
        return messages

    def poll(self, timeout_s: float) -> list[Ack]:
        """Waits for network, pipe or time-out; returns acknowledgements, raises BrokerError."""
        for topic in [t for t in self._refused if not self._subscriptions[t].wait_s]:
            self._refused.discard(topic)
            self.subscribe(topic)
        self._wait(timeout_s)
        if self._end_reason is not None and not self._acks:
            raise BrokerError(self._endpoint, self._end_reason)
        acks, self._acks = self._acks, []
        return acks

    def disconnect(self) -> None:
        """Sends DISCONNECT, so that the broker does not publish the last will."""
        self._client.disconnect()
        self._client.loop_write()

    def close(self) -> None:
        """Closes the socket. Without `disconnect`, the broker publishes the last will."""
        if (sock := self._client.socket()) is not None:
            sock.close()

    def _set_callbacks(self) -> None:
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = lambda _, __, message: self._messages.append(message)
        self._client.on_log = self._on_log

    def _connect(self, options: dict[str, Any]) -> None:
        with errors_as(BrokerError, self._endpoint, OSError, UnicodeError):
            self._client.connect(self._broker.host, self._broker.port, KEEPALIVE_S, **options)
        self._await_answer()

    def _await_answer(self) -> None:
        deadline = time.monotonic() + CONNECT_TIMEOUT_S
        while not self._established and self._end_reason is None:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or self._pipe.stopping:
                self.close()
                raise BrokerError(self._endpoint, "timed out: it accepts but does not answer")
            self._wait(left_s)
        if self._end_reason is not None:
            is_old = self._end_reason == "Unsupported protocol version"
            kind = UnknownProtocolError if is_old else BrokerError
            raise kind(self._endpoint, self._end_reason)

    def _wait(self, timeout_s: float) -> None:
        client = self._client
        if (sock := client.socket()) is None:
            return
        poller = select.poll()  # `select.select` refuses descriptors beyond 1023
        poller.register(sock, select.POLLIN | (select.POLLOUT if client.want_write() else 0))
        poller.register(self._pipe, select.POLLIN)
        buffered = isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
        ready = dict(poller.poll(0 if buffered else 1000 * max(0.0, timeout_s)))
        state = ready.get(sock.fileno(), 0)
        if self._pipe.fileno() in ready:
            self._pipe.clear()
        if buffered or state & ~select.POLLOUT:
            client.loop_read()
        if state & select.POLLOUT:
            client.loop_write()
        client.loop_misc()

    def _on_connect(
        self, _: Any, __: Any, ___: Any, reason: ReasonCode, properties: Properties | None
    ) -> None:
        self._established = not reason.is_failure
        self._lost_reason = "connection lost"
        if reason in ("Bad user name or password", "Not authorized"):
            user = f"user {name}" if (name := self._client.username) else "no mqtt.username"
            self._end_reason = f"{reason}: {user}"
        elif reason.is_failure:
            self._end_reason = str(reason)
        self._retains = bool(getattr(properties, "RetainAvailable", True))
        self.window = min(WINDOW, getattr(properties, "ReceiveMaximum", WINDOW))
        self.max_packet_bytes = getattr(properties, "MaximumPacketSize", MAX_PACKET_BYTES)

    def _on_disconnect(
        self, _: Any, __: Any, flags: mqtt.DisconnectFlags, reason: ReasonCode, ___: Any
    ) -> None:
        explained = flags.is_disconnect_packet_from_server or reason == "Keep alive timeout"
        found = str(reason) if explained else self._tls_alert or self._lost_reason
        self._end_reason = self._end_reason or found

    def _on_publish(self, _: Any, __: Any, message: int, reason: ReasonCode, ___: Any) -> None:
        """Keeps PUBACKs. paho calls this for QoS 0 as well, after the message was written."""
        if message in self._awaiting_ack:
            self._awaiting_ack.remove(message)
            self._acks.append(Ack(message, str(reason) if reason.is_failure else None))

    def _on_log(self, _: Any, __: Any, ___: int, text: str) -> None:
        """Keeps the TLS alert: with TLS 1.3, a broker refuses a certificate after the handshake."""
        if alert := re.search(r"\[SSL: (\w+)\]", text):
            self._tls_alert = f"TLS: {alert[1].replace('_', ' ').lower()}"

    def _on_subscribe(
        self, _: Any, __: Any, message: int, reasons: list[ReasonCode], ___: Any
    ) -> None:
        topic = self._awaiting_suback.pop(message, None)
        if topic is None:  # the answer to no open request
            return
        if not reasons or reasons[0].is_failure:
            reason = str(reasons[0]) if reasons else "no reason code"
            self._subscriptions[topic].failed(f"{topic}: {reason}")
            self._refused.add(topic)
        else:
            self._subscriptions[topic].recovered()


def newest_protocol(config: MqttConfig, client_id: str, pipe: SelfPipe) -> MQTTProtocolVersion:
    """Returns MQTT 5, or 3.1.1 if the broker does not support it; connects once to find out.

    Sends neither last will nor limits: amqtt does not answer a CONNECT of version 5 with them.
    Raises BrokerError if the broker cannot be reached, refuses the connection, or does not answer.
    """
    try:
        connection = MqttConnection(config, client_id, pipe=pipe)
    except UnknownProtocolError:
        older = MQTTProtocolVersion.MQTTv311
        connection = MqttConnection(config, client_id, pipe=pipe, protocol=older)
    connection.disconnect()
    connection.close()
    return connection.protocol


def _properties(session: Session | None) -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    if session is None:
        properties.MaximumPacketSize = OWN_PACKET_LIMIT_BYTES
    else:
        properties.SessionExpiryInterval = session.expiry_s
        properties.ReceiveMaximum = session.max_unacknowledged
    return properties


def _disable_nagle(_client: mqtt.Client, _data: object, connection: Any) -> None:
    """Disables Nagle's algorithm, which would delay an event by 40 ms after a snapshot."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _client(
    config: MqttConfig, client_id: str, will_topic: str | None, protocol: MQTTProtocolVersion
) -> mqtt.Client:
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2, client_id, protocol=protocol, reconnect_on_failure=False
    )
    client.connect_timeout = CONNECT_TIMEOUT_S
    client.max_inflight_messages = 0  # no limit in paho: the caller observes `window`
    client.on_socket_open = _disable_nagle
    # `_wait` reads before it writes: a failed write would hide the reason that the broker gave.
    client.on_socket_register_write = lambda *_: None
    client.username_pw_set(config.username, read_password(config))
    if (context := tls_context(config)) is not None:
        client.tls_set_context(context)
    if will_topic is not None:
        client.will_set(will_topic, OFFLINE, qos=1, retain=True)
    return client
