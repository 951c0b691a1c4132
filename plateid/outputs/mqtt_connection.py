"""One connection to the MQTT broker, from CONNECT to its end."""

import re
import select
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as mqtt
import structlog
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from plateid.config.outputs import MqttConfig
from plateid.errors import BrokerError, reason_of
from plateid.outputs.mqtt_credentials import read_password, tls_context, tls_reason
from plateid.outputs.self_pipe import Wake

KEEPALIVE_S = 30
CONNECT_TIMEOUT_S = 5.0
WINDOW = 20
"""Messages that may wait for their PUBACK at one time; a broker may allow fewer."""
MAX_PACKET_BYTES = 65536
"""What we subscribe to is short; a broker of MQTT 5 keeps longer messages to itself."""
LONGEST_PACKET_BYTES = 268_435_455
"""By the protocol."""
ONLINE, OFFLINE = "online", "offline"
log = structlog.get_logger()


class UnknownProtocolError(BrokerError):
    """The broker does not know this version of MQTT."""


@dataclass(frozen=True)
class Ack:
    """The broker's answer to one message.

    Attributes:
        message: What `Connection.publish` gave.
        failure: Why the broker refuses it; None when the broker has it.
    """

    message: int
    failure: str | None


@dataclass(frozen=True)
class Message:
    """What came from a topic that we subscribe to.

    Attributes:
        payload: Anything at all: whoever may publish there wrote it.
        retained: Whether it is older than our subscription.
    """

    payload: bytes
    retained: bool


class Connection:
    """An established connection; all calls come from one thread.

    Attributes:
        window: Messages that the broker allows to be unacknowledged at one time.
        max_packet_bytes: The longest message that it takes, its header included.
    """

    def __init__(
        self,
        config: MqttConfig,
        client_id: str,
        *,
        wake: Wake,
        will_topic: str | None = None,
        protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv5,
    ) -> None:
        """Connects.

        `will_topic` gets a retained `offline` when the connection ends without `disconnect`.

        Raises:
            BrokerError: The broker cannot be reached, refuses us, or does not answer in time.
        """
        self.window = WINDOW
        self.max_packet_bytes = LONGEST_PACKET_BYTES
        self._endpoint = f"{config.host}:{config.port}"
        self._wake = wake
        self._user = config.username
        unset = [key for key in ("tls", "certificate_file") if not getattr(config, key)]
        hint = f"; mqtt.{unset[0]} is not set" if unset else ""
        self._lost = f"it hangs up without an answer{hint}"
        self._awaited: set[int] = set()
        self._acks: list[Ack] = []
        self._messages: list[Message] = []
        self._established = False
        self._alert: str | None = None
        self._end: str | None = None
        self._client = _client(config, client_id, will_topic, protocol)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.on_log = self._on_log
        limited = will_topic is not None and protocol == MQTTProtocolVersion.MQTTv5
        self._connect(config, properties=_limits() if limited else None)
        self._await_answer()

    def publish(self, topic: str, payload: str | bytes, *, qos: int, retain: bool) -> int:
        """Has `poll` send a message; gives the number that its `Ack` will bear, if `qos` is 1."""
        message = self._client.publish(topic, payload, qos=qos, retain=retain).mid
        if qos:
            self._awaited.add(message)
        return message

    def subscribe(self, topic: str) -> None:
        """Asks for a topic: its messages come with `take_messages`."""
        self._client.subscribe(topic, qos=1)

    def take_messages(self) -> list[Message]:
        """What the last `poll` brought."""
        messages, self._messages = self._messages, []
        return messages

    def poll(self, timeout_s: float) -> list[Ack]:
        """Waits for the network, `Wake`, or the time to pass; gives what the broker answered.

        Raises:
            BrokerError: The connection has ended.
        """
        self._wait(timeout_s)
        if self._end is not None and not self._acks:
            raise BrokerError(self._endpoint, self._end)
        acks, self._acks = self._acks, []
        return acks

    def disconnect(self) -> None:
        """Says good-bye: the broker keeps the last will to itself."""
        self._client.disconnect()
        self._client.loop_write()

    def close(self) -> None:
        """Hangs up; without `disconnect` before, the broker publishes the last will."""
        if (sock := self._client.socket()) is not None:
            sock.close()

    def _connect(self, config: MqttConfig, *, properties: Properties | None) -> None:
        try:
            self._client.connect(config.host, config.port, KEEPALIVE_S, properties=properties)
        except ssl.SSLError as error:
            raise BrokerError(self._endpoint, tls_reason(error)) from error
        except (OSError, UnicodeError) as error:
            reason = reason_of(error)
            raise BrokerError(self._endpoint, reason) from error

    def _await_answer(self) -> None:
        deadline = time.monotonic() + CONNECT_TIMEOUT_S
        while not self._established and self._end is None:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or self._wake.stopping:
                self.close()
                raise BrokerError(self._endpoint, "timed out: it accepts but does not answer")
            self._wait(left_s)
        if self._end == "Unsupported protocol version":
            raise UnknownProtocolError(self._endpoint, self._end)
        if self._end is not None:
            raise BrokerError(self._endpoint, self._end)

    def _wait(self, timeout_s: float) -> None:
        client = self._client
        sock = client.socket()
        if sock is None:
            return
        writers = [sock.fileno()] if client.want_write() else []
        readers = [sock.fileno(), self._wake.fileno()]
        buffered = isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
        readable, writable, _ = select.select(readers, writers, [], 0 if buffered else timeout_s)
        if readers[1] in readable:
            self._wake.clear()
        if buffered or readers[0] in readable:
            client.loop_read()
        if writable:
            client.loop_write()
        client.loop_misc()

    def _on_connect(
        self, _: Any, __: Any, ___: Any, reason: ReasonCode, properties: Properties | None
    ) -> None:
        self._established = not reason.is_failure
        self._lost = "connection lost"
        if reason in ("Bad user name or password", "Not authorized"):
            self._end = f"{reason}: {f'user {self._user}' if self._user else 'no mqtt.username'}"
        elif reason.is_failure:
            self._end = str(reason)
        self.window = min(WINDOW, getattr(properties, "ReceiveMaximum", WINDOW))
        self.max_packet_bytes = getattr(properties, "MaximumPacketSize", LONGEST_PACKET_BYTES)

    def _on_disconnect(
        self, _: Any, __: Any, flags: mqtt.DisconnectFlags, reason: ReasonCode, ___: Any
    ) -> None:
        told = flags.is_disconnect_packet_from_server or reason == "Keep alive timeout"
        self._end = self._end or (str(reason) if told else self._alert or self._lost)

    def _on_publish(self, _: Any, __: Any, message: int, reason: ReasonCode, ___: Any) -> None:
        """The broker has a message; of one at QoS 0, that it was written is all that is known."""
        if message in self._awaited:
            self._awaited.remove(message)
            self._acks.append(Ack(message, str(reason) if reason.is_failure else None))

    def _on_log(self, _: Any, __: Any, ___: int, text: str) -> None:
        """What the broker dislikes of our certificate, it says after the handshake of TLS 1.3."""
        if alert := re.search(r"\[SSL: (\w+)\]", text):
            self._alert = f"TLS: {alert[1].replace('_', ' ').lower()}"

    def _on_subscribe(
        self, _: Any, __: Any, ___: Any, reasons: list[ReasonCode], ____: Any
    ) -> None:
        for reason in reasons:
            if reason.is_failure:
                log.warning("broker refuses subscription", reason=str(reason))

    def _on_message(self, _: Any, __: Any, message: mqtt.MQTTMessage) -> None:
        self._messages.append(Message(bytes(message.payload), message.retain))


def newest_protocol(config: MqttConfig, client_id: str, wake: Wake) -> MQTTProtocolVersion:
    """MQTT 5, or 3.1.1 where the broker knows nothing newer; connects and disconnects to find out.

    Without last will and limits: amqtt does not answer a CONNECT of version 5 that has them.

    Raises:
        BrokerError: The broker cannot be reached, refuses us, or does not answer in time.
    """
    newest = MQTTProtocolVersion.MQTTv5
    try:
        connection = Connection(config, client_id, wake=wake)
    except UnknownProtocolError:
        newest = MQTTProtocolVersion.MQTTv311
        connection = Connection(config, client_id, wake=wake, protocol=newest)
    connection.disconnect()
    connection.close()
    return newest


def _limits() -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.MaximumPacketSize = MAX_PACKET_BYTES
    return properties


def _without_delay(_client: mqtt.Client, _data: object, connection: Any) -> None:
    """Nagle's algorithm would hold an event back for 40 ms, until a snapshot is acknowledged."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _client(
    config: MqttConfig, client_id: str, will_topic: str | None, protocol: MQTTProtocolVersion
) -> mqtt.Client:
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2, client_id, protocol=protocol, reconnect_on_failure=False
    )
    client.connect_timeout = CONNECT_TIMEOUT_S
    client.max_inflight_messages = 0  # the caller keeps to `window`
    client.on_socket_open = _without_delay
    # `_wait` writes, after it has read: a failed write would end the connection before what
    # the broker said when it hung up.
    client.on_socket_register_write = lambda *_: None
    client.username_pw_set(config.username, read_password(config))
    if (context := tls_context(config)) is not None:
        client.tls_set_context(context)
    if will_topic is not None:
        client.will_set(will_topic, OFFLINE, qos=1, retain=True)
    return client
