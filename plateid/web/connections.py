"""The connections of the web server: limits on open, idle and stalled ones; the TLS certificate."""

import asyncio
import os
import socket
import ssl
from collections.abc import Collection
from pathlib import Path
from typing import Any

from plateid.config.service import WebConfig
from plateid.errors import ConfigError, PlateidError, os_errors_as
from plateid.web.throttle import network_of

MAX_OPEN = 150
"""Maximum number of open TCP connections, also those without a request yet. Further ones are
closed: recognition needs file descriptors as well."""
MAX_OPEN_OF_ADDRESS = 60
"""Maximum number of open connections of an address, or of an IPv6 /64. The reverse proxy is exempt:
it connects for all users."""
STALLED_MS = 15_000
"""Time after which the kernel closes a connection whose peer takes no data, milliseconds."""
KEEP_ALIVE_S = 60
"""Interval of TCP keep-alive probes on idle connections, seconds."""
SEND_BUFFER_BYTES = 1 << 17
"""Size of the kernel's send buffer: two or three images, so that viewers do not lag behind."""
REQUEST_HEADER_TIMEOUT_S = 10.0
"""Time-out for the header of the first and of each later request on a connection, seconds."""
NO_PEM = "not a certificate and key in PEM form"


def listen(host: str, port: int, proxy: object = None) -> socket.socket:
    """Returns a listening socket with these limits; raises PlateidError if the address is taken."""
    listener = _Listener(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.exempt = {network_of(str(proxy)), f"::ffff:{proxy}"}
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALLED_MS)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEP_ALIVE_S)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise PlateidError(f"{host}:{port}", error.strerror) from error
    return listener


class _Listener(socket.socket):
    """A listening socket of `MAX_OPEN` connections; `exempt` ones have no limit of an address."""

    exempt: Collection[str] = ()

    def __init__(self, family: socket.AddressFamily) -> None:
        super().__init__(family)
        self._open: dict[socket.socket, str] = {}

    def accept(self) -> tuple[socket.socket, Any]:
        """Accepts a connection; at a limit raises ConnectionAbortedError, which asyncio ignores."""
        connection, address = super().accept()
        # closed sockets have the file descriptor -1
        self._open = {each: of for each, of in self._open.items() if each.fileno() >= 0}
        network = network_of(address[0])
        own = 0 if network in self.exempt else list(self._open.values()).count(network)
        if len(self._open) >= MAX_OPEN or own >= MAX_OPEN_OF_ADDRESS:
            connection.close()
            raise ConnectionAbortedError
        self._open[connection] = network
        return connection, address


def http_protocol() -> type[asyncio.Protocol]:
    """Returns uvicorn's HTTP/1.1 protocol with a time-out for request headers."""
    from uvicorn.protocols.http.h11_impl import H11Protocol  # noqa: PLC0415 - slow to load

    class HeaderTimeoutProtocol(H11Protocol):
        """Aborts a connection whose next request header does not arrive in time."""

        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            """Starts the time-out for the first request."""
            super().connection_made(transport)
            self._restart_timer()

        def on_response_complete(self) -> None:
            """Starts the time-out for the next request."""
            self._restart_timer()
            super().on_response_complete()

        def _restart_timer(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self.loop.call_later(REQUEST_HEADER_TIMEOUT_S, self._on_timeout)

        def _on_timeout(self) -> None:
            if self.cycle is None or self.cycle.response_complete:
                self.transport.abort()

    return HeaderTimeoutProtocol


class Certificate:
    """The certificate and key files of `[web]`, and the TLS context for them."""

    def __init__(self, web: WebConfig) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        keys = ("certificate_file", "key_file")
        self._files = {key: file for key in keys if (file := getattr(web, key))}
        self._loaded: list[tuple[int, int]] = []

    def load(self) -> None:
        """Loads changed files for new connections; raises ConfigError if they are wrong."""
        found = [_version(key, file) for key, file in self._files.items()]
        if found == self._loaded:
            return
        certificate, key = self._files["certificate_file"], self._files.get("key_file")
        try:  # a new context first: a failed load would leave `context` with half of the pair
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
            self.context.load_cert_chain(certificate, key, password="")
        except ssl.SSLError as error:
            reason = (error.reason or "").replace("_", " ").lower() or NO_PEM
            names = ", ".join(map(str, self._files.values()))
            raise ConfigError("web.certificate_file", f"{names}: {reason}") from error
        except OSError as error:
            raise ConfigError("web.certificate_file", f"{certificate}: {error.strerror}") from error
        self._loaded = found


def _version(key: str, file: Path) -> tuple[int, int]:
    with os_errors_as(ConfigError, f"web.{key}: {file}"), file.open("rb") as opened:
        status = os.fstat(opened.fileno())
    return status.st_ino, status.st_mtime_ns
