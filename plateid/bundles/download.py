"""Downloads a file over HTTP or HTTPS, with a size limit."""

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

from plateid import __version__
from plateid.errors import BundleError, errors_as, reason_of

TIMEOUT_S = 30.0
"""Longest wait for the server's next bytes."""
TOTAL_TIMEOUT_S = 1800.0
"""Longest duration of a download; a 200 MB bundle needs 0.9 Mbit/s."""
CHUNK_BYTES = 64 * 1024
"""Size of a chunk that is read, and after which progress is reported, bytes."""
Progress = Callable[[int, int | None], None]
"""Called with the bytes received and, if the server states it, the size of the file."""


def download(
    url: str, *, limit_bytes: int, progress: Progress = lambda _done, _total: None
) -> bytes:
    """Returns the content of a URL; follows redirects to HTTP and HTTPS only.

    Raises BundleError if the URL or the server fails, the file is larger than `limit_bytes`, or the
    transfer ends early or takes too long.
    """
    name = redacted_url(url)
    try:
        with _open(url) as response:
            return _receive(name, response, limit_bytes, progress)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise BundleError(name, _reason(error)) from error


def redacted_url(url: str) -> str:
    """Returns the URL without its query, which may hold a secret, for messages.

    Raises BundleError if it is not a valid URL, or holds a user or password.
    """
    with errors_as(BundleError, url, ValueError):
        parts = urlsplit(url)
    name = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    if "@" in parts.netloc:
        raise BundleError(name, "a URL with user or password is not supported")
    return name


def _receive(
    name: str, response: http.client.HTTPResponse, limit_bytes: int, progress: Progress
) -> bytes:
    length = response.headers.get("Content-Length", "")
    total = int(length) if length.isdecimal() else None
    deadline = time.monotonic() + TOTAL_TIMEOUT_S
    data = bytearray()
    while True:
        progress(len(data), total)
        if max(len(data), total or 0) > limit_bytes:
            raise BundleError(name, f"is larger than {limit_bytes:,} bytes")
        if time.monotonic() > deadline:
            raise BundleError(name, f"takes longer than {TOTAL_TIMEOUT_S:.0f} s")
        if not (chunk := response.read(CHUNK_BYTES)):
            break
        data += chunk
    if total is not None and len(data) < total:
        raise BundleError(name, f"connection lost at {len(data)} of {total} bytes")
    return bytes(data)


def _open(url: str) -> http.client.HTTPResponse:
    """Requests a URL with an opener that knows no other scheme than HTTP and HTTPS."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
    ):
        opener.add_handler(handler())
    headers = {"User-Agent": f"plateid/{__version__}"}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the opener's schemes only
    response: http.client.HTTPResponse = opener.open(request, timeout=TIMEOUT_S)
    return response


def _reason(error: Exception) -> object:
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        return f"the server responds {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return _reason(error.reason) if isinstance(error.reason, Exception) else error.reason
    return reason_of(error)
