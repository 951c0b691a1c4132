"""A real mosquitto, and a client that hears what it publishes."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, cycle
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from plateid.config.outputs import MqttConfig

TIMEOUT_S = 20.0
_FIRST, _START, _END = 10_000, 10_000 + os.getpid() * 101 % 20_000, 30_000
_PORTS = cycle(chain(range(_START, _END), range(_FIRST, _START)))
"""Ports below those of outgoing connections, from another one in each process that tests."""


def until(condition: Callable[[], Any], timeout_s: float = TIMEOUT_S) -> None:
    """Waits for a condition."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.005)


def free_port() -> int:
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Different ones."""
    found: list[int] = []
    while len(found) < count:
        port = next(_PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.append(port)
    return found


@contextmanager
def running(module: str, *arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """A process of its own, killed at the end."""
    command = [sys.executable, "-m", f"tests.support.{module}", *map(str, arguments)]
    with subprocess.Popen(command) as process:
        try:
            yield process
        finally:
            process.kill()


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Broker:
    """A mosquitto that may be killed, stopped and started again on the same port."""

    def __init__(self, folder: Path) -> None:
        self.options = ""
        self.tls = ""
        self.port, self.tls_port = free_ports(2)
        self._config = folder / "mosquitto.conf"
        self._log = folder / "mosquitto.log"
        self._passwords = folder / "passwords"
        self._rules = folder / "rules"
        self._process: subprocess.Popen[bytes] | None = None
        self.set_passwords()
        self.set_rules("topic readwrite #\npattern readwrite #")

    @property
    def config(self) -> MqttConfig:
        return MqttConfig(port=self.port)

    def start(self) -> None:
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nuser root\n"
            f"password_file {self._passwords}\nacl_file {self._rules}\n{self.options}\n"
            + (f"listener {self.tls_port} 127.0.0.1\n{self.tls}" if self.tls else "")
        )
        command = ["/usr/sbin/mosquitto", "-c", str(self._config)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until(self._listens)

    def set_passwords(self, **passwords: str) -> None:
        """The users that are let in, besides those without a name."""
        self._passwords.write_text("")
        self._passwords.chmod(0o600)
        for user, password in passwords.items():
            command = ["mosquitto_passwd", "-b", str(self._passwords), user, password]
            subprocess.run(command, check=True, capture_output=True)
        self._reload()

    def set_rules(self, rules: str) -> None:
        """Who may do what; see mosquitto.conf(5), acl_file."""
        self._rules.write_text(rules)
        self._rules.chmod(0o600)
        self._reload()

    def kill(self) -> None:
        """As `kill -9` does."""
        self.signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()
        self._process = None

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    @property
    def pids(self) -> list[int]:
        assert self._process is not None
        return [self._process.pid]

    def log(self) -> str:
        return self._log.read_text()

    def close(self) -> None:
        if self._process is not None:
            self.kill()

    def _reload(self) -> None:
        if self._process is not None:
            self.signal(signal.SIGHUP)

    def _listens(self) -> bool:
        return all(is_open(port) for port in (self.port, *([self.tls_port] if self.tls else ())))


class Subscriber:
    """Remembers every message, in order, and connects again when the broker was away."""

    def __init__(self, port: int, topic: str = "plateid/#") -> None:
        self.messages: list[mqtt.MQTTMessage] = []
        self._topic = topic
        self._ready = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.on_connect = self._subscribe
        self._client.on_disconnect = lambda *_: self._ready.clear()
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = lambda _, __, message: self.messages.append(message)
        self._client.reconnect_delay_set(0.05, 0.2)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self.wait_ready()

    def _subscribe(self, *_: object) -> None:
        # QoS 0: the broker writes to us before it acknowledges; its death takes nothing along.
        self._client.subscribe(self._topic, qos=0)

    def wait_ready(self) -> None:
        assert self._ready.wait(TIMEOUT_S)

    def wait_lost(self) -> None:
        until(lambda: not self._ready.is_set())

    def of(self, ending: str) -> list[mqtt.MQTTMessage]:
        """The messages whose topic ends like this."""
        return [message for message in [*self.messages] if message.topic.endswith(ending)]

    def texts(self, ending: str) -> list[str]:
        return [message.payload.decode() for message in self.of(ending)]

    def events(self, ending: str = "/event") -> list[dict[str, Any]]:
        return [json.loads(text) for text in self.texts(ending)]

    def seqs(self) -> list[int]:
        return [event["seq"] for event in self.events()]

    def publish(self, topic: str, payload: str | bytes, *, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(TIMEOUT_S)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        del self._client  # its sockets are closed with it, not when cycles are collected
