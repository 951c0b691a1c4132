"""The web server: a thread of its own beside the recognition, which never waits for it."""

import asyncio
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from plateid.backoff import Backoff, Outage
from plateid.config.root import Config
from plateid.core.records import Frame, Plate, PlateEvent
from plateid.errors import PlateidError, StoreError, reason_of
from plateid.store.labels import Labels
from plateid.web.certificate import Certificate
from plateid.web.live import Live

if TYPE_CHECKING:
    import uvicorn

MAX_CONNECTIONS = 100
"""That are answered; more are told to come again."""
MOST_OPEN = 150
"""Connections in all; more are hung up on, since file descriptors are for the recognition, too."""
STUCK_MS = 15_000
"""A viewer that takes nothing for so long is cut off by the kernel."""
KEEP_ALIVE_S = 60
"""One to whom there is nothing to send is asked so often whether it is there."""
SEND_BYTES = 1 << 17
"""That wait for a viewer in the kernel: two or three pictures, not megabytes of old ones."""
QUIET_S = 10.0
"""A client has so long to ask for something, and then for something else."""
STOP_S = 0.5
FORGET_S = 600.0
log = structlog.get_logger()


class WebServer:
    """Serves the page where `[web]` says so; calls but `show` and `tell` come from one thread.

    `show` and `tell` cost the recognition a reference each.
    """

    def __init__(
        self,
        config: Config,
        report: Callable[[], Mapping[str, Any]],
        *,
        file: Path | None = None,
        reload: Callable[[], None] = lambda: None,
    ) -> None:
        """Does not listen yet.

        Args:
            config: Of the whole box.
            report: Gives what the health topic says.
            file: Where the configuration came from, to write a camera's view back.
            reload: Called when that was done.
        """
        self._config = config
        self._enabled = config.web.enabled
        self._live = Live(config.web, [camera.name for camera in config.camera])
        self._parts = report, file, reload
        self._outage = Outage("live page", Backoff())
        self._running: tuple[uvicorn.Server, threading.Thread] | None = None
        self._certificate = Certificate(config.web)
        self._context: ssl.SSLContext | None = None
        self._site: Any = None
        self._forget_at = 0.0

    def show(self, frame: Frame, plates: Sequence[Plate]) -> None:
        """A frame was looked at."""
        if self._enabled:
            self._live.show(frame, plates)

    def tell(self, event: PlateEvent) -> None:
        """There is another event."""
        if self._enabled:
            self._live.tell(event)

    def use(self, config: Config) -> None:
        """The configuration has changed."""
        self._config = config
        if self._site is not None:
            self._site.config = config

    def check(self) -> None:
        """Listens, as soon as that is possible, with the present certificate; for now and then."""
        if time.monotonic() >= self._forget_at:
            self._forget_at = time.monotonic() + FORGET_S
            self._forget()
        if not self._enabled or self._outage.wait_s:
            return
        try:
            if self._running is None:
                self._start()
            elif self._context is not None:
                self._certificate.load(self._context)
        except PlateidError as error:
            self._outage.failed(error)
        else:
            self._outage.recovered()

    def stop(self) -> None:
        """Ends all streams and listens no more; does not wait for it."""
        self._live.closing = True
        if self._running is not None:
            server, thread = self._running
            server.should_exit = True
            thread.join(STOP_S)

    def _forget(self) -> None:
        """Labels are kept no longer than events, page or not."""
        try:
            Labels(self._config.store.path).forget()
        except StoreError as error:
            log.warning("labels not looked through", reason=str(error))

    def _start(self) -> None:
        import uvicorn  # noqa: PLC0415 - loads slowly, for those who want the page only

        from plateid.web.pages import make_site  # noqa: PLC0415 - as above

        report, file, reload = self._parts
        self._site, app = make_site(self._config, self._live, report, file=file, reload=reload)
        web = self._config.web
        settings = uvicorn.Config(
            app,
            http=_protocol(),
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=0,
            proxy_headers=web.proxy is not None,
            forwarded_allow_ips=f"{web.proxy},::ffff:{web.proxy}",  # as a listener for both sees it
            ssl_certfile=web.certificate_file,
            ssl_keyfile=web.key_file,
        )
        logging.getLogger("uvicorn.error").disabled = True  # what pages raise, they log themselves
        self._certificate.load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))  # its errors name the file
        try:
            settings.load()
        except (OSError, ssl.SSLError) as error:  # it is renewed at this moment
            raise PlateidError(web.certificate_file, reason_of(error)) from error
        self._context = settings.ssl
        listener = listening(str(web.host), web.port)
        server = uvicorn.Server(settings)
        thread = threading.Thread(
            target=lambda: asyncio.run(server.serve(sockets=[listener])), name="web", daemon=True
        )
        thread.start()
        self._running = server, thread
        scheme = "https" if web.certificate_file else "http"
        host = f"[{web.host}]" if web.host.version == 6 else str(web.host)  # noqa: PLR2004
        log.info("live page", address=f"{scheme}://{host}:{web.port}")


def listening(host: str, port: int) -> socket.socket:
    """A socket whose connections end when the other side takes nothing for STUCK_MS (tcp(7)).

    Raises:
        PlateidError: The address cannot be had.
    """
    listener = _Listener(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STUCK_MS)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEP_ALIVE_S)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise PlateidError(f"{host}:{port}", error.strerror) from error
    return listener


class _Listener(socket.socket):
    """Has MOST_OPEN connections at once, those included that never come to TLS or HTTP."""

    def __init__(self, family: socket.AddressFamily) -> None:
        super().__init__(family)
        self._open: set[socket.socket] = set()

    def accept(self) -> tuple[socket.socket, Any]:
        """As of any socket; asyncio goes on after a connection that was aborted."""
        connection, address = super().accept()
        self._open = {each for each in self._open if each.fileno() >= 0}
        if len(self._open) >= MOST_OPEN:
            connection.close()
            raise ConnectionAbortedError
        self._open.add(connection)
        return connection, address


def _protocol() -> type[asyncio.Protocol]:
    """HTTP/1.1 by h11, for clients that ask soon."""
    from uvicorn.protocols.http.h11_impl import H11Protocol  # noqa: PLC0415 - as above

    class Impatient(H11Protocol):
        """Hangs up on who does not send a whole request head, the first or a later one."""

        _quiet: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            """A client is there."""
            super().connection_made(transport)
            self._wait()

        def on_response_complete(self) -> None:
            """An answer was given."""
            self._wait()
            super().on_response_complete()

        def _wait(self) -> None:
            if self._quiet is not None:
                self._quiet.cancel()
            self._quiet = self.loop.call_later(QUIET_S, self._check)

        def _check(self) -> None:
            if self.cycle is None or self.cycle.response_complete:
                self.transport.abort()

    return Impatient
