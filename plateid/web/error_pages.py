"""Answers errors with an HTML page, or with JSON below /api/."""

import time

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from plateid.errors import StoreError
from plateid.http_server import network_of
from plateid.store.audit_log import AuditLog
from plateid.web.site import page, site_of

UNAUTHORIZED = 401
LOGGED_STATUSES = (400, 403, 408, 413, 415)
"""Status codes of refused requests, which are logged."""
LOG_INTERVAL_S = 60.0
"""Minimum interval between two logged refusals of one address, seconds. It keeps the log short in a
flood of requests."""
MAX_ADDRESSES = 1000
"""Maximum number of addresses whose last refusals are remembered, to limit memory."""
log = structlog.get_logger()


def on_http_error(request: Request, error: Exception) -> Response:
    """Answers an error that a page or the guard raised."""
    if not isinstance(error, HTTPException):
        raise error
    unauthorized = error.status_code == UNAUTHORIZED
    if error.status_code in LOGGED_STATUSES or (unauthorized and _wants_json(request)):
        log_refusal(request, "request refused", status=error.status_code)
    if unauthorized and not _wants_json(request) and request.method == "GET":
        wants_stream = "text/event-stream" in request.headers.get("accept", "")
        if wants_stream or request.scope["path"].startswith("/stream/"):
            return Response(status_code=204)  # ends an event source, which can show no page
        return RedirectResponse("/login", 303)
    response = _failed(request, error.status_code, error.detail)
    response.headers.update(error.headers or {})
    if unauthorized:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def on_query_error(request: Request, error: Exception) -> Response:
    """Answers an invalid search."""
    return _failed(request, 400, str(error))


def on_upload_error(request: Request, error: Exception) -> Response:
    """Answers and logs a bundle or a camera's post that cannot be used."""
    log_refusal(request, "upload refused", path=request.scope["path"], reason=str(error))
    return _failed(request, 400, str(error))


def on_failure(request: Request, error: Exception) -> Response:
    """Answers an expected failure: the store or a file cannot be read or written."""
    log.warning("page failed", path=request.scope["path"], reason=str(error))
    return _failed(request, 503, str(error))


def on_bug(request: Request, error: Exception) -> Response:
    """Answers an unexpected exception. It does not end plateid."""
    log.error("page raised an exception", path=request.scope["path"], exc_info=error)
    return _failed(request, 500, "internal error: see the log of plateid")


def client_address(request: Request) -> str:
    """Returns the client's IP address."""
    return request.client.host if request.client else ""


def _wants_json(request: Request) -> bool:
    return str(request.scope["path"]).startswith("/api/")


def _failed(request: Request, status: int, reason: str) -> Response:
    if _wants_json(request):
        return JSONResponse({"error": reason}, status)
    return page(request, "error.html", status=status, reason=reason)


def log_change(
    request: Request, event: str, *, before: str = "", after: str = "", **values: object
) -> None:
    """Logs a change with account and address; the audit log also gets the values.

    The log has neither plates nor `before` and `after`: no plate may be in `values`.
    It waits for the disk: call it in a thread, not in the event loop.
    """
    account, address = request.state.session.user, client_address(request)
    log.info(event, account=account, address=address, **values)
    details = ", ".join(f"{name}: {value}" for name, value in values.items())
    audit = AuditLog(site_of(request).config.store.path)
    try:
        audit.add(account, event, address=address, details=details, before=before, after=after)
    except StoreError as error:  # the change is made, and in the log
        log.error("audit log failed", reason=str(error))  # noqa: TRY400


def log_refusal(request: Request, event: str, **values: object) -> None:
    """Logs a refusal, at most once in `LOG_INTERVAL_S` for each event and client network."""
    refused, address, now = site_of(request).refused, client_address(request), time.monotonic()
    key = event, network_of(address)
    if now - refused.get(key, -LOG_INTERVAL_S) >= LOG_INTERVAL_S:
        if len(refused) > MAX_ADDRESSES:
            refused.clear()
        refused[key] = now
        log.warning(event, address=address, **values)
