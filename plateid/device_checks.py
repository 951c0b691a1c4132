"""Tests cameras and brokers for the web UI and the command line."""

import asyncio
import fcntl
import socket
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

from plateid.capture.onvif import stream_addresses
from plateid.capture.stream import probe
from plateid.config.cameras import MAX_CAMERAS, CameraConfig
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
FRAME_RATE = 15.0
"""Assumed frame rate of a camera that does not answer or states none, frames a second."""
DISCOVERY_S = 3.0
"""Time that cameras have to answer a probe, seconds; ONVIF allows them 0.5 s."""
CAMERAS = "dn:NetworkVideoTransmitter"
"""Type of ONVIF devices that send video."""
SIOCGIFADDR = 0x8915
"""Request for the IPv4 address of an interface (netdevice(7))."""


def hooks_of(service: Supervisor) -> Hooks:
    """Returns what the web UI needs of a service and of this device."""
    tests = (camera_image, find_home_assistant, find_cameras, stream_addresses)
    return Hooks(service.reload, service.restart, *tests)


def find_cameras() -> list[tuple[str, str]]:
    """Returns name and service of the ONVIF cameras in the network, and USB cameras without one.

    Probes all interfaces at a time, by WS-Discovery (ONVIF Core Specification, 7.3).
    """
    from onveef.wsdiscovery import discover_async  # noqa: PLC0415 - slow to load

    own = list(interface_addresses())
    devices = asyncio.run(discover_async(timeout_s=DISCOVERY_S, types=CAMERAS, interface_ip=own))
    found = {each.address: unquote(each.name or each.hardware) for each in devices}
    named = [(printable(name).replace("_", " "), address) for address, name in found.items()]
    return sorted(named) + [(str(device), "") for device in sorted(Path("/dev").glob("video*"))]


def interface_addresses() -> Iterator[str]:
    """Yields the IPv4 address of each network interface that has one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        for _, name in socket.if_nameindex():
            with suppress(OSError):
                answer = fcntl.ioctl(asked, SIOCGIFADDR, name.encode().ljust(40, b"\0"))
                yield socket.inet_ntoa(answer[20:24])


def frames_per_second(cameras: Iterable[CameraConfig]) -> float:
    """Returns the sum of the cameras' frame rates."""
    with ThreadPoolExecutor(MAX_CAMERAS) as pool:
        return sum(pool.map(_frame_rate, (each for each in cameras if each.kind == "stream")))


def _frame_rate(camera: CameraConfig) -> float:
    try:
        options = camera.device_options
        info = probe(camera.url, timeout_s=camera.timeout_s, options=options, limit_s=IMAGE_S)
    except SourceError:
        return FRAME_RATE
    return info.fps or FRAME_RATE


def camera_image(config: CameraConfig) -> tuple[bytes, str]:
    """Returns an image of a camera as JPEG, and its format; raises SourceError within `IMAGE_S`."""
    timeout_s = min(config.timeout_s, IMAGE_S / 2)
    info = probe(config.url, timeout_s=timeout_s, options=config.device_options, limit_s=IMAGE_S)
    width = min(IMAGE_WIDTH, info.image.width) & ~1
    height = max(2, round(info.image.height * width / info.image.width) & ~1)
    return encode_jpeg(info.image.resized(width, height), JPEG_QUALITY), str(info)
