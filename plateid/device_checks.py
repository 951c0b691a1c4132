"""Tests cameras and brokers for the web UI and the command line."""

from pathlib import Path
from typing import Any
from urllib.parse import unquote

from plateid.capture.stream import probe
from plateid.config.cameras import CameraConfig
from plateid.core.drawing import encode_jpeg
from plateid.errors import SourceError, printable
from plateid.outputs.mqtt import find_home_assistant
from plateid.service.supervisor import Supervisor
from plateid.web.site import Hooks

IMAGE_S = 5.0
"""Longest wait for the image of a camera test, seconds: a person looks at the page meanwhile."""
IMAGE_WIDTH = 960
"""Maximum width of that image, pixels: that of the live view."""
JPEG_QUALITY = 80
"""JPEG quality (0-100) of that image."""
DISCOVERY_S = 3.0
"""Time that cameras have to answer a probe, seconds; ONVIF allows them 0.5 s."""
CAMERAS = "dn:NetworkVideoTransmitter"
"""Type of ONVIF devices that send video."""


def hooks_of(service: Supervisor) -> Hooks:
    """Returns what the web UI needs of a service and of this device."""
    tests = (camera_image, find_home_assistant, find_cameras, stream_address)
    return Hooks(service.reload, service.restart, *tests)


def find_cameras() -> list[tuple[str, str]]:
    """Returns name and service of the ONVIF cameras in the network, and USB cameras without one.

    Uses WS-Discovery as the ONVIF Core Specification demands (7.3).
    """
    from onveef.wsdiscovery import discover  # noqa: PLC0415 - slow to load

    devices = discover(timeout_s=DISCOVERY_S, types=CAMERAS)
    found = {each.address: unquote(each.name or each.hardware) for each in devices}
    named = [(printable(name).replace("_", " "), address) for address, name in found.items()]
    return sorted(named) + [(str(device), "") for device in sorted(Path("/dev").glob("video*"))]


def stream_address(service: str, user: str, password: str) -> str:
    """Returns the address of the widest stream of an ONVIF camera, with its login.

    The password is sent hashed only. Raises SourceError with the reason if there is none.
    """
    from httpx import InvalidURL  # noqa: PLC0415 - slow to load
    from onveef import OnvifAuthError, OnvifClient, OnvifError  # noqa: PLC0415 - slow to load

    login: dict[str, Any] = {"username": user, "password": password, "http_auth": "digest"}
    try:
        with OnvifClient(service, **login, timeout_s=IMAGE_S / 2) as camera:
            camera.discover_services()  # raises if nothing answers; later, the reason would be lost
            profiles = camera.get_profiles() or [{"token": ""}]
            best = max(profiles, key=lambda p: int(p.get("video_encoder", {}).get("width") or 0))
            address = camera.get_stream_uri(profile_token=best["token"], with_credentials=True)
    except OnvifAuthError as error:
        raise SourceError(service, "refuses this user name or password") from error
    except (OnvifError, InvalidURL) as error:
        raise SourceError(service, printable(str(error))) from error
    if not address:
        raise SourceError(service, "gives no address of a stream")
    return address


def camera_image(config: CameraConfig) -> tuple[bytes, str]:
    """Returns an image of a camera as JPEG, and its format; raises SourceError within `IMAGE_S`."""
    timeout_s = min(config.timeout_s, IMAGE_S / 2)
    info = probe(config.url, timeout_s=timeout_s, options=config.device_options, limit_s=IMAGE_S)
    width = min(IMAGE_WIDTH, info.image.width) & ~1
    height = max(2, round(info.image.height * width / info.image.width) & ~1)
    return encode_jpeg(info.image.resized(width, height), JPEG_QUALITY), str(info)
