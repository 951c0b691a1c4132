"""HTTP servers in threads of their own, with limits on open, idle and stalled connections."""

import asyncio
import ipaddress
import logging
import socket
import ssl
import threading
from collections.abc import Collection
from contextlib import suppress
from typing import Any

from plateid.errors import PlateidError

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
STOP_S = 0.5
"""Longest time that a stop waits for the server's thread, seconds."""


class HttpServer:
    """Serves an ASGI application until `stop`."""

    def __init__(
        self,
        app: Any,
        listener: socket.socket,
        *,
        name: str,
        max_connections: int,
        proxy: object = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        """Starts a thread of this name, which serves what `listen` returned.

        Beyond `max_connections`, requests get status 503. The headers of a `proxy` name its client.
        """
        import uvicorn  # noqa: PLC0415 - slow to load, not every device needs it

        settings = uvicorn.Config(
            app,
            http=_http_protocol(),
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=max_connections + 1,  # it counts the one that asks
            timeout_graceful_shutdown=0,
            proxy_headers=proxy is not None,
            forwarded_allow_ips=f"{proxy},::ffff:{proxy}",  # IPv4 at a dual-stack listener
        )
        logging.getLogger("uvicorn.error").disabled = True  # the application logs exceptions
        settings.load()
        settings.ssl = context
        self._server = uvicorn.Server(settings)
        serving = self._serve(listener)
        self._thread = threading.Thread(target=asyncio.run, args=(serving,), name=name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stops listening, and ends all requests."""
        self._server.should_exit = True
        self._thread.join(STOP_S)

    async def _serve(self, listener: socket.socket) -> None:
        """Runs the server; at its end, aborts connections whose clients did not read everything."""
        await self._server.serve(sockets=[listener])
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # runs the callbacks that close the sockets


def listen(host: str, port: int, exempt: object = None) -> socket.socket:
    """Returns a listening socket with these limits; raises PlateidError if the address is taken.

    The address `exempt`, such as a reverse proxy, may have any number of connections.
    """
    listener = _Listener(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.exempt = {network_of(str(exempt)), f"::ffff:{exempt}"}
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


def _http_protocol() -> type[asyncio.Protocol]:
    """Returns uvicorn's HTTP/1.1 protocol with a time-out for request headers."""
    from uvicorn.protocols.http.h11_impl import H11Protocol  # noqa: PLC0415 - slow to load

    class HeaderTimeoutProtocol(H11Protocol):
        """Aborts a connection whose next request header does not arrive in time."""

        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._restart_timer()

        def on_response_complete(self) -> None:
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


def network_of(address: str) -> str:
    """Returns the /64 of an IPv6 address, and any other address unchanged."""
    host = address.partition("%")[0]
    with suppress(ValueError):
        if ipaddress.IPv6Address(host).ipv4_mapped is None:
            return str(ipaddress.IPv6Network((host, 64), strict=False))
    return address
