"""Asks ONVIF cameras for the addresses of their streams, and for a key frame."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit
from xml.sax.saxutils import escape

from plateid.capture.container import redacted
from plateid.errors import SourceError, printable

if TYPE_CHECKING:
    from onveef import OnvifClient

TIMEOUT_S = 2.5
"""Longest wait for an answer, seconds: a person looks at the page meanwhile."""
PROBE_S = 1.0
"""Time that a camera has to name its service, seconds; ONVIF allows it 0.5 s."""
SUB_WIDTH = 640
"""Minimum width of a sub-stream, pixels: the detector sees 768, and misses plates in fewer."""
KEY_FRAME = "SetSynchronizationPoint"
"""Operation of the media service that requests a key frame (ONVIF Media Service, 5.15)."""


def stream_addresses(service: str, user: str, password: str) -> tuple[str, str]:
    """Returns the addresses of an ONVIF camera's main stream and sub-stream, with its login.

    The sub-stream is empty if there is none. The password is sent hashed only, with the time of the
    camera's clock if it refuses that of the device. Raises SourceError with the reason.
    """
    with _client(service, user, password) as camera:
        profiles = camera.get_profiles() or [{"token": ""}]
        main, *others = sorted(profiles, key=_width, reverse=True)
        subs = [each for each in others if SUB_WIDTH <= _width(each) < _width(main)]
        subs = [each for each in subs if _lens(each) == _lens(main)]
        tokens = [each["token"] for each in (main, *subs[-1:])]
        found = [camera.get_stream_uri(profile_token=t, with_credentials=True) for t in tokens]
    if not found[0]:
        raise SourceError(service, "gives no address of a stream")
    return found[0], "".join(found[1:])


def request_key_frame(url: str) -> None:
    """Requests a key frame of each stream of the camera at a stream's address, with its login.

    Asks the camera for its ONVIF service first. Raises SourceError with the reason.
    """
    from onveef.wsdiscovery import probe_device  # noqa: PLC0415 - slow to load

    parts = urlsplit(url)
    try:
        found = probe_device(parts.hostname or "", timeout_s=PROBE_S)
    except OSError as error:
        raise SourceError(redacted(url), error.strerror) from error
    if not found:
        raise SourceError(redacted(url), "no ONVIF service answers")
    service = urlsplit(found[0].address)  # another host would get the login
    service = service._replace(netloc=f"{parts.hostname}:{service.port or 80}")
    login = unquote(parts.username or ""), unquote(parts.password or "")
    with _client(service.geturl(), *login) as camera:
        for profile in camera.get_profiles():
            token = f"<trt:ProfileToken>{escape(profile['token'])}</trt:ProfileToken>"
            body = f"<trt:{KEY_FRAME}>{token}</trt:{KEY_FRAME}>"
            camera.call(service="media", operation=KEY_FRAME, body_inner=body)


@contextmanager
def _client(service: str, user: str, password: str) -> Iterator["OnvifClient"]:
    """Connects to a camera; its errors become SourceError."""
    from httpx import InvalidURL  # noqa: PLC0415 - slow to load
    from onveef import OnvifAuthError, OnvifClient, OnvifError  # noqa: PLC0415 - slow to load

    login: dict[str, Any] = {"username": user, "password": password, "http_auth": "digest"}
    try:
        with OnvifClient(service, **login, timeout_s=TIMEOUT_S) as camera:
            camera.discover_services()  # raises if nothing answers; later, the reason would be lost
            yield camera
    except OnvifAuthError as error:
        raise SourceError(service, "refuses this user name or password") from error
    except (OnvifError, InvalidURL) as error:
        raise SourceError(service, printable(str(error))) from error


def _width(profile: Mapping[str, Any]) -> int:
    return int(profile.get("video_encoder", {}).get("width") or 0)


def _lens(profile: Mapping[str, Any]) -> object:
    """Returns the video source, of which a camera with two lenses and a recorder have several."""
    return profile.get("video_source", {}).get("source_token")
