"""Middleware before every page: host and origin checks, sessions, size limits, security headers."""

import asyncio
import hmac
import io
import re
import secrets
from collections import Counter
from typing import BinaryIO
from urllib.parse import SplitResult, parse_qsl, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plateid.errors import errors_as
from plateid.web.access import Access, LoginSession

COOKIE = "plateid"
"""Name of the session cookie."""
MAX_BODY_BYTES = 1 << 17
"""Maximum size of a form, bytes. The drawing of a camera with the most masks has 100,000."""
MAX_SKIPPED_BYTES = 1 << 23
"""Maximum size of a form that is received and refused; a longer one is cut off, bytes."""
MAX_FIELDS = 300
"""Maximum number of fields of a form: that of the countries has about 200."""
BODY_TIMEOUT_S = 10.0
"""Time-out for the body of a request, seconds."""
MAX_SESSION_REQUESTS = 16
"""Maximum number of requests of a login session, or of a token, at a time. A browser makes six;
all users share 40 threads."""
INGRESS_CSRF = secrets.token_urlsafe(32)
"""CSRF token of the users who have logged in to Home Assistant, not to plateid."""
INGRESS_PATH = re.compile(r"(/[\w-]+)+", re.ASCII)
"""A path at the ingress proxy: Home Assistant passes on headers of clients, too."""
FORM = "application/x-www-form-urlencoded"
SAFE_METHODS = ("GET", "HEAD")
"""Methods that change nothing, so that their origin is not checked."""
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
"""Host names that are served without a password."""
PROXY_HEADERS = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
"""Headers that reverse proxies add."""
CAMERAS = "/api/v1/cameras/"
"""Path below which the token may be in the URL: cameras have no other place for it."""
OPEN_PATHS = ("/login", "/first-password", "/static/", "/api/v1/enrol")
"""Paths that need no login."""
FRAME = ("ancestors 'none'", "ancestors 'self'")  # browsers then ignore X-Frame-Options
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self' blob:; connect-src 'self'; form-action 'self'; base-uri 'self';"
    " frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class SecurityHeaders:
    """Middleware that adds `HEADERS`, `Cache-Control: no-store`, and the path of `ingress`."""

    def __init__(self, app: ASGIApp, ingress: str) -> None:
        self._app, self._ingress = app, ingress

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles a request."""
        root = ingress_path(HTTPConnection(scope), self._ingress)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value.replace(*FRAME) if root else value
                headers.setdefault("Cache-Control", "no-store")
                if "location" in headers:
                    headers["location"] = root + headers["location"]
            await send(message)

        await self._app(scope, receive, send_with_headers)


class Guard:
    """Middleware that checks host, origin and session; sets `session` of the request's state.

    It raises HTTPException for requests without access. `session` is None on open paths.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access
        self._running: Counter[LoginSession] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles a request, or raises HTTPException."""
        if scope["type"] == "http":
            request = HTTPConnection(scope)  # paths come from `scope`: `url` trusts the Host header
            self._check_host(request)
            if scope["method"] not in SAFE_METHODS:
                check_origin(request)
            session = session_of(request, self._access)
            scope.setdefault("state", {})["session"] = session
            if session is not None:
                await self._limited(session, scope, receive, send)
                return
            if not scope["path"].startswith(OPEN_PATHS):
                raise HTTPException(401)
        await self._app(scope, receive, send)

    async def _limited(
        self, session: LoginSession, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if session.is_personal and self._running[session] >= MAX_SESSION_REQUESTS:
            raise HTTPException(503, f"{MAX_SESSION_REQUESTS} of your requests are not done yet")
        self._running[session] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._running -= Counter((session,))  # drops zeros

    def _check_host(self, request: HTTPConnection) -> None:
        """Without a password, serves only local clients that came without a proxy.

        The Host header must be local because of DNS rebinding.
        """
        host = _split(f"//{request.headers.get('host', '')}").hostname
        is_proxied = (
            any(name in request.headers for name in PROXY_HEADERS)
            or request.scope["http_version"] == "1.0"  # sent by nginx before 1.29.7
        )
        if self._access.is_open and (host not in LOCAL_HOSTS or is_proxied):
            raise HTTPException(403, "without a password, only http://localhost is served")


def ingress_path(request: HTTPConnection, ingress: str) -> str:
    """Returns the path of plateid at Home Assistant's ingress proxy; empty for other clients."""
    is_ingress = ingress and request.client and request.client.host == ingress
    path = request.headers.get("x-ingress-path", "")
    return path if is_ingress and INGRESS_PATH.fullmatch(path) else ""


def session_of(request: HTTPConnection, access: Access) -> LoginSession | None:
    """Returns the session of a token below /api/, or of a cookie; None if there is none."""
    if ingress_path(request, access.ingress):
        user = request.headers.get("x-remote-user-name", "home assistant")
        return LoginSession("admin", user, csrf=INGRESS_CSRF)
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and request.scope["path"].startswith("/api/"):
        return access.token_session(token.strip())
    if request.scope["path"].startswith(CAMERAS) and "token" in request.query_params:
        return access.token_session(request.query_params["token"])
    return access.session(request.cookies.get(COOKIE, ""))


def check_origin(request: HTTPConnection) -> None:
    """Refuses requests from pages of other sites, by the headers that browsers send."""
    origin, host = request.headers.get("origin"), request.headers.get("host")
    if origin is not None and _split(origin).netloc != host:
        raise HTTPException(403, "this form belongs to another site")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise HTTPException(403, "this form belongs to another site")


def _split(address: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError as error:
        raise HTTPException(400, f"invalid address: {error}") from error


async def read_form(request: Request, limit_bytes: int = MAX_BODY_BYTES) -> dict[str, str]:
    """Returns the fields of a form; raises HTTPException if it is too large, slow or invalid."""
    body = await read_body(request, FORM, limit_bytes)
    with errors_as(HTTPException, 400, ValueError, reason="the form is invalid"):
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict"
        )
    return dict(pairs)


async def read_body(
    request: Request,
    kind: str,
    limit_bytes: int = MAX_BODY_BYTES,
    *,
    file: BinaryIO | None = None,
    timeout_s: float = BODY_TIMEOUT_S,
) -> bytes:
    """Returns a body of this content type, or writes it to a file; raises as `read_form` does."""
    body = io.BytesIO()
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != kind:
        raise HTTPException(415, f"content type must be {kind}")
    try:
        async with asyncio.timeout(timeout_s):
            await _receive(request, file or body, limit_bytes)
        return body.getvalue()
    except TimeoutError as error:
        raise HTTPException(408, "the body arrived too slowly") from error
    except ClientDisconnect as error:
        raise HTTPException(400, "the body is incomplete") from error


async def _receive(request: Request, file: BinaryIO, limit_bytes: int) -> None:
    """Writes the body; skips a long one, since a client that still sends reads no answer."""
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= limit_bytes:
            file.write(chunk)
        elif size > limit_bytes + MAX_SKIPPED_BYTES:
            break
    if size > limit_bytes:
        raise HTTPException(413, f"the body has up to {limit_bytes} bytes")


async def read_change(request: Request, limit_bytes: int = MAX_BODY_BYTES) -> dict[str, str]:
    """Returns the fields of a form that changes something; also checks its CSRF token."""
    session: LoginSession = request.state.session
    form = await read_form(request, limit_bytes)
    if not hmac.compare_digest(form.pop("csrf", "").encode(), session.csrf.encode()):
        raise HTTPException(403, "the form has expired: reload the page")
    return form
