"""A device with a wrong configuration boots and reports what is wrong."""

import html
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.firmware.qemu.conftest import IMAGES
from tests.firmware.qemu.virtual_device import VirtualDevice

BOARD = "uefi-amd64"
WRONG = 'camera = [{name = "gate", url = "rtsp://camera.local/stream", lop = true}]\n'
REASON = 'line 1: unknown key "camera[0].lop": did you mean "loop"?'


@pytest.fixture(scope="module")
def device(tmp_path_factory) -> Iterator[VirtualDevice]:
    """A device whose first configuration is wrong."""
    folder: Path = tmp_path_factory.mktemp("wrong")
    with closing(VirtualDevice(BOARD, IMAGES / f"plateid-{BOARD}.img", folder)) as made:
        wrong = folder / "plateid.toml"
        wrong.write_text(WRONG)
        made.copy_to_boot_partition("plateid/plateid.toml", wrong)
        made.copy_to_boot_partition("plateid/authorized_keys", made.public_key)
        made.start()
        made.wait_until_good()
        yield made
        made.stop()


def test_system_runs_without_plateid(device):
    assert device.answer("systemctl is-system-running") == "running"
    assert device.run("systemctl is-active plateid").stdout == "inactive\n"


def test_reason_is_on_the_page_the_console_and_the_boot_partition(device):
    with urllib.request.urlopen(f"http://127.0.0.1:{device.page_port}/", timeout=600) as page:
        assert html.escape(REASON) in page.read().decode()
    assert f"ERROR: plateid.toml: rejected: {REASON}" in device.console.read_text(errors="replace")
    assert REASON in device.answer("cat /efi/plateid/ERROR.txt")
    assert device.answer("ls /efi/plateid").split() == ["ERROR.txt", "plateid.toml"]


def test_dns_sd_record_has_the_name_and_the_reason(device):
    answers = device.answer("resolvectl mdns").splitlines()
    assert all(line.endswith("yes") for line in answers)
    assert device.answer("cat /proc/sys/kernel/hostname").startswith("plateid-")
    assert "camera[0].lop" in device.answer("cat /run/systemd/dnssd/plateid.dnssd")
