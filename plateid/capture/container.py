"""Opens video containers: files, network streams and V4L2 devices."""

import errno
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import av
import av.error
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from plateid.errors import SourceError, reason_of

TIMEOUT_S = 3.0
"""Default time without data after which a camera counts as failed, seconds."""
_OLD_PYAV = int(av.__version__.split(".")[0]) < 19  # noqa: PLR2004 - the version
_METADATA_OPTIONS: dict[str, Any] = {"metadata_errors": "replace"} if _OLD_PYAV else {}
"""Arguments with which PyAV before 19, the last for Python 3.11, accepts non-UTF-8 metadata."""
_LIVE_FORMATS = "rtsp,mpegts,mjpeg,mpjpeg,h264,hevc,flv,live_flv,matroska,webm,mov,mp4,avi,nut"
"""Container formats that a camera may send. Playlists (HLS, DASH, concat) are refused, because a
hostile camera could make FFmpeg open other hosts with them."""
_CREDENTIALS = re.compile(r"[:=;&,]|%3[ad]", re.IGNORECASE)
"""A path segment with one of these characters may hold a user name and a password."""
_NOT_VIDEO = {"tty", "gif"}
"""Formats that plateid refuses though FFmpeg opens them as video: text files and GIF images."""


@contextmanager
def source_errors(path: Path) -> Iterator[None]:
    """Turns errors of the operating system and of FFmpeg into a SourceError."""
    try:
        yield
    except FileNotFoundError:
        raise SourceError(path, "does not exist") from None
    except (OSError, av.error.FFmpegError) as error:
        raise SourceError(path, error.strerror) from error


def is_file(url: str) -> bool:
    """Returns whether `url` is the path of a video file, not a URL or a device."""
    return "://" not in url and not url.startswith("/dev/")


def open_arguments(
    url: str, timeout_s: float, device_options: Mapping[str, str] | None
) -> dict[str, Any]:
    """Returns the arguments with which `av.open` opens a file, a V4L2 device or a stream."""
    if is_file(url):
        # FFmpeg takes the part before a colon in a relative path for a protocol
        return {"file": str(Path(url).absolute())}
    if "://" not in url:
        return {"file": url, "format": "v4l2", "options": dict(device_options or {})}
    # By default FFmpeg probes for up to 5 s, longer than the time-out, and then delivers old
    # frames. `fflags=nobuffer` drops them with their key frame: the next can be 10 s away.
    network = {
        "timeout": str(round(1e6 * timeout_s)),
        "analyzeduration": "500000",
        "format_whitelist": _LIVE_FORMATS,
    }
    if url.startswith("rtsp"):
        network |= {"rtsp_transport": "tcp", "allowed_media_types": "video"}
    return {"file": url, "options": network, "timeout": (timeout_s + 1, timeout_s)}


def redacted(url: str) -> str:
    """Returns scheme, host, port and path of a URL, for messages.

    Hides user, password and query, and each path segment that may hold credentials, because
    cameras take them in many forms. A path of a file or device is returned as it is.
    """
    if "://" not in url:
        return url
    scheme, _, rest = url.partition("://")
    authority, *tail = re.split(r"(?=[/?#])", rest, maxsplit=1)
    if any("@" in part for part in tail):  # perhaps an unescaped password
        return f"{scheme}://***"
    host = authority.rpartition("@")[2]
    path = re.split(r"[?#]", "".join(tail), maxsplit=1)[0]
    shown = ["***" if _CREDENTIALS.search(segment) else segment for segment in path.split("/")]
    return f"{scheme}://{host}{'/'.join(shown)}"


@contextmanager
def open_container(
    url: str, timeout_s: float = TIMEOUT_S, device_options: Mapping[str, str] | None = None
) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Opens a container and selects its main video stream; FFmpeg's errors become SourceError.

    The time-out applies to network streams: FFmpeg has none for files and devices.
    """
    subject = redacted(url)
    try:
        arguments = open_arguments(url, timeout_s, device_options)
        with av.open(**arguments, **_METADATA_OPTIONS) as container:
            if container.format.name in _NOT_VIDEO:
                raise SourceError(subject, "is not a video")
            yield container, _video_stream(container, subject)
    except av.error.FFmpegError as error:
        # `from None`: FFmpeg's error message holds the URL with its password
        reason = _reason(error, timeout_s if "://" in url else None)
        if error.errno == errno.EIO and "://" in url:
            reason = _host_failure(url) or reason
        raise SourceError(subject, reason) from None


def packets(container: InputContainer) -> Iterator["Packet[Stream]"]:
    """Yields all packets, then an empty packet for each stream, which flushes its decoder."""
    try:
        yield from container.demux()
    except IndexError:  # a PyAV bug at the end of a file whose audio starts late
        return


def decode(
    packet: "Packet[VideoStream]", context: VideoCodecContext | None = None
) -> list[VideoFrame] | None:
    """Returns the frames that a packet completes; None if the packet is damaged."""
    try:
        return (context or packet.stream.codec_context).decode(packet)
    except av.error.InvalidDataError:
        return None


def _video_stream(container: InputContainer, subject: str) -> VideoStream:
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream) or stream.codec_context is None:
        raise SourceError(subject, "holds no video that can be decoded")
    stream.thread_type = "SLICE"  # frame threads delay frames and hide some damage
    return stream


def _host_failure(url: str) -> str | None:
    """Returns why a host name cannot be resolved: FFmpeg only says "Input/output error"."""
    try:
        socket.getaddrinfo(urlsplit(url).hostname, None)
    except (OSError, ValueError) as error:
        return reason_of(error)
    return None


def _reason(error: av.error.FFmpegError, timeout_s: float | None) -> str:
    timed_out = isinstance(error, av.error.ExitError | av.error.TimeoutError)
    invalid = isinstance(error, av.error.InvalidDataError)  # also what a silent RTSP server causes
    if timeout_s is not None and (timed_out or invalid):
        return f"no answer or no video within {timeout_s:g} s"
    if isinstance(error, av.error.FileNotFoundError):
        return "does not exist"
    if timeout_s is not None and isinstance(error, av.error.ArgumentError):
        return "is not a camera's video format; playlists (HLS, DASH) are refused"
    if isinstance(error, av.error.ProtocolNotFoundError):
        return "must begin with rtsp://, http:// or https://"
    return "is not a video, or is damaged" if invalid else str(error.strerror)
