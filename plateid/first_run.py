"""Runs the service; without a configuration, the web UI writes one first."""

import os
import secrets
import socket
from collections.abc import Callable
from pathlib import Path

import structlog

from plateid.app import TICK_S, App
from plateid.config.load import load_config
from plateid.config.root import Config
from plateid.config.service import WebConfig
from plateid.config.storage import StoreConfig
from plateid.device_checks import hooks_of
from plateid.errors import ConfigError
from plateid.files import is_replaceable
from plateid.service.health_report import idle_report
from plateid.service.supervisor import Request, Supervisor
from plateid.service.systemd import Notifier
from plateid.web.server import WebServer

PORTS = 100
"""Number of ports that are tried if the wanted one is taken."""
CODE_CHARACTERS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
"""Characters of a set-up code: none that people confuse."""
CODE_LENGTH = 10
"""Length of a set-up code: 49 bits, and a client may try one a minute."""
log = structlog.get_logger()


def run_service(file: Path, supervisor: Supervisor) -> None:
    """Runs the service of a file, and the next one after a restart; raises PlateidError."""
    config = load_config(file)
    _run(config, file, supervisor, _server(config, file, supervisor))


def set_up_and_run(
    file: Path, supervisor: Supervisor, web: WebConfig, *, tell: Callable[[str], None]
) -> None:
    """Serves the web UI at `web` until it has written `file`; then runs the service.

    `tell` gets the address, and the code that other devices need. Raises ConfigError if the file
    cannot be written.
    """
    file = file.resolve()
    if not is_replaceable(file):
        raise ConfigError(file, "does not exist, and its folder cannot be written")
    port = next_free_port(str(web.host), web.port)
    web = web.model_copy(update={"enabled": True, "port": port})
    config = Config(web=web, store=StoreConfig(path=file.with_name("plateid.sqlite3")))
    code = "".join(secrets.choice(CODE_CHARACTERS) for _ in range(CODE_LENGTH))
    server = _server(config, file, supervisor, code=code if web.needs_password else "")
    server.check()
    tell(f"web UI: {web.browser_address}")
    if web.needs_password:
        tell(f"set-up code: {code}")
    if _is_set_up(file, server, supervisor):
        _run(load_config(file), file, supervisor, server)


def next_free_port(host: str, first: int) -> int:
    """Returns the first free TCP port of an address; logs each that is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in range(first, min(first + PORTS, 65_535)):
        try:
            socket.create_server((host, port), family=family).close()
        except OSError as error:
            log.warning("port cannot be used", address=f"{host}:{port}", reason=error.strerror)
        else:
            return port
    return first


def _server(config: Config, file: Path, supervisor: Supervisor, *, code: str = "") -> WebServer:
    report = idle_report(camera.name for camera in config.camera)
    return WebServer(config, report, file=file, hooks=hooks_of(supervisor), code=code)


def _run(config: Config, file: Path, supervisor: Supervisor, server: WebServer) -> None:
    while App(config, supervisor, file=file, web=server).run():
        config = load_config(file)


def _is_set_up(file: Path, server: WebServer, supervisor: Supervisor) -> bool:
    """Serves the set-up until it has written a configuration; False if it is stopped before."""
    notifier = Notifier(os.environ.get("NOTIFY_SOCKET", ""))
    notifier.ready()
    while supervisor.wait(timeout_s=TICK_S) is not Request.STOP:
        if file.exists():  # a page has written it, and requests a reload or a restart
            return True
        server.check()
        notifier.alive("waits for its set-up in the web UI")
    server.stop()
    return False
