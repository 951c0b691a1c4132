"""What all pages share: the state of the site, templates, and the device's state."""

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import jinja2
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse

from plateid import __version__
from plateid.config.cameras import CameraConfig
from plateid.config.outputs import HomeAssistantConfig, MqttConfig
from plateid.config.root import Config
from plateid.core.lists import compact
from plateid.core.wording import counted
from plateid.files import is_replaceable
from plateid.store.history import Correction
from plateid.store.labels import Labels
from plateid.store.list_file import ListUndo
from plateid.store.search import Event, EventSource
from plateid.store.search_query import Query
from plateid.web.access import Access
from plateid.web.guard import ingress_path
from plateid.web.live import RECENT, Live

if TYPE_CHECKING:
    from plateid.recognition import Recognition

FOLDER = Path(__file__).parent
CLOCK_TEXT = {True: "Synchronised", False: "Not synchronised", None: "Unknown"}
"""Text of the clock state, by `clock_synced`."""
IN_TRANSIT_S = 30.0
"""Age up to which a waiting event counts as in transit to the broker, seconds."""


@dataclass(frozen=True)
class Hooks:
    """What the web UI asks of the rest of plateid.

    `reload` makes the service apply its changed configuration file, `restart` makes a new service
    take its place. `test_camera` returns an image (JPEG) and the format, or raises SourceError;
    `test_broker` returns whether Home Assistant uses the broker, or raises BrokerError.
    `find_cameras` returns name and ONVIF service: of a USB camera the device, and an empty one.
    `ask_camera` returns main stream and sub-stream of a service, user and password; SourceError.
    """

    reload: Callable[[], None]
    restart: Callable[[], None]
    test_camera: Callable[[CameraConfig], tuple[bytes, str]]
    test_broker: Callable[[MqttConfig, HomeAssistantConfig], bool]
    find_cameras: Callable[[], list[tuple[str, str]]]
    ask_camera: Callable[[str, str, str], tuple[str, str]]


class EventHistory(EventSource, Protocol):
    """What pages read of events, of one device or a fleet; each method may raise StoreError."""

    is_fleet: bool
    labels: Labels

    def count(self, query: Query, at_most: int) -> int:
        """Returns the number of results, up to `at_most`; SlowQueryError: it takes too long."""

    def find_pass(self, id_: str) -> list[Event]:
        """Returns all events of the pass of an event, oldest first; none if it is unknown."""

    def corrections(self, pass_ids: Iterable[str]) -> dict[str, Correction]:
        """Returns what users said of passes, by `pass_id`."""

    def last_seen(self, names: Mapping[str, str], max_distance: float) -> dict[str, str]:
        """Returns the time of the last pass of each plate of a list, given with its name."""

    def with_images(self, events: Iterable[Event]) -> set[str]:
        """Returns the ids of events that have an image."""

    def image(self, event: Event) -> bytes | None:
        """Returns the image of an event (JPEG); None if there is none."""


@dataclass
class Site:
    """The state that pages read and change.

    A reload replaces `config` as a whole. `file` is None if there is none to write to, `service` if
    no service runs. `refused` has the time of the last logged refusal, by kind and client network.
    `changing` is held while a file is changed, `uploading` while an archive is received and tested.
    `pages` are the entries of the menu. A hub has sites, `places`, `names` for its list, and a
    `view` of what a request may see.
    """

    config: Config
    live: Live
    access: Access
    history: EventHistory
    file: Path | None
    report: Callable[[], Mapping[str, Any]]
    hooks: Hooks
    undo: ListUndo = field(default_factory=ListUndo)
    refused: dict[tuple[str, str], float] = field(default_factory=dict)
    changing: threading.Lock = field(default_factory=threading.Lock)
    service: "Recognition | None" = None
    uploading: asyncio.Lock = field(default_factory=asyncio.Lock)
    pages: Mapping[str, str] = field(default_factory=dict)
    view: "Callable[[Site, Request], Site] | None" = None
    places: Sequence[str] = ()
    names: tuple[str, ...] = ()

    @property
    def is_new(self) -> bool:
        """Whether there is no configuration yet, so that no service has run."""
        return self.file is not None and not self.file.exists()

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names of the cameras; on a hub, of sites, groups and devices."""
        return self.names or tuple(camera.name for camera in self.config.camera)


def site_of(request: Request) -> Site:
    """Returns the site that serves a request."""
    site: Site = request.app.state.site
    return site.view(site, request) if site.view else site


def service_of(request: Request) -> "Recognition":
    """Returns the running service; raises HTTPException 503 if there is none."""
    if (service := site_of(request).service) is None:
        raise HTTPException(503, "the service has not started yet")
    return service


def camera_of(request: Request) -> str:
    """Returns the camera in a request's path; raises HTTPException 404 if there is none."""
    name: str = request.path_params["camera"]
    if name not in site_of(request).cameras:
        raise HTTPException(404)
    return name


def writable_file(site: Site) -> Path | None:
    """Returns the configuration file if plateid can replace it; symlinks are left alone."""
    if site.file is None or site.file.is_symlink():
        return None
    return site.file if is_replaceable(site.file) else None


def newest_event(site: Site) -> str:
    """Returns the newest event's id; call it before reading the store: streams send later ones."""
    newest = site.live.events_after(0)[-1:]
    return newest[0][1]["id"] if newest else ""


def local_time(text: str) -> str:
    """Returns an RFC 3339 time in the local time of the device."""
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")


templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(FOLDER / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
templates.filters["local"] = local_time
templates.filters["compact"] = compact
templates.globals["version"] = __version__


def page(request: Request, template: str, *, status: int = 0, **values: Any) -> Response:
    """Renders a template, by default with status 400 if it shows a `problem`."""
    site, session = site_of(request), getattr(request.state, "session", None)
    shared = {
        "site": site,
        "config": site.config,
        "session": session,
        "path": request.scope["path"],
        "here": f".{request.scope['path']}?{request.scope['query_string'].decode('latin-1')}",
        "root": ingress_path(request, site.access.ingress),
        "lists": site.config.lists.file is not None,
    }
    text = templates.get_template(template).render(shared | values)
    return HTMLResponse(text, status or (400 if values.get("problem") else 200))


def download(
    content: Iterable[str | bytes], media_type: str, name: str, **options: Any
) -> StreamingResponse:
    """Returns a file that the browser saves."""
    disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(content, media_type=media_type, headers=disposition, **options)


def device_state(site: Site) -> dict[str, Any]:
    """Returns the part of the health report that the pages show."""
    report = site.report()
    cameras, outbox = report["cameras"], report["outbox"]
    return {
        "cameras": {name: camera["online"] for name, camera in cameras.items()},
        "camera_texts": {name: _camera_text(camera) for name, camera in cameras.items()},
        "rates": {name: camera["reads_per_minute"] for name, camera in cameras.items()},
        "waiting": outbox["events"],
        **_broker_state(report["broker_failure"], outbox["events"], outbox["oldest_s"]),
        **_disk_state(report["disk_failure"], report["disk_free_mb"]),
        "clock": CLOCK_TEXT[report["clock_synced"]],
        "temperature_c": report["temperature_c"],
        "lost": report["lost"],
        "backend": report["backend"],
    }


def _camera_text(camera: dict[str, Any]) -> str:
    if not camera["online"]:
        return f"Offline: {camera['failure']}"
    decoder = "" if camera["decoder"] == "software" else f", decoder {camera['decoder']}"
    return f"Online{decoder}" + (f", reads the {source}" if (source := camera["read_from"]) else "")


def _disk_state(failure: str | None, free_mb: int | None) -> dict[str, str]:
    if failure is not None:
        return {"disk": "bad", "disk_text": f"Failed: {failure}"}
    text = "Unknown" if free_mb is None else f"{free_mb / 1000:.1f} GB"
    return {"disk": "ok", "disk_text": text}


def _broker_state(
    failure: str | None, waiting: int | None, oldest_s: float | None
) -> dict[str, str]:
    """Returns CSS class and text; a few young events count as in transit."""
    if failure is not None:
        queued = "unknown events" if waiting is None else counted(waiting, "event")
        return {"broker": "bad", "broker_text": f"Not connected: {failure}. {queued} waiting"}
    if waiting is not None and (waiting >= RECENT or (oldest_s or 0) > IN_TRANSIT_S):
        return {"broker": "bad", "broker_text": f"{waiting} events waiting"}
    if waiting == 0 or (waiting and oldest_s is not None):
        return {"broker": "ok", "broker_text": "Up to date"}
    return {"broker": "unknown", "broker_text": "Unknown"}  # without a clock their age is unknown
