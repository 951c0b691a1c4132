"""Fixtures for tests of the service: a service manager that receives sd_notify(3) messages."""

import socket
from contextlib import closing

import pytest


class Manager:
    """A service manager that receives messages at NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.settimeout(20)

    def receive(self) -> dict[str, str]:
        """Waits for the next message; returns its fields."""
        lines = self._socket.recv(4096).decode().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def receive_until(self, **wanted: str) -> list[dict[str, str]]:
        """Returns all messages up to the first whose fields begin with the wanted values."""
        received = [self.receive()]
        while not all(received[-1].get(key, "").startswith(v) for key, v in wanted.items()):
            received.append(self.receive())
        return received

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path, monkeypatch):
    """The service manager of this process."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with closing(Manager(str(tmp_path / "notify"))) as made:
        yield made
