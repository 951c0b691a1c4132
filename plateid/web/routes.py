"""The URL paths of all pages, and the ASGI application."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import BaseRoute, Mount
from starlette.routing import Route as OpenRoute
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Send
from starlette.types import Scope as ASGIScope

from plateid.config.root import Config
from plateid.errors import BundleError, PlateidError, SourceError
from plateid.store.history import History
from plateid.store.search_query import QueryError
from plateid.web import (
    camera_pages,
    error_pages,
    event_pages,
    inside_pages,
    json_api,
    list_pages,
    login_pages,
    model_pages,
    people_pages,
    review_pages,
    setup_pages,
    streams,
)
from plateid.web.access import Access, LoginSession
from plateid.web.credentials import Scope, credentials_file, require_password
from plateid.web.guard import Guard, SecurityHeaders
from plateid.web.live import Live
from plateid.web.site import FOLDER, Hooks, Site


class Route(OpenRoute):
    """A path for sessions with one of some scopes: by default `read_events`, `admin` to change."""

    def __init__(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *needs: Scope,
        methods: Sequence[str] = ("GET",),
    ) -> None:
        super().__init__(path, endpoint, methods=list(methods))
        self.needs = needs or ("read_events" if "GET" in methods else "admin",)

    async def handle(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """Handles a request; raises HTTPException: 403 without a scope, 405 for other methods."""
        session: LoginSession = scope["state"]["session"]
        if not session.can(*self.needs):
            raise HTTPException(403, f"{session.user} lacks the permission {self.needs[0]}")
        if scope["method"] not in (self.methods or ()):
            same = (each for each in scope["router"].routes if each.path == self.path)
            methods = sorted(method for each in same for method in each.methods)
            raise HTTPException(405, headers={"Allow": ", ".join(methods)})
        await super().handle(scope, receive, send)


PAGES = {
    "Live": "/",
    "Events": "/events",
    "Lists": "/lists",
    "Inside": "/inside",
    "Review": "/review",
    "Report": "/report",
    "Models": "/models",
    "People": "/people",
}
"""The menu."""
SHARED_ROUTES = [
    Route("/stream/events", streams.events),
    Route("/events", event_pages.search),
    Route("/events.csv", event_pages.as_csv),
    Route("/events.json", event_pages.as_json),
    Route("/events/{id}", event_pages.detail),
    Route("/events/{id}/snapshot.jpg", event_pages.snapshot, "read_images"),
    Route("/events/{id}/crop.jpg", event_pages.crop, "read_images"),
    Route("/events/{id}/vehicle.jpg", event_pages.vehicle, "read_images"),
    Route("/review", review_pages.review),
    Route("/review", review_pages.label, "review", methods=["POST"]),
    Route("/review/labels.zip", review_pages.export, "read_images"),
    Route("/api/v1/labels.zip", review_pages.export, "read_images"),
    Route("/lists", list_pages.show),
    Route("/lists.csv", list_pages.export),
    Route("/lists", list_pages.change, "write_lists", methods=["POST"]),
    Route("/people", people_pages.show, "admin"),
    Route("/people", people_pages.change, "admin", methods=["POST"]),
    Route("/people/changes", people_pages.changes, "admin"),
    Route("/people/changes.csv", people_pages.changes_csv, "admin"),
    Route("/password", login_pages.login_page),
    Route("/password", login_pages.change_password, "read_events", methods=["POST"]),
    OpenRoute("/login", login_pages.login_page),
    OpenRoute("/login", login_pages.log_in, methods=["POST"]),
    OpenRoute("/first-password", login_pages.login_page),
    OpenRoute("/first-password", login_pages.set_password, methods=["POST"]),
    OpenRoute("/logout", login_pages.log_out, methods=["POST"]),
    Route("/api/v1/events", json_api.events),
    Route("/api/v1/events/stream", streams.events),
    Route("/api/v1/events/{id}", json_api.event),
    Route("/api/v1/events/{id}/snapshot.jpg", event_pages.snapshot, "read_images"),
    Route("/api/v1/events/{id}/crop.jpg", event_pages.crop, "read_images"),
    Mount("/static", StaticFiles(directory=FOLDER / "static")),
]
"""The pages that a device and a hub have."""
ROUTES = [
    *SHARED_ROUTES,
    Route("/", camera_pages.live),
    Route("/start", setup_pages.start),
    Route("/setup/camera", setup_pages.camera_form, "admin"),  # an address may hold a password
    Route("/setup/camera", setup_pages.save_camera, methods=["POST"]),
    Route("/setup/camera/found", setup_pages.find_cameras, methods=["POST"]),
    Route("/setup/camera/asked", setup_pages.ask_camera, methods=["POST"]),
    Route("/setup/camera/test", setup_pages.test_camera, methods=["POST"]),
    Route("/setup/regions", setup_pages.save_regions, methods=["POST"]),
    Route("/setup/broker", setup_pages.save_broker, methods=["POST"]),
    Route("/stream/{camera}.mjpeg", streams.mjpeg, "read_images"),
    Route("/stream/{camera}.jpg", streams.still, "read_images"),
    Route("/cameras/{camera}", camera_pages.camera),
    Route("/cameras/{camera}", camera_pages.save, methods=["POST"]),
    Route("/cameras/{camera}/quality", camera_pages.quality),
    Route("/report", review_pages.report),
    Route("/inside", inside_pages.show),
    Route("/inside", inside_pages.change, "write_lists", methods=["POST"]),
    Route("/inside.csv", inside_pages.as_csv),
    Route("/models", model_pages.show),
    Route("/models", model_pages.roll_back, methods=["POST"]),
    Route("/api/v1/openapi.json", json_api.openapi, "read_events", "read_images", "write_lists"),
    Route("/api/v1/health", json_api.health),
    Route("/api/v1/lists/entries", json_api.entries, "read_events", "write_lists"),
    Route(
        "/api/v1/lists/entries", json_api.change, "write_lists", methods=["POST", "PATCH", "DELETE"]
    ),
    Route("/api/v1/models", model_pages.show, "install_models"),
    Route("/api/v1/models", model_pages.upload, "install_models", methods=["POST"]),
    Route("/api/v1/cameras/{camera}/events", json_api.take_post, "post_events", methods=["POST"]),
    Route("/api/v1/occupancy", inside_pages.as_json),
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

    A client with the `code`, which is not empty in a set-up, may set the first password.
    Raises ConfigError if other hosts could reach it and no password is set, StoreError if the
    credentials file cannot be read.
    """
    store = config.store.path
    users = credentials_file(store, config.web)
    access = Access(users, needs_password=config.web.needs_password)
    access.code, access.ingress = code, str(config.web.ingress or "")
    if not code and not access.ingress:
        require_password(config.web, access.credentials)
    site = Site(config, live, access, History(store), file, report, hooks, pages=PAGES)
    return site, application(site, ROUTES)


def application(site: Site, routes: Sequence[BaseRoute]) -> Starlette:
    """Returns the application that serves the pages of a site."""
    handlers: dict[Any, Any] = {
        HTTPException: error_pages.on_http_error,
        QueryError: error_pages.on_query_error,
        BundleError: error_pages.on_upload_error,
        SourceError: error_pages.on_upload_error,
        PlateidError: error_pages.on_failure,
    }
    app = Starlette(
        routes=list(routes),
        middleware=[
            Middleware(SecurityHeaders, ingress=site.access.ingress),
            Middleware(ExceptionMiddleware, handlers=handlers),  # for errors that the guard raises
            Middleware(Guard, access=site.access),
        ],
        exception_handlers={**handlers, Exception: error_pages.on_bug},
    )
    app.router.redirect_slashes = False  # its redirects go to the Host header
    app.state.site = site
    return app
