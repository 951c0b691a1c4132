"""Tests cameras and brokers for the web UI and the command line."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from plateid.capture.stream import probe
from plateid.config.cameras import CameraConfig
from plateid.core.drawing import encode_jpeg
from plateid.errors import printable
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
    return Hooks(service.reload, service.restart, camera_image, find_home_assistant, find_cameras)


def find_cameras() -> list[tuple[str, str]]:
    """Returns name and host of the ONVIF cameras in the network, and of USB cameras without host.

    Uses WS-Discovery as the ONVIF Core Specification demands (7.3).
    """
    from onveef.wsdiscovery import discover  # noqa: PLC0415 - slow to load

    found = {
        urlsplit(device.address).hostname or device.address: device.name or device.hardware
        for device in discover(timeout_s=DISCOVERY_S, types=CAMERAS)
    }
    named = [(printable(unquote(name)).replace("_", " "), host) for host, name in found.items()]
    return sorted(named) + [(str(device), "") for device in sorted(Path("/dev").glob("video*"))]


def camera_image(config: CameraConfig) -> tuple[bytes, str]:
    """Returns an image of a camera as JPEG, and its format; raises SourceError within `IMAGE_S`."""
    timeout_s = min(config.timeout_s, IMAGE_S / 2)
    info = probe(config.url, timeout_s=timeout_s, options=config.device_options, limit_s=IMAGE_S)
    width = min(IMAGE_WIDTH, info.image.width) & ~1
    height = max(2, round(info.image.height * width / info.image.width) & ~1)
    return encode_jpeg(info.image.resized(width, height), JPEG_QUALITY), str(info)
