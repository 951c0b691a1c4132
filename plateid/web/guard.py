"""What stands before every page: who asks, from where, how much, and what browsers may do."""

import asyncio
import hmac
from urllib.parse import SplitResult, parse_qsl, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plateid.web.access import Access, Session

COOKIE = "plateid"
MAX_BODY = 2_000_000
"""Bytes; the largest form is a whole list."""
MAX_FIELDS = 50
BODY_S = 10.0
FORM = "application/x-www-form-urlencoded"
SAFE = ("GET", "HEAD")
LOCAL = ("localhost", "127.0.0.1", "::1")
PASSED_ON = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
"""What proxies add."""
OPEN_PATHS = ("/login", "/static/")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self' blob:; connect-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class SecurityHeaders:
    """Adds `HEADERS` to every answer; what is not said to be kept is kept nowhere."""

    def __init__(self, app: ASGIApp) -> None:
        """Stands before `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, send_with_headers)


class Guard:
    """Lets through who may; sets `session` of the request's state, None for the open paths.

    Raises HTTPException, for the application to answer.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        """Stands before `app`."""
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers, or raises."""
        if scope["type"] == "http":
            request = HTTPConnection(scope)  # of which the url is what the Host header says
            self._check_host(request)
            if scope["method"] not in SAFE:
                check_origin(request)
            session = self._session(request)
            scope.setdefault("state", {})["session"] = session
            if session is None and not scope["path"].startswith(OPEN_PATHS):
                raise HTTPException(401)
        await self._app(scope, receive, send)

    def _check_host(self, request: HTTPConnection) -> None:
        """A page of a stranger may point its own name at this box (DNS rebinding).

        Nor is everybody let in whom a proxy on this machine lets in.
        """
        host = _address(f"//{request.headers.get('host', '')}").hostname
        is_passed_on = (
            any(name in request.headers for name in PASSED_ON)
            or request.scope["http_version"] == "1.0"  # as nginx before 1.29.7 speaks
        )
        if self._access.is_open and (host not in LOCAL or is_passed_on):
            raise HTTPException(403, "without a password, only http://localhost is served")

    def _session(self, request: HTTPConnection) -> Session | None:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and request.scope["path"].startswith("/api/"):
            return Session("viewer") if self._access.knows_token(token.strip()) else None
        return self._access.session(request.cookies.get(COOKIE, ""))


def check_origin(request: HTTPConnection) -> None:
    """Refuses what another site's page sends: browsers say where it comes from.

    Raises:
        HTTPException: 403, or 400.
    """
    origin, host = request.headers.get("origin"), request.headers.get("host")
    if origin is not None and _address(origin).netloc != host:
        raise HTTPException(403, "the form is one of another site")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise HTTPException(403, "the form is one of another site")


def _address(text: str) -> SplitResult:
    try:
        return urlsplit(text)
    except ValueError as error:
        raise HTTPException(400, f"no address: {error}") from error


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form.

    Raises:
        HTTPException: 413, 415, 408 or 400: it is too large, of another kind, too slow, or none.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise HTTPException(415, f"a form is {FORM}")
    body = b""
    try:
        async with asyncio.timeout(BODY_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY:
                    raise HTTPException(413, f"a form has up to {MAX_BODY} bytes")
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict"
        )
    except TimeoutError as error:
        raise HTTPException(408, "the form came too slowly") from error
    except ClientDisconnect as error:
        raise HTTPException(400, "the form did not come whole") from error
    except ValueError as error:
        raise HTTPException(400, "the form cannot be read") from error
    return dict(pairs)


async def read_change(request: Request) -> dict[str, str]:
    """The fields of a form that changes something, by who may.

    Raises:
        HTTPException: As `read_form`; 403 for who may not, or whose form is not one of ours.
    """
    session: Session = request.state.session
    if session.role != "admin":
        raise HTTPException(403, "viewers change nothing")
    form = await read_form(request)
    if not hmac.compare_digest(form.pop("csrf", "").encode(), session.csrf.encode()):
        raise HTTPException(403, "the form is too old: load the page again")
    return form
