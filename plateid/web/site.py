"""The site: what every page shares, how one is made, the login, and the answers to errors."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
import structlog
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from plateid import __version__
from plateid.config.root import Config
from plateid.errors import PlateidError
from plateid.store.history import History
from plateid.store.list_editor import Undo
from plateid.store.search import QueryError
from plateid.web.access import Access
from plateid.web.guard import COOKIE, Guard, SecurityHeaders, check_origin, read_form
from plateid.web.live import Live

FOLDER = Path(__file__).parent
log = structlog.get_logger()


@dataclass
class Site:
    """What the pages know of the box.

    Attributes:
        config: As it is now; exchanged as a whole.
        file: It was read from here; None where nobody may write it back.
        report: Gives what the health topic says.
        reload: Asks for another look at `file`.
        changing: Held by who reads a file, and writes what it makes of it.
    """

    config: Config
    live: Live
    access: Access
    history: History
    file: Path | None
    report: Callable[[], Mapping[str, Any]]
    reload: Callable[[], None]
    undo: Undo = field(default_factory=Undo)
    refused: dict[str, float] = field(default_factory=dict)
    changing: threading.Lock = field(default_factory=threading.Lock)

    @property
    def cameras(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(camera.name for camera in self.config.camera)


def site_of(request: Request) -> Site:
    """The site that a request is for."""
    site: Site = request.app.state.site
    return site


def build(site: Site, routes: list[BaseRoute]) -> Starlette:
    """The application: these pages, and those that every site has."""
    static = StaticFiles(directory=FOLDER / "static")
    answers: dict[Any, Any] = {
        HTTPException: on_http_error,
        QueryError: on_query_error,
        PlateidError: on_failure,
    }
    app = Starlette(
        routes=[
            *routes,
            Route("/login", login_page),
            Route("/login", log_in, methods=["POST"]),
            Route("/logout", log_out, methods=["POST"]),
            Mount("/static", static),
        ],
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(ExceptionMiddleware, handlers=answers),  # of what the guard refuses
            Middleware(Guard, access=site.access),
        ],
        exception_handlers={**answers, Exception: on_fault},
    )
    app.state.site = site
    return app


def local_time(text: str) -> str:
    """A time of an event in the box's local time."""
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")


pages = jinja2.Environment(
    loader=jinja2.FileSystemLoader(FOLDER / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
pages.filters["local"] = local_time
pages.globals["version"] = __version__


def page(request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
    """A page of the site."""
    site, session = site_of(request), getattr(request.state, "session", None)
    shared = {
        "site": site,
        "config": site.config,
        "session": session,
        "path": request.scope["path"],
        "lists": site.config.lists.file is not None,
    }
    return HTMLResponse(pages.get_template(template).render(shared | values), status)


def wants_json(request: Request) -> bool:
    """Whether a program asks."""
    return str(request.scope["path"]).startswith("/api/")


def failed(request: Request, status: int, reason: str) -> Response:
    """The answer to what cannot be done."""
    if wants_json(request):
        return JSONResponse({"error": reason}, status)
    return page(request, "error.html", status=status, reason=reason)


def on_http_error(request: Request, error: Exception) -> Response:
    """Of routes and of the guard."""
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code in (400, 403, 408, 413, 415):
        _log_refusal(request, error)
    if error.status_code == 401 and not wants_json(request) and request.method == "GET":  # noqa: PLR2004 - RFC 9110
        return RedirectResponse("/login", 303)
    response = failed(request, error.status_code, error.detail)
    response.headers.update(error.headers or {})
    if error.status_code == 401:  # noqa: PLR2004
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _log_refusal(request: Request, error: HTTPException) -> None:
    """Once a minute for each address: who floods us does not flood the log."""
    refused, address, now = site_of(request).refused, address_of(request), time.monotonic()
    if now - refused.get(address, -60.0) >= 60.0:  # noqa: PLR2004
        if len(refused) > 1000:  # noqa: PLR2004
            refused.clear()
        refused[address] = now
        log.warning("request refused", address=address, status=error.status_code)


def on_query_error(request: Request, error: Exception) -> Response:
    """A search that cannot be understood."""
    return failed(request, 400, str(error))


def on_failure(request: Request, error: Exception) -> Response:
    """The store cannot be read, a file cannot be written."""
    log.warning("page not served", path=request.scope["path"], reason=str(error))
    return failed(request, 503, str(error))


def on_fault(request: Request, error: Exception) -> Response:
    """A fault of our own: the recognition goes on."""
    log.error("page failed", path=request.scope["path"], exc_info=error)
    return failed(request, 500, "plateid failed to make this page; its log says more")


def address_of(request: Request) -> str:
    """Who asks; an IPv6 network counts as one, as one machine has all of its addresses."""
    host = request.client.host if request.client else ""
    return ":".join(host.split(":")[:4]) if ":" in host else host


def login_page(request: Request) -> Response:
    """The form."""
    if site_of(request).access.is_open:
        return RedirectResponse("/", 303)
    return page(request, "login.html", problem="")


async def log_in(request: Request) -> Response:
    """Looks at a password."""
    check_origin(request)
    access, address = site_of(request).access, address_of(request)
    form = await read_form(request)
    if (wait_s := access.wait_s(address)) > 0:
        problem = f"Too many wrong passwords. Wait {wait_s:.0f} s."
        response = page(request, "login.html", status=429, problem=problem)
        response.headers["Retry-After"] = f"{wait_s:.0f}"
        return response
    cookie = await run_in_threadpool(access.log_in, form.get("password", ""), address)
    if cookie is None:
        log.warning("wrong password", address=address)
        return page(request, "login.html", status=403, problem="The password is wrong.")
    response = RedirectResponse("/", 303)
    secure = request.scope["scheme"] == "https"
    response.set_cookie(COOKIE, cookie, httponly=True, samesite="strict", secure=secure)
    return response


async def log_out(request: Request) -> Response:
    """Ends the session."""
    await read_form(request)
    site_of(request).access.log_out(request.cookies.get(COOKIE, ""))
    response = RedirectResponse("/login", 303)
    response.delete_cookie(COOKIE)
    return response


def camera_of(request: Request) -> str:
    """The camera that a path names.

    Raises:
        HTTPException: 404.
    """
    name: str = request.path_params["camera"]
    if name not in site_of(request).cameras:
        raise HTTPException(404)
    return name
