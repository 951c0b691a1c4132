"""Files from the network, up to a size; what broke off goes on at the next try."""

import hashlib
import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from plateid import __version__
from plateid.errors import BundleError, reason_of

TIMEOUT_S = 30.0
CHUNK = 64 * 1024
PART, NO_SUCH_PART = 206, 416
Progress = Callable[[int, int | None], None]
"""Is told the bytes that are there, and of how many, where the server says so."""


class Download:
    """One URL, and the file that keeps what is there of it."""

    def __init__(self, url: str, folder: Path, *, limit: int) -> None:
        """Asks nobody yet.

        Args:
            url: Of http or https, without a user and password.
            folder: Of unfinished downloads; it need not exist.
            limit: Bytes, all together.
        """
        self.name = public_name(url)
        self._url = url
        self._limit = limit
        self._part = folder / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.part"
        self._version = self._part.with_suffix(".version")

    def fetch(self, progress: Progress = lambda _done, _total: None) -> bytes:
        """All of it, with what an earlier try got; no file of it is left.

        Raises:
            BundleError: The server cannot be reached, has no such file, one that is too large, or
                stops in the middle, which the next try goes on from; or the disk is full.
        """
        try:
            self._part.parent.mkdir(parents=True, exist_ok=True)
            with self._answer() as answer:
                self._receive(answer, progress)
            data = self._part.read_bytes()
            self._forget()
        except OSError as error:
            self._forget()  # the disk may be full of it
            raise BundleError(self._part, error.strerror) from error
        return data

    @contextmanager
    def _answer(self) -> Iterator[http.client.HTTPResponse]:
        """From where the file ends, if the server still has the same; else from the start."""
        with self._network():
            try:
                answer = _opened(self._url, self._wanted())
            except urllib.error.HTTPError as error:
                if error.code != NO_SUCH_PART:
                    raise
                error.close()
                self._forget()
                answer = _opened(self._url, {})
        with answer:
            yield answer

    def _wanted(self) -> dict[str, str]:
        """The rest of one version of the file (RFC 9110, sections 13.1.5 and 14.2)."""
        if not (self._part.exists() and self._version.exists()):
            return {}
        return {
            "Range": f"bytes={self._part.stat().st_size}-",
            "If-Range": self._version.read_text(),
        }

    def _receive(self, answer: http.client.HTTPResponse, progress: Progress) -> None:
        done = self._begin(answer)
        length = answer.headers.get("Content-Length", "")
        total = done + int(length) if length.isdecimal() else None
        with self._part.open("ab") as stream:
            while True:
                progress(done, total)
                if max(done, total or 0) > self._limit:
                    self._forget()
                    self._fail(f"is larger than {self._limit:,} bytes")
                with self._network():
                    chunk = answer.read(CHUNK)
                if not chunk:
                    break
                stream.write(chunk)
                done += len(chunk)
        if total is not None and done < total:
            self._fail(f"broke off at {done} of {total} bytes; the next try goes on from there")

    def _begin(self, answer: http.client.HTTPResponse) -> int:
        """How much of the file is there; it is emptied where the server starts anew."""
        if answer.status == PART:
            there = self._part.stat().st_size
            if not answer.headers.get("Content-Range", "").startswith(f"bytes {there}-"):
                self._forget()
                self._fail("answers with another part than it was asked for")
            return there
        self._forget()
        version = answer.headers.get("ETag", "")
        if version and not version.startswith("W/"):
            self._version.write_text(version)
        return 0

    @contextmanager
    def _network(self) -> Iterator[None]:
        try:
            yield
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise BundleError(self.name, _said(error)) from error

    def _fail(self, reason: str) -> None:
        raise BundleError(self.name, reason)

    def _forget(self) -> None:
        self._part.unlink(missing_ok=True)
        self._version.unlink(missing_ok=True)


def public_name(url: str) -> str:
    """The URL for messages: its query may hold a secret, and a user's password is refused.

    Raises:
        BundleError: It cannot be used.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise BundleError(url, error) from error
    name = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    if "@" in parts.netloc:
        raise BundleError(name, "a URL with user or password is not supported")
    return name


def _opened(url: str, headers: dict[str, str]) -> http.client.HTTPResponse:
    """An answer of a server, redirects followed; no other kind of URL is opened."""
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
    headers = {"User-Agent": f"plateid/{__version__}", **headers}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the opener's kinds only
    answer: http.client.HTTPResponse = opener.open(request, timeout=TIMEOUT_S)
    return answer


def _said(error: Exception) -> object:
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        return f"answers {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return _said(error.reason) if isinstance(error.reason, Exception) else error.reason
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is refused: {error.verify_message.rstrip('.')}"
    return reason_of(error)
