"""A service manager, as far as sd_notify(3) needs one."""

import socket

import pytest


class Manager:
    """Hears what it is told."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.settimeout(20)

    def hear(self) -> dict[str, str]:
        """The next message; blocks."""
        lines = self._socket.recv(4096).decode().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def until(self, **wanted: str) -> list[dict[str, str]]:
        """All messages, up to the first whose values begin so."""
        heard = [self.hear()]
        while not all(heard[-1].get(key, "").startswith(value) for key, value in wanted.items()):
            heard.append(self.hear())
        return heard

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path, monkeypatch):
    """The one that started this process."""
    made = Manager(str(tmp_path / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    yield made
    made.close()
