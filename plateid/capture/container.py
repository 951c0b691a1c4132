"""Opens whatever holds video: files, network streams, V4L2 devices."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import av
import av.error
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from plateid.errors import SourceError

STALL_S = 3.0
"""A camera that sends nothing for this long has stopped; FFmpeg takes up to three times as long."""
_SURROGATES_SINCE = 19
_ANY_TEXT: dict[str, Any] = (
    {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < _SURROGATES_SINCE else {}
)
"""Tags are not always UTF-8; older PyAV, the last for Python 3.11, refuses such clips."""
NO_OPTIONS: Mapping[str, str] = MappingProxyType({})
_HIDDEN = r"(?i)\b((?:user|login|pass|ps?wd?|pin|secret|token|auth|key|sig)[^=&/?]*)=[^&/]*"
_NO_VIDEO = {"tty", "gif"}
"""FFmpeg draws texts as terminal art, and plays GIF pictures as clips."""


@dataclass(frozen=True)
class Source:
    """Where a container is, and how FFmpeg should open it.

    Attributes:
        url: URL, device or path, with its password.
        format: Of the container; None lets FFmpeg find out.
        options: FFmpeg's.
        timeout_s: To open it, and for each read from it; None waits for ever.
    """

    url: str
    format: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    timeout_s: tuple[float, float] | None = None


def is_file(url: str) -> bool:
    """Whether this is the path of a clip, not a URL or a device."""
    return "://" not in url and not url.startswith("/dev/")


def live_source(url: str, timeout_s: float, options: Mapping[str, str] = NO_OPTIONS) -> Source:
    """How to open a camera: RTSP over TCP, video only, and nothing may stall for ever.

    `options` are for devices.
    """
    if "://" not in url:
        return Source(url, format="v4l2", options={**options})
    # FFmpeg probes for up to 5 s, longer than the time-out, and hands those old frames out first.
    # (fflags=nobuffer drops them, key frame included: then the first picture can be 10 s away.)
    network = {"timeout": str(round(1e6 * timeout_s)), "analyzeduration": "500000"}
    if url.startswith("rtsp"):
        network |= {"rtsp_transport": "tcp", "allowed_media_types": "video"}
    return Source(url, options=network, timeout_s=(timeout_s + 1, timeout_s))


def redacted(url: str) -> str:
    """The URL without user and password, wherever vendors put them; rather hides too much."""
    if "://" not in url:
        return url
    url = re.sub(_HIDDEN, r"\1=***", url)
    return re.sub(r"://.*@", "://", url)


@contextmanager
def opened(source: Source) -> Iterator[tuple[InputContainer, VideoStream]]:
    """An open container and its main video stream.

    Raises:
        SourceError: It cannot be opened, holds no video, or fails in the `with` block.
    """
    subject = redacted(source.url)
    try:
        with av.open(
            # of a bare name with a colon, FFmpeg takes what is before it for a protocol
            str(Path(source.url).absolute()) if is_file(source.url) else source.url,
            format=source.format,
            options=source.options,
            timeout=source.timeout_s,
            **_ANY_TEXT,
        ) as container:
            if container.format.name in _NO_VIDEO:
                raise SourceError(subject, "is not a video")
            yield container, _video(container, subject)
    except av.error.FFmpegError as error:
        # from None: FFmpeg's own error holds the URL with its password
        raise SourceError(subject, _reason(error, source)) from None


def packets(container: InputContainer) -> Iterator["Packet[Stream]"]:
    """All packets, and an empty one of each stream at the end."""
    try:
        yield from container.demux()
    except IndexError:  # PyAV's, at the end of one whose sound began late
        return


def _video(container: InputContainer, subject: str) -> VideoStream:
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream) or stream.codec_context is None:
        raise SourceError(subject, "holds no video that can be decoded")
    stream.thread_type = "SLICE"  # threads by frame hold frames back, and miss some of the damage
    return stream


def _reason(error: av.error.FFmpegError, source: Source) -> str:
    timed_out = isinstance(error, av.error.ExitError | av.error.TimeoutError)
    invalid = isinstance(error, av.error.InvalidDataError)  # what a silent RTSP server ends in, too
    if source.timeout_s is not None and (timed_out or invalid):
        return f"no answer or no video within {source.timeout_s[1]:g} s"
    if isinstance(error, av.error.FileNotFoundError):
        return "does not exist"
    return "is not a video, or is damaged" if invalid else str(error.strerror)


def decoded(packet: "Packet[VideoStream]") -> list[VideoFrame] | None:
    """The frames that a packet completes, the last one all others; None when it is damaged."""
    try:
        return packet.decode()
    except av.error.InvalidDataError:
        return None
