"""The broker of a campaign, and the witness who notes what it publishes."""

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.support.broker import Broker

SESSION_S = 0xFFFFFFFF
"""The broker keeps the witness's session for ever."""


class Witness:
    """A subscriber whose session outlives every connection, so that nothing passes it by."""

    def __init__(self, port: int, take: Callable[[bytes], None]) -> None:
        self._ready = threading.Event()
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id="witness", protocol=mqtt.MQTTv5
        )
        self._client.on_connect = lambda client, *_: client.subscribe("plateid/+/+/event", qos=1)
        self._client.on_disconnect = lambda *_: self._ready.clear()
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = lambda _, __, message: take(message.payload)
        self._client.reconnect_delay_set(1, 1)
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = SESSION_S
        self._client.connect("127.0.0.1", port, clean_start=False, properties=properties)
        self._client.loop_start()

    def wait_ready(self) -> None:
        while not self._ready.wait(1):
            pass

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class CampaignBroker:
    """A mosquitto that lets the service in only while the witness is connected.

    It writes each event to the witness before it acknowledges it. So an event that it loses was
    never acknowledged, however it dies.
    """

    def __init__(self, folder: Path, take: Callable[[bytes], None]) -> None:
        self._broker = Broker(folder)
        self._broker.options = (
            f"persistence true\npersistence_location {folder}/\nautosave_interval 1\n"
            "autosave_on_changes true\nmax_inflight_messages 0\nmax_queued_messages 0\n"
        )
        self.port = self._broker.port
        self._broker.start()
        self._witness = Witness(self.port, take)
        self._witness.wait_ready()
        self._broker.set_passwords(plateid="right")

    def end(self, number: signal.Signals) -> None:
        """Ends the process; what was acknowledged waits in the file or reached the witness."""
        if number != signal.SIGKILL:
            self._broker.signal(number)
            time.sleep(0.5)
        self._broker.kill()

    def start(self) -> None:
        self._broker.set_passwords()
        self._broker.start()
        self._witness.wait_ready()
        self._broker.set_passwords(plateid="right")

    def signal(self, number: signal.Signals) -> None:
        self._broker.signal(number)

    def close(self) -> None:
        self._witness.close()
        self._broker.close()
