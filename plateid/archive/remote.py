"""Sources at URLs of any kind that fsspec knows, such as s3://bucket/folder.

The command lists the files. The worker that reads one copies it into a cache on its machine.
"""

import errno
import fcntl
import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import fsspec
from aiohttp import ClientError, ClientResponseError, ClientTimeout
from botocore.exceptions import BotoCoreError
from fsspec.callbacks import Callback

from plateid.archive.probe import identity, shown
from plateid.capture.images import VIDEO_SUFFIXES
from plateid.errors import ArchiveError, ConfigError, SourceError, errors_as, reason_of

_ERRORS = OSError, ClientError, BotoCoreError
_VERSIONS = "ETag", "etag", "md5Hash", "content_md5", "Last-Modified", "LastModified", "mtime"
"""What storage states of a file that changes with it; the first one counts."""
_TIMES = "LastModified", "Last-Modified", "last_modified", "updated", "mtime"
_HTTP = {"timeout": ClientTimeout(total=None, sock_connect=10, sock_read=60)}
"""Time-outs of HTTP, seconds; the default ends a transfer after 5 minutes."""
_BEGUN, _COMPLETE = stat.S_IRUSR | stat.S_IWUSR, stat.S_IRUSR
"""Modes of a copy: the mode survives a kill as the content does."""
_FULL = errno.ENOSPC, errno.EDQUOT


def find(url: str) -> Iterator[tuple[str, OSError | None]]:
    """Yields the URLs of all video files, as `find_videos` does, and what cannot be listed.

    Raises ConfigError for a kind of URL that needs another package, or holds a password.
    """
    files, path = _opened(url)
    if _is_video(path):
        yield url, None
        return
    found = False
    for each in _listed(files, path):
        found = True
        yield each
    if not found:
        yield url, OSError(errno.ENOENT, "lists no video file")


def stamp_of(url: str) -> str:
    """Returns what changes with a file: size and version; empty if that cannot be asked."""
    files, path = _opened(url)
    with suppress(*_ERRORS):
        return _stamp(files.info(path))
    return ""


@contextmanager
def local_copy(url: str, limit_bytes: int) -> Iterator[Path]:
    """Copies a file into the cache, unless it is there; deletes others to keep the limit.

    Copies that other processes read stay. Raises SourceError if the file cannot be fetched, and
    ArchiveError if the cache cannot be written.
    """
    files, path = _opened(url)
    try:
        info = files.info(path)
    except _ERRORS as error:
        raise SourceError(shown(url), _reason(error)) from error
    key = hashlib.sha256(f"{identity(url)} {_stamp(info)}".encode()).hexdigest()[:32]
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "plateid/archive"
    copy = folder / f"{key}{Path(urlsplit(path).path).suffix}"
    fetch = partial(_fetch, files, path, copy, _Room(shown(url), copy, limit_bytes))
    with ExitStack() as lock:
        with errors_as(ArchiveError, folder, OSError):
            folder.mkdir(parents=True, exist_ok=True)
            lock.enter_context(_locked(copy, fetch))
            os.utime(copy, (time.time(), _modified(info)))  # the first one tells the oldest use
        yield copy


class _Room(Callback):  # type: ignore[misc] # fsspec has no types
    """Makes room for what is copied; raises SourceError if it is larger than the cache."""

    def __init__(self, url: str, copy: Path, limit_bytes: int) -> None:
        super().__init__()
        self.url, self._copy, self._limit_bytes = url, copy, limit_bytes

    def call(self, *_: object, **__: object) -> None:
        """Takes notice of a stated size, and of bytes that were copied."""
        size, limit = max(self.size or 0, self.value), self._limit_bytes
        if size > limit:
            reason = f"has {size / 1e9:.1f} GB, more than --cache-gb {limit / 1e9:g}"
            raise SourceError(self.url, reason)
        _make_room(self._copy, size, limit)


def _fetch(files: Any, path: str, copy: Path, room: _Room) -> None:
    try:
        files.get_file(path, str(copy), callback=room)
    except (SourceError, *_ERRORS) as error:
        copy.unlink()  # the next one begins anew
        if isinstance(error, SourceError) or getattr(error, "errno", None) in _FULL:
            raise
        raise SourceError(room.url, _reason(error)) from error


def _opened(url: str) -> tuple[Any, str]:
    name = shown(url).rpartition("@")[2]
    if "::" in url or "@" in urlsplit(url).netloc:
        raise ConfigError(name, "a chain of URLs, a user or a password is not supported")
    with errors_as(ConfigError, name, ValueError, ImportError):
        options = {"client_kwargs": _HTTP} if url.startswith("http") else {}
        files, path = fsspec.url_to_fs(url, **options)
        return files, path


def _listed(files: Any, folder: str) -> Iterator[tuple[str, OSError | None]]:
    try:
        infos = sorted(files.ls(folder, detail=True), key=lambda info: info["name"])
    except _ERRORS as error:
        yield files.unstrip_protocol(folder), OSError(errno.EIO, _reason(error))
        return
    for info in infos:
        path = info["name"].rstrip("/")
        if path.rpartition("/")[2].startswith(".") or path == folder.rstrip("/"):
            continue
        if info["type"] == "directory":
            yield from _listed(files, path)
        elif _is_video(path):
            yield files.unstrip_protocol(path), None


def _is_video(path: str) -> bool:
    return Path(urlsplit(path).path).suffix.lower() in VIDEO_SUFFIXES


def _stamp(info: dict[str, Any]) -> str:
    return f"{info.get('size')} {next((info[each] for each in _VERSIONS if info.get(each)), '')}"


def _modified(info: dict[str, Any]) -> float:
    """Returns the time of a file, seconds since 1970; 0 if the storage states none."""
    value = next((info[each] for each in _TIMES if info.get(each)), 0.0)
    moment = parsedate_to_datetime(value) if isinstance(value, str) else value
    return float(moment.timestamp() if hasattr(moment, "timestamp") else moment)


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):  # fsspec says so of all errors of HTTP
        cause = error.__cause__
        return _reason(cause) if isinstance(cause, ClientError) else "does not exist"
    if isinstance(error, ClientResponseError):  # its text has the URL
        missing = error.status == HTTPStatus.NOT_FOUND
        return "does not exist" if missing else f"{error.status} {error.message}"
    return reason_of(error)


@contextmanager
def _locked(copy: Path, fetch: Callable[[], None]) -> Iterator[None]:
    """Keeps a copy from deletion; one process fetches it, and others wait for that."""
    while True:
        descriptor = os.open(copy, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, _BEGUN)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)  # waits while another process fetches
            if _state(descriptor) == (1, _COMPLETE):
                yield
                return
            with suppress(BlockingIOError):  # a wait would last until all readers of it are done
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _state(descriptor) == (1, _BEGUN):  # neither deleted nor fetched meanwhile
                    fetch()
                    os.fsync(descriptor)
                    os.fchmod(descriptor, _COMPLETE)
        finally:
            os.close(descriptor)


def _state(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_nlink, stat.S_IMODE(status.st_mode)


def _make_room(copy: Path, size: int, limit_bytes: int) -> None:
    """Deletes the copies that were used longest ago, but none that a process reads."""
    with suppress(FileNotFoundError):
        others = sorted(copy.parent.iterdir(), key=lambda other: other.stat().st_atime)
        left = size + sum(other.stat().st_size for other in others if other != copy)
        for other in (each for each in others if each != copy):
            if left <= limit_bytes:
                return
            with other.open("rb") as stream, suppress(BlockingIOError):
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left -= other.stat().st_size
                other.unlink()
