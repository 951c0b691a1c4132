"""`plateid check`: tests everything that the service needs, and prints one line for each test."""

import errno
import functools
import os
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import click

from plateid.bundles.backend_choice import load_networks
from plateid.capture.stream import probe
from plateid.commands.options import CONFIG, run_check
from plateid.config.cameras import CameraConfig
from plateid.config.load import expected_formats, formats_of, load_config
from plateid.config.outputs import MqttConfig, WebhookConfig
from plateid.config.root import Config
from plateid.core.wording import counted
from plateid.device_checks import frames_per_second
from plateid.errors import OutputError, ServiceError, StoreError, os_errors_as, printable
from plateid.outputs.mqtt import check_broker
from plateid.outputs.webhook import Webhook
from plateid.service.gps import Gpsd
from plateid.service.libc import clock_synced
from plateid.store.event_store import EventStore
from plateid.store.list_file import ListFile
from plateid.store.snapshot_files import MIN_FREE_MB
from plateid.web.credentials import credentials_file, read_credentials, require_password
from plateid.web.server import Certificate

CLOCK_LINES = {
    True: "ok    clock    synchronised",
    False: "warn  clock    not synchronised by a time service",
    None: "warn  clock    the kernel does not report whether it is synchronised",
}
"""Lines by result of `clock_synced`. They only warn, because a wrong clock hides no plate."""


@click.command(epilog="Example: plateid check -c plateid.toml")
@CONFIG
def check(path: Path) -> None:
    """Check configuration, bundle, cameras, broker, disk and clock.

    Prints one line for each, and for each other enabled section. The exit code is 1 if any of them
    fails.
    """
    config = load_config(path)
    click.echo(printable(f"ok    config   {path}"))
    checks: list[tuple[str, Callable[[], str]]] = [
        ("regions", lambda: _regions(config)),
        *([("lists", lambda: _lists(config))] if config.lists.file else []),
        *((f"webhook {w.name}", functools.partial(_webhook, w)) for w in config.webhook),
        ("bundle", lambda: check_bundle(config)),
        *((f"camera {c.name}", functools.partial(_camera, c)) for c in config.camera),
        *(("broker", functools.partial(_broker, mqtt)) for mqtt in config.mqtt.each()),
        ("disk", lambda: _disk(config)),
        *((f"logfile {f.name}", functools.partial(check_logfile, f)) for f in config.logfile.files),
        *([("web", lambda: _web(config))] if config.web.enabled else []),
        *([("metrics", lambda: check_metrics(config))] if config.metrics.enabled else []),
        *([("gps", Gpsd(config.gps).check)] if config.gps.enabled else []),
    ]
    passed = [run_check(name, test) for name, test in checks]
    click.echo(CLOCK_LINES[clock_synced()])
    sys.exit(0 if all(passed) else 1)


def _regions(config: Config) -> str:
    formats_of(config)
    formats = expected_formats(config.events)
    added = f", formats of {config.events.formats}" if config.events.formats else ""
    return (" ".join(formats.regions) or "any") + (", strict" if formats.strict else "") + added


def _lists(config: Config) -> str:
    lists = ListFile(config.lists, [camera.name for camera in config.camera]).lists
    return f"{config.lists.file}: {counted(len(lists.entries), 'plate')}"


def _webhook(config: WebhookConfig) -> str:
    Webhook(config)  # sends no request, because a gate might open
    return f"{'signed' if config.secret_file else 'not signed'}, not called"


def _camera(config: CameraConfig) -> str:
    if config.kind == "events":
        return "posts its events, not called"
    options, decoder = config.device_options, config.decoder
    info = probe(config.url, timeout_s=config.timeout_s, options=options, decoder=decoder)
    main = probe(config.main_url, timeout_s=config.timeout_s) if config.main_url else None
    return f"{info}; main stream {main}" if main else str(info)


def check_bundle(config: Config) -> str:
    """Returns the bundle, its networks and their backend; raises PlateidError if one fails."""
    networks = load_networks(config.models, lambda: frames_per_second(config.camera))
    networks.self_test()
    names = f"{networks.names.bundle} ({networks.names.detector}, {networks.names.reader})"
    return f"{names} on {networks.backend}"


def _broker(mqtt: MqttConfig) -> str:
    check_broker(mqtt)
    return f"{mqtt.brokers[0]}{', TLS' if mqtt.tls else ''}"


def _web(config: Config) -> str:
    web, file = config.web, credentials_file(config.store.path, config.web)
    known = read_credentials(file)
    require_password(web, known)
    Certificate(web).load()
    return f"{web.host}:{web.port}, {'password' if known.has_admin else 'no password'}"


def check_metrics(config: Config) -> str:
    """Returns the address of the metrics; raises ServiceError if it is not of this device."""
    host, port = str(config.metrics.host), config.metrics.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise ServiceError(f"{host}:{port}", error.strerror) from error
        return f"{host}:{port}, in use, perhaps by the service"
    return f"{host}:{port}"


def check_logfile(file: Path) -> str:
    """Returns a log file; raises OutputError if the service cannot create or write it."""
    with os_errors_as(OutputError, file):
        exists = file.exists()
        needed = file if exists else _existing_parent(file)
    if exists and not file.is_file():
        raise OutputError(file, "is not a regular file")
    if not os.access(needed, os.W_OK) or (not exists and not needed.is_dir()):
        raise OutputError(file, f"{needed} cannot be written")
    return str(file) if exists else f"{file}: not created yet"


def _existing_parent(file: Path) -> Path:
    return next(parent for parent in file.parents if parent.exists())


def _disk(config: Config) -> str:
    path = config.store.path
    with os_errors_as(StoreError, path):
        folder = _existing_parent(path)
        free_mb, exists = shutil.disk_usage(folder).free // 1_000_000, path.exists()
    if free_mb < MIN_FREE_MB:
        raise StoreError(path, f"only {free_mb} MB free, {MIN_FREE_MB} needed")
    if exists:
        store = EventStore(path)
        counts = store.counts()
        store.close()
        events = f"{counted(counts.events, 'event')}, {counts.outbox} to send"
        return f"{path}: {events}, {free_mb:,} MB free"
    if not os.access(folder, os.W_OK):  # the service creates the file
        raise StoreError(path, f"{folder} cannot be written")
    return f"{path}: not created yet, {free_mb:,} MB free"
