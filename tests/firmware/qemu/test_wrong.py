"""A box that was given a wrong configuration comes up all the same, and says what is wrong."""

import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.firmware.qemu.appliance import Appliance
from tests.firmware.qemu.conftest import IMAGES

BOARD = "uefi-amd64"
WRONG = 'camera = [{name = "gate", url = "rtsp://camera.local/stream", lop = true}]\n'
REASON = "camera[0].lop: Extra inputs are not permitted"


@pytest.fixture(scope="module")
def box(tmp_path_factory) -> Iterator[Appliance]:
    """It has never had a configuration."""
    folder: Path = tmp_path_factory.mktemp("wrong")
    with closing(Appliance(BOARD, IMAGES / f"plateid-{BOARD}.img", folder)) as made:
        wrong = folder / "plateid.toml"
        wrong.write_text(WRONG)
        made.lay("plateid/plateid.toml", wrong)
        made.lay("plateid/authorized_keys", made.public_key)
        made.start()
        made.wait_until_good()
        yield made
        made.stop()


def test_all_else_works(box):
    assert box.answer("systemctl is-system-running") == "running"
    assert box.run("systemctl is-active plateid").stdout == "inactive\n"


def test_the_reason_is_on_its_page_its_console_and_its_boot_partition(box):
    with urllib.request.urlopen(f"http://127.0.0.1:{box.page_port}/", timeout=600) as page:
        assert REASON in page.read().decode()
    assert f"WRONG: plateid.toml: refused: {REASON}" in box.console.read_text(errors="replace")
    assert REASON in box.answer("cat /efi/plateid/ERROR.txt")
    assert box.answer("ls /efi/plateid").split() == ["ERROR.txt", "plateid.toml"]


def test_the_network_is_told_its_name_and_the_reason(box):
    answers = box.answer("resolvectl mdns").splitlines()
    assert all(line.endswith("yes") for line in answers)
    assert box.answer("cat /proc/sys/kernel/hostname").startswith("plateid-")
    assert "camera[0].lop" in box.answer("cat /run/systemd/dnssd/plateid.dnssd")
