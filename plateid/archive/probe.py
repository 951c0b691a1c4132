"""Finds video files, and probes their start, duration and key frames without decoding them."""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote

from plateid.capture.container import source_errors
from plateid.capture.recording_names import named_folders, start_in_name
from plateid.capture.video_file import VideoFile, open_video
from plateid.files import fingerprint

CACHE_BYTES = 16_000_000_000
"""Default size of the copies of files at URLs on a machine."""
_SIGNATURE = re.compile(
    r"X-Amz-|X-Goog-|(AWSAccessKeyId|GoogleAccessId|Signature|Expires|Policy|Key-Pair-Id|"
    r"sig|se|sp|spr|sr|srt|ss|st|sv)=",
    re.IGNORECASE,
)
"""Begin of a parameter that signs a URL for a time: of S3, Google, CloudFront and Azure."""


@dataclass(frozen=True)
class Recording:
    """A probed file.

    `source` is its path or URL, `stamp` that of `stamp_of`; `states_start`: metadata or name state
    `start` (aware). `first_s` is the timestamp of the first frame; `keys_s` are media times of key
    frames: if there is only one, the file cannot be read from elsewhere. `kind` is codec, size and
    rate, `load` pixels a second.
    """

    source: str
    stamp: str
    fingerprint: str
    camera: str
    start: datetime
    states_start: bool
    first_s: float
    duration_s: float
    keys_s: tuple[float, ...]
    kind: str
    load: float

    @property
    def place(self) -> tuple[str, ...]:
        """The folders of the recordings that may follow each other: those without a date."""
        return self.camera, *named_folders(Path(shown(self.source)))


def is_url(source: str) -> bool:
    """Returns whether a source is a URL: a path has no double slash."""
    return "://" in source


@contextmanager
def local_file(source: str, cache_bytes: int) -> Iterator[Path]:
    """Yields the path of a file, or of its copy if it is at a URL; raises SourceError."""
    if is_url(source):
        from plateid.archive.remote import local_copy  # noqa: PLC0415 - loads clients of storages

        with local_copy(source, cache_bytes) as path:
            yield path
    else:
        yield Path(source)


def stamp_of(source: str) -> str:
    """Returns what changes with a file: size and time; empty if there is no file."""
    if is_url(source):
        from plateid.archive import remote  # noqa: PLC0415 - as above

        return remote.stamp_of(source)
    try:
        status = Path(source).stat()
    except (OSError, ValueError):  # a NUL character
        return ""
    return f"{status.st_size} {status.st_mtime_ns}"


def shown(source: str) -> str:
    """Returns a path as UTF-8, with other bytes escaped; a URL without its query: a secret."""
    return os.fsencode(_parts(source)[0]).decode("utf-8", "backslashreplace")


def identity(source: str) -> str:
    """Returns what stands for a source in files: a query may be a secret, so its hash.

    What signs a URL is left out: it differs each time.
    """
    path, query = _parts(source)
    kept = "&".join(each for each in query.split("&") if not _SIGNATURE.match(each))
    return f"{path}?{hashlib.sha256(kept.encode()).hexdigest()[:32]}" if kept else path


def _parts(source: str) -> tuple[str, str]:
    """Returns a source without its query, and the query, which only web servers have."""
    if not source.lower().startswith(("http://", "https://")):
        return source, ""
    path, _, query = source.partition("?")
    return path, query


def probe(source: str, default_start: datetime | None, cache_bytes: int = CACHE_BYTES) -> Recording:
    """Probes a file. Raises SourceError if no frame can be decoded.

    The start is that of the metadata, or of the name, or `default_start`, or the file's time.
    """
    stamp = stamp_of(source)
    named, camera = start_in_name(unquote(shown(source)) if is_url(source) else source)
    with local_file(source, cache_bytes) as path, _opened(path) as (hashed, video):
        if (first := next(video.frames(), None)) is None:
            video.check()
        first_s = (first and first.time) or 0.0
        stated, context = video.created_at or named, video.stream.codec_context
        length_s, keys_s = video.length(first_s)
        rate = float(video.stream.average_rate or 25)
        return Recording(
            source,
            stamp,
            hashed,
            shown(camera),
            stated or default_start or video.start,
            stated is not None,
            first_s,
            length_s,
            tuple(keys_s),
            f"{context.name} {context.width}x{context.height} {rate:.1f}",
            context.width * context.height * rate,
        )


@contextmanager
def _opened(path: Path) -> Iterator[tuple[str, VideoFile]]:
    with source_errors(path):
        hashed = fingerprint(path)  # of a regular file: FFmpeg would wait for a FIFO
    with open_video(path) as video:
        yield hashed, video
