"""The web server: a thread next to recognition, which never waits for it."""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from plateid.backoff import Backoff, Outage
from plateid.config.root import Config
from plateid.core.records import Frame, Plate, PlateEvent
from plateid.errors import PlateidError
from plateid.web.connections import Certificate, http_protocol, listen
from plateid.web.live import Live

if TYPE_CHECKING:
    import uvicorn
    from starlette.applications import Starlette

    from plateid.recognition import Recognition
    from plateid.web.site import Hooks, Site

MAX_CONNECTIONS = 100
"""Maximum number of connections that get a page; further ones get status 503."""
STOP_S = 0.5
"""Longest time that a stop waits for the server's thread, seconds."""
Report = Callable[[], Mapping[str, Any]]
log = structlog.get_logger()


class WebServer:
    """Serves the web UI if `[web]` is enabled; only `show` and `publish` are thread-safe."""

    def __init__(
        self,
        config: Config,
        report: Report,
        *,
        file: Path | None = None,
        hooks: "Hooks",
        code: str = "",
        make: Callable[..., tuple["Site", "Starlette"]] | None = None,
    ) -> None:
        """Does not listen yet; pages write `file`; `code` allows the first password.

        `make` makes another site than that of a device, as `routes.make_site` does.
        """
        self._config = config
        self._report = report
        self._live = Live(config.web, [camera.name for camera in config.camera])
        self._file, self._hooks, self._code, self._make = file, hooks, code, make
        self._outage = Outage("web UI", Backoff())
        self._running: tuple[uvicorn.Server, threading.Thread] | None = None
        self._certificate = Certificate(config.web)
        self._service: Recognition | None = None
        self._site: Any = None

    @property
    def address(self) -> str:
        """URL of the web UI."""
        return self._config.web.address

    def show(self, frame: Frame, plates: Sequence[Plate]) -> None:
        """Shows a processed frame to viewers."""
        if self._config.web.enabled:
            self._live.show(frame, plates)

    def publish(self, event: PlateEvent) -> None:
        """Shows an event to viewers."""
        if self._config.web.enabled:
            self._live.publish(event)

    def attach(self, config: Config, report: Report, service: "Recognition | None" = None) -> None:
        """Serves another configuration; users stay logged in if `[web]` and `[store]` stay."""
        if (config.web, config.store) != (self._config.web, self._config.store):
            self.stop()
            self._certificate = Certificate(config.web)
        self._live.closing = True
        self._live = Live(config.web, [camera.name for camera in config.camera])
        self._config, self._report, self._service = config, report, service
        if self._site is not None:
            self._site.config, self._site.live, self._site.report = config, self._live, report
            self._site.service = service

    def use(self, config: Config) -> None:
        """Takes over a changed configuration."""
        self._config = config
        if self._site is not None:
            self._site.config = config

    def check(self) -> None:
        """Starts the server or retries, and reloads a renewed certificate. Call it periodically."""
        if not self._config.web.enabled or self._outage.wait_s:
            return
        with self._outage.noted(PlateidError):
            self._certificate.load()
            if self._running is None:
                self._start()

    def stop(self) -> None:
        """Ends all streams and stops listening."""
        self._live.closing = True
        if self._running is not None:
            server, thread = self._running
            server.should_exit = True
            thread.join(STOP_S)
            self._site.access.queue.close()
            self._running = self._site = None

    def _start(self) -> None:
        import uvicorn  # noqa: PLC0415 - slow to load, needed with [web] only

        from plateid.web.routes import make_site  # noqa: PLC0415 - as above

        self._site, app = (self._make or make_site)(
            self._config,
            self._live,
            self._report,
            file=self._file,
            hooks=self._hooks,
            code=self._code,
        )
        self._site.service = self._service
        server, web = uvicorn.Server(self._settings(app)), self._config.web
        serving = _serve(server, listen(str(web.host), web.port, web.proxy or web.ingress))
        thread = threading.Thread(target=asyncio.run, args=(serving,), name="web", daemon=True)
        thread.start()
        self._running = server, thread
        log.info("web UI started", address=self.address)

    def _settings(self, app: Any) -> "uvicorn.Config":
        import uvicorn  # noqa: PLC0415 - as above

        web = self._config.web
        settings = uvicorn.Config(
            app,
            http=http_protocol(),
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=0,
            proxy_headers=web.proxy is not None,
            forwarded_allow_ips=f"{web.proxy},::ffff:{web.proxy}",  # IPv4 at a dual-stack listener
        )
        logging.getLogger("uvicorn.error").disabled = True  # error_pages logs exceptions
        settings.load()
        settings.ssl = self._certificate.context if web.certificate_file else None
        return settings


async def _serve(server: "uvicorn.Server", listener: socket.socket) -> None:
    """Runs the server; at its end, aborts connections whose viewers did not read everything."""
    await server.serve(sockets=[listener])
    for connection in list(server.server_state.connections):
        connection.transport.abort()
    await asyncio.sleep(0)  # runs the callbacks that close the sockets
