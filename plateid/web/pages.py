"""Which page is where."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Route

from plateid.config.root import Config
from plateid.store.history import History
from plateid.web import api, camera_pages, event_pages, list_pages, live_pages, review_pages
from plateid.web.access import Access, check_password, key_file
from plateid.web.live import Live
from plateid.web.site import Site, build

ROUTES = [
    Route("/", live_pages.live),
    Route("/start", live_pages.start),
    Route("/stream/events", live_pages.events),
    Route("/stream/{camera}.mjpeg", live_pages.mjpeg),
    Route("/stream/{camera}.jpg", live_pages.still),
    Route("/cameras/{camera}", camera_pages.camera),
    Route("/cameras/{camera}", camera_pages.save, methods=["POST"]),
    Route("/cameras/{camera}/aid", camera_pages.aid),
    Route("/events", event_pages.search),
    Route("/events.csv", event_pages.as_csv),
    Route("/events.json", event_pages.as_json),
    Route("/events/{id}", event_pages.detail),
    Route("/events/{id}/picture.jpg", review_pages.image),
    Route("/events/{id}/crop.jpg", review_pages.crop),
    Route("/review", review_pages.review),
    Route("/review", review_pages.label, methods=["POST"]),
    Route("/review/labels.zip", review_pages.export),
    Route("/lists", list_pages.show),
    Route("/lists", list_pages.change, methods=["POST"]),
    Route("/api/v1/openapi.json", api.openapi),
    Route("/api/v1/events", api.events),
    Route("/api/v1/events/{id}", api.event),
    Route("/api/v1/events/{id}/picture.jpg", review_pages.image),
    Route("/api/v1/events/{id}/crop.jpg", review_pages.crop),
    Route("/api/v1/health", api.health),
    Route("/api/v1/lists", api.lists),
    Route("/api/v1/labels.zip", review_pages.export),
]


def make_site(
    config: Config,
    live: Live,
    report: Callable[[], Mapping[str, Any]],
    *,
    file: Path | None,
    reload: Callable[[], None],
) -> tuple[Site, Starlette]:
    """The site of a box, and the application that serves it.

    Raises:
        ConfigError: Others could reach it, and no password is set.
        StoreError: The file of the password cannot be read.
    """
    store = config.store.path
    access = Access(key_file(store), needs_password=config.web.needs_password)
    check_password(config.web, access.keys)
    site = Site(config, live, access, History(store), file, report, reload)
    return site, build(site, list(ROUTES))
