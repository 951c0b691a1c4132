"""A device with a wrong configuration boots, reports what is wrong, and serves the set-up."""

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.firmware.qemu.conftest import IMAGES
from tests.firmware.qemu.virtual_device import BOOT_S, VirtualDevice
from tests.support.broker import until
from tests.support.web_client import WebClient

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


def test_system_runs_and_the_root_is_good(device):
    assert device.answer("systemctl is-system-running") == "running"


def test_reason_is_on_the_console_and_the_boot_partition(device):
    assert f"ERROR: plateid.toml: rejected: {REASON}" in device.console.read_text(errors="replace")
    assert REASON in device.answer("cat /efi/plateid/ERROR.txt")
    assert device.answer("ls /efi/plateid").split() == ["ERROR.txt", "plateid.toml"]


def test_dns_sd_record_has_the_name_and_the_reason(device):
    answers = device.answer("resolvectl mdns").splitlines()
    assert all(line.endswith("yes") for line in answers)
    assert device.answer("cat /proc/sys/kernel/hostname").startswith("plateid-")
    assert "camera[0].lop" in device.answer("cat /run/systemd/dnssd/plateid.dnssd")


def test_set_up_demands_the_code_of_the_console_and_starts_the_service(device):
    console = device.console.read_text(errors="replace")
    name = device.answer("cat /proc/sys/kernel/hostname")
    assert f"web UI: http://{name}.local:8480" in console
    code = re.search(r"set-up code: (\w+)", console)[1]
    assert f"set-up code: {code}" in device.answer("journalctl --no-pager -u plateid")
    web = WebClient(device.page_port, timeout_s=600)
    password = {"password": "correct horse", "repeated": "correct horse"}
    assert "Set-up code" in web.request("/login")[1]
    assert web.request("/first-password", {"code": "WRONG"} | password)[0] == 403
    assert web.request("/first-password", {"code": code} | password)[0] == 303
    assert web.post("/setup/regions", **{"region-ro": "on"})[0] == 303
    until(lambda: "event=started" in device.answer("journalctl --no-pager -u plateid"), BOOT_S)
    assert f'device = "{name}"' in device.answer("cat /var/lib/plateid/plateid.toml")
    assert web.request("/start")[0] == 200
