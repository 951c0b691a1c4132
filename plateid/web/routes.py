"""The URL paths of all pages, and the ASGI application."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from plateid.config.root import Config
from plateid.errors import PlateidError
from plateid.store.history import History
from plateid.store.search_query import QueryError
from plateid.web import (
    camera_pages,
    error_pages,
    event_pages,
    json_api,
    list_pages,
    live_pages,
    login_pages,
    report_pages,
    review_pages,
    setup_pages,
    streams,
)
from plateid.web.access import Access
from plateid.web.credentials import credentials_file, require_password
from plateid.web.guard import Guard, SecurityHeaders
from plateid.web.live import Live
from plateid.web.site import FOLDER, Hooks, Site

ROUTES = [
    Route("/", live_pages.live),
    Route("/start", setup_pages.start),
    Route("/setup/camera", setup_pages.camera_form),
    Route("/setup/camera", setup_pages.save_camera, methods=["POST"]),
    Route("/setup/camera/test", setup_pages.test_camera, methods=["POST"]),
    Route("/setup/regions", setup_pages.save_regions, methods=["POST"]),
    Route("/setup/broker", setup_pages.save_broker, methods=["POST"]),
    Route("/stream/events", streams.events),
    Route("/stream/{camera}.mjpeg", streams.mjpeg),
    Route("/stream/{camera}.jpg", streams.still),
    Route("/cameras/{camera}", camera_pages.camera),
    Route("/cameras/{camera}", camera_pages.save, methods=["POST"]),
    Route("/cameras/{camera}/quality", camera_pages.quality),
    Route("/events", event_pages.search),
    Route("/events.csv", event_pages.as_csv),
    Route("/events.json", event_pages.as_json),
    Route("/events/{id}", event_pages.detail),
    Route("/events/{id}/snapshot.jpg", event_pages.snapshot),
    Route("/events/{id}/crop.jpg", event_pages.crop),
    Route("/review", review_pages.review),
    Route("/review", review_pages.label, methods=["POST"]),
    Route("/review/labels.zip", review_pages.export),
    Route("/report", report_pages.report),
    Route("/lists", list_pages.show),
    Route("/lists", list_pages.change, methods=["POST"]),
    Route("/login", login_pages.login_page),
    Route("/login", login_pages.log_in, methods=["POST"]),
    Route("/first-password", login_pages.login_page),
    Route("/first-password", login_pages.set_password, methods=["POST"]),
    Route("/logout", login_pages.log_out, methods=["POST"]),
    Route("/api/v1/openapi.json", json_api.openapi),
    Route("/api/v1/events", json_api.events),
    Route("/api/v1/events/{id}", json_api.event),
    Route("/api/v1/events/{id}/snapshot.jpg", event_pages.snapshot),
    Route("/api/v1/events/{id}/crop.jpg", event_pages.crop),
    Route("/api/v1/health", json_api.health),
    Route("/api/v1/lists", json_api.lists),
    Route("/api/v1/labels.zip", review_pages.export),
    Mount("/static", StaticFiles(directory=FOLDER / "static")),
]


def make_site(
    config: Config,
    live: Live,
    report: Callable[[], Mapping[str, Any]],
    *,
    file: Path | None,
    hooks: Hooks,
    code: str = "",
) -> tuple[Site, Starlette]:
    """Returns the site of a device and the application that serves it.

    Whoever knows the `code`, which is not empty in a set-up, may set the first password.
    Raises ConfigError if other hosts could reach it and no password is set, StoreError if the
    credentials file cannot be read.
    """
    store = config.store.path
    access = Access(credentials_file(store), needs_password=config.web.needs_password)
    access.code = code
    if not code:
        require_password(config.web, access.credentials)
    site = Site(config, live, access, History(store), file, report, hooks)
    return site, _application(site)


def _application(site: Site) -> Starlette:
    handlers: dict[Any, Any] = {
        HTTPException: error_pages.on_http_error,
        QueryError: error_pages.on_query_error,
        PlateidError: error_pages.on_failure,
    }
    app = Starlette(
        routes=ROUTES,
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(ExceptionMiddleware, handlers=handlers),  # for errors that the guard raises
            Middleware(Guard, access=site.access),
        ],
        exception_handlers={**handlers, Exception: error_pages.on_bug},
    )
    app.router.redirect_slashes = False  # its redirects go to the Host header
    app.state.site = site
    return app
