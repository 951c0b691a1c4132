"""The web server: a thread next to recognition, which never waits for it."""

import os
import ssl
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from plateid.backoff import Backoff, Outage
from plateid.config.root import Config
from plateid.config.service import WebConfig
from plateid.core.records import Frame, Plate, PlateEvent
from plateid.errors import ConfigError, PlateidError, os_errors_as
from plateid.http_server import HttpServer, listen
from plateid.web.live import Live

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from plateid.recognition import Recognition
    from plateid.web.site import Hooks, Site

NO_PEM = "not a certificate and key in PEM form"
MAX_CONNECTIONS = 100
"""Maximum number of connections that get a page; further ones get status 503."""
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
        self._running: HttpServer | None = None
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
            self._running.stop()
            self._site.access.queue.close()
            self._running = self._site = None

    def _start(self) -> None:
        from plateid.web.routes import make_site  # noqa: PLC0415 - slow to load, for [web] only

        self._site, app = (self._make or make_site)(
            self._config,
            self._live,
            self._report,
            file=self._file,
            hooks=self._hooks,
            code=self._code,
        )
        self._site.service = self._service
        web = self._config.web
        self._running = HttpServer(
            app,
            listen(str(web.host), web.port, web.proxy or web.ingress),
            name="web",
            max_connections=MAX_CONNECTIONS,
            proxy=web.proxy,
            context=self._certificate.context if web.certificate_file else None,
        )
        log.info("web UI started", address=self.address)


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
