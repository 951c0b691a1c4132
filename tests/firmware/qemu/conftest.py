"""A device with configuration on its boot partition and a video file on its data partition."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.firmware.qemu.subscriber import Subscriber
from tests.firmware.qemu.virtual_device import REPOSITORY, VirtualDevice
from tests.support.certificates import Authority

IMAGES = Path(os.environ.get("OUT", REPOSITORY / "build/firmware"))
PLATE = "EK749HX"
"""Plate of the vehicle in the video file."""
CONFIG = """
# Under emulation a frame takes seconds: passes must not end in between.
camera = [{name = "gate", url = "/var/lib/appliance/video.mp4", loop = true}]
events = {min_reads = 2, lost_s = 25, regions = ["fr"]}
store.path = "/var/lib/plateid/plateid.sqlite3"
web = {enabled = true, host = "0.0.0.0"}
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.timeout(3 * 3600))
        # paho leaves a socket open whose other side went away in the handshake
        item.add_marker(
            pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
        )


@pytest.fixture(scope="session")
def video(tmp_path_factory) -> Path:
    """One vehicle of the demo video, 60 times slower, and an empty road after it."""
    made = tmp_path_factory.mktemp("video") / "video.mp4"
    demo = REPOSITORY / "plateid/demo/demo.mp4"
    options = ["-an", "-vf", "setpts=60*(PTS-STARTPTS),fps=1", "-g", "4", "-bf", "0"]
    command = ["ffmpeg", "-v", "error", "-ss", "19.4", "-i", demo, *options, made]
    subprocess.run(command, check=True)
    return made


@pytest.fixture(scope="module", params=["uefi-amd64", "uefi-arm64"])
def board(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def device(board, tmp_path_factory, video) -> Iterator[VirtualDevice]:
    """A configured device that is off."""
    folder = tmp_path_factory.mktemp(board)
    with closing(VirtualDevice(board, IMAGES / f"plateid-{board}.img", folder)) as made:
        authority = Authority(folder)
        issued = authority.issue("127.0.0.1")
        texts = {"plateid.toml": CONFIG, "web-password": "correct horse", "mqtt-users": "host:word"}
        files = {"authorized_keys": made.public_key, "mqtt-server.crt": issued.file}
        files["mqtt-server.key"] = issued.key
        for name, text in texts.items():
            files[name] = folder / name
            files[name].write_text(text)
        for name, file in files.items():
            made.copy_to_boot_partition(f"plateid/{name}", file)
        made.debugfs(f"write {video} lib/appliance/video.mp4", "-w")
        made.authority = authority.certificate.file
        yield made


@pytest.fixture(scope="module")
def subscriber(device) -> Iterator[Subscriber]:
    """An MQTT subscriber on the host."""
    with closing(Subscriber(device.mqtt_port, device.authority)) as made:
        yield made
