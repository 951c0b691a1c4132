"""An MQTT subscriber on the host that reconnects when the device is back."""

import json
import ssl
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion


class Subscriber:
    """A subscriber with a persistent session, like a logger.

    Attributes:
        events: Received events by id.
    """

    def __init__(self, port: int, authority: Path) -> None:
        self.events: dict[str, dict[str, Any]] = {}
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id="logger", clean_session=False
        )
        self._client.username_pw_set("host", "word")
        self._client.tls_set(ca_certs=str(authority), tls_version=ssl.PROTOCOL_TLS_CLIENT)
        self._client.on_connect = lambda client, *_: client.subscribe("plateid/+/+/event", qos=1)
        self._client.on_message = self._take
        self._client.reconnect_delay_set(1, 2)
        self._client.connect_async("127.0.0.1", port, keepalive=30)
        self._client.loop_start()

    def plates(self) -> set[str]:
        return {event["plate"] for event in self.events.values()}

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _take(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        event = json.loads(message.payload)
        self.events[event["id"]] = event
