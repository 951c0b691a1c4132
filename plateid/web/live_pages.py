"""The pages "Live" and "First steps"."""

import shlex
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from plateid.config.root import Config
from plateid.errors import StoreError
from plateid.store.search import find
from plateid.store.search_query import Query
from plateid.web.live import RECENT
from plateid.web.site import Site, device_state, page, site_of


def live(request: Request) -> Response:
    """Shows the cameras, the latest plates and the device's state."""
    site = site_of(request)
    newest = site.live.events_after(0)[-1:]  # before the store is read: later events are streamed
    after = newest[0][1]["id"] if newest else ""
    state = device_state(site)
    return page(request, "live.html", latest=_latest(site), state=state, after=after)


def start(request: Request) -> Response:
    """Shows which steps of the set-up are done, and what to do next."""
    site = site_of(request)
    state, command = device_state(site), subscribe_command(site.config)
    return page(request, "start.html", latest=_latest(site), state=state, command=command)


def subscribe_command(config: Config) -> str:
    """Returns a shell command that prints the events at the configured broker."""
    mqtt = config.mqtt
    words = ["mosquitto_sub", "-h", mqtt.host, "-p", mqtt.port]
    words += ["-u", mqtt.username] if mqtt.username else []
    words += ["-P", "PASSWORD"] if mqtt.password_file else []
    if mqtt.tls:
        words += ["--cafile", mqtt.ca_file] if mqtt.ca_file else ["--tls-use-os-certs"]
    if mqtt.certificate_file:
        words += ["--cert", mqtt.certificate_file, "--key", mqtt.key_file or mqtt.certificate_file]
    words += ["-t", f"{mqtt.prefix}/{config.device}/+/event"]
    return shlex.join(map(str, words))


def _latest(site: Site) -> list[dict[str, Any]] | None:
    """Returns the latest passes, newest first; None if the store cannot be read."""
    try:
        return find(site.history, Query(limit=RECENT)).events
    except StoreError:
        return None
