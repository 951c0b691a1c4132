"""One connection to the MQTT broker, from CONNECT to its end."""

import select
import time
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from plateid.config import MqttConfig
from plateid.errors import BrokerError
from plateid.events.wake import Wake

KEEPALIVE_S = 30
CONNECT_TIMEOUT_S = 5.0
WINDOW = 20
"""Messages that may wait for their PUBACK at one time; a broker may allow fewer."""
ONLINE, OFFLINE = "online", "offline"


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


class Connection:
    """An established connection; all calls come from one thread.

    Attributes:
        window: Messages that the broker allows to be unacknowledged at one time.
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
        self._endpoint = f"{config.host}:{config.port}"
        self._wake = wake
        self._acks: list[Ack] = []
        self._established = False
        self._end: str | None = None
        self._client = _client(config, client_id, will_topic, protocol)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        try:
            self._client.connect(config.host, config.port, KEEPALIVE_S)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise BrokerError(self._endpoint, reason) from error
        self._await_answer()

    def publish(self, topic: str, payload: str, *, qos: int, retain: bool) -> int:
        """Sends a message and gives the number that its `Ack` will bear, if `qos` is 1."""
        return self._client.publish(topic, payload, qos=qos, retain=retain).mid

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

    def close(self) -> None:
        """Hangs up; without `disconnect` before, the broker publishes the last will."""
        if (sock := self._client.socket()) is not None:
            sock.close()

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
        readable, writable, _ = select.select(readers, writers, [], timeout_s)
        if readers[1] in readable:
            self._wake.clear()
        if readers[0] in readable:
            client.loop_read()
        if writable:
            client.loop_write()
        client.loop_misc()

    def _on_connect(
        self, _: Any, __: Any, ___: Any, reason: ReasonCode, properties: Properties | None
    ) -> None:
        self._established = not reason.is_failure
        self._end = str(reason) if reason.is_failure else None
        self.window = min(WINDOW, getattr(properties, "ReceiveMaximum", WINDOW))

    def _on_disconnect(
        self, _: Any, __: Any, flags: mqtt.DisconnectFlags, reason: ReasonCode, ___: Any
    ) -> None:
        told = flags.is_disconnect_packet_from_server or reason == "Keep alive timeout"
        self._end = self._end or (str(reason) if told else "connection lost")

    def _on_publish(self, _: Any, __: Any, message: int, reason: ReasonCode, ___: Any) -> None:
        self._acks.append(Ack(message, str(reason) if reason.is_failure else None))


def newest_protocol(config: MqttConfig, client_id: str, wake: Wake) -> MQTTProtocolVersion:
    """MQTT 5, or 3.1.1 where the broker knows nothing newer; connects and disconnects to find out.

    Without a last will: amqtt does not answer a CONNECT of version 5 that has one.

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


def _client(
    config: MqttConfig, client_id: str, will_topic: str | None, protocol: MQTTProtocolVersion
) -> mqtt.Client:
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2, client_id, protocol=protocol, reconnect_on_failure=False
    )
    client.connect_timeout = CONNECT_TIMEOUT_S
    client.max_inflight_messages = 0  # the caller keeps to `window`
    client.username_pw_set(config.username, _password(config))
    if will_topic is not None:
        client.will_set(will_topic, OFFLINE, qos=1, retain=True)
    return client


def _password(config: MqttConfig) -> str | None:
    if config.password_file is None:
        return None
    try:
        return config.password_file.read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise BrokerError(config.password_file, f"password file: {reason}") from error
