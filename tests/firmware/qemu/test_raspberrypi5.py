"""The image for the Pi 5: files that its EEPROM loads; the root boots in QEMU.

QEMU cannot emulate a Pi 5, so its EEPROM, U-Boot and drivers are not tested.
"""

import json
import struct
import subprocess
from pathlib import Path

import pytest

from tests.firmware.qemu.conftest import IMAGES

BOARD = "raspberrypi5"
IMAGE = IMAGES / f"plateid-{BOARD}.img"
MODULES = {
    "sdhci-brcmstb",
    "gpio-brcmstb",
    "gpio-regulator",
    "pinctrl-brcmstb-bcm2712",
}
"""Modules in the initrd that the SD card slot needs."""


@pytest.fixture(scope="module")
def board() -> str:
    """The board of the fixture `device`."""
    return BOARD


def output(*command: object) -> str:
    words = [str(word) for word in command]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def partitions() -> list[dict[str, object]]:
    return json.loads(output("sfdisk", "--json", IMAGE))["partitiontable"]["partitions"]


@pytest.fixture(scope="module")
def boot(tmp_path_factory, partitions) -> Path:
    """The files of the boot partition."""
    folder = tmp_path_factory.mktemp("boot")
    place = f"{IMAGE}@@{512 * partitions[0]['start']}"
    output("mcopy", "-s", "-i", place, "::/", folder)
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory, partitions) -> Path:
    """The first root: its kernel and its lists of files and packages."""
    folder = tmp_path_factory.mktemp("root")
    place = 512 * partitions[1]["start"]
    files = output("unsquashfs", "-offset", place, "-ls", IMAGE)
    wanted = ("boot", "usr/share/plateid/packages")
    output("unsquashfs", "-q", "-n", "-offset", place, "-dest", folder / "root", IMAGE, *wanted)
    (folder / "files").write_text(files)
    return folder


@pytest.fixture(scope="module")
def packages(root) -> dict[str, str]:
    """The versions of Debian's packages in it."""
    lines = (root / "root/usr/share/plateid/packages").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_first_partition_is_fat_with_grub(partitions, boot):
    efi = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
    assert [row["name"] for row in partitions] == [
        *("plateid-esp", "plateid-root-a", "plateid-root-b", "plateid-var")
    ]
    assert partitions[0]["type"] == efi
    assert (boot / "EFI/BOOT/BOOTAA64.EFI").read_bytes()[:2] == b"MZ"


def test_kernel_of_config_txt_exists(boot):
    settings = dict(
        line.split("=", 1)
        for line in (boot / "config.txt").read_text().splitlines()
        if "=" in line and not line.startswith("#")
    )
    assert (boot / settings["kernel"]).stat().st_size > 500_000
    assert settings["arm_64bit"] == "1"


def test_device_tree_is_for_the_pi_5(boot):
    tree = (boot / "bcm2712-rpi-5-b.dtb").read_bytes()
    assert struct.unpack(">II", tree[:8]) == (0xD00DFEED, len(tree))
    assert b"raspberrypi,5-model-b\0" in tree


def test_kernel_is_from_backports_and_boots_from_efi(root, packages):
    assert (root / "root/boot/vmlinuz").read_bytes()[:2] == b"MZ"
    assert "~bpo13+" in packages["linux-image-arm64"]


def test_initrd_has_the_drivers_of_the_sd_card(root):
    listed = output("lsinitramfs", root / "root/boot/initrd")
    found = {Path(line).name.split(".")[0] for line in listed.splitlines() if ".ko" in line}
    assert MODULES - found == set()


def test_watchdog_and_ethernet_have_drivers(root):
    files = (root / "files").read_text()
    assert all(f"/{name}.ko" in files for name in ("bcm2835_wdt", "macb", "rp1_pci"))


def test_image_fits_on_4_gb_and_download_is_small():
    assert IMAGE.stat().st_size < 3.6e9
    assert IMAGE.with_suffix(".img.zst").stat().st_size < 450e6


def test_root_boots_with_the_kernel_of_backports(device, packages):
    device.start()
    device.wait_until_good()
    assert device.answer("systemctl --failed --no-legend --plain") == ""
    assert device.answer("rauc status --output-format=shell | grep COMPATIBLE").endswith(
        f"{BOARD}'"
    )
    assert f"linux-image-{device.answer('uname -r')}" in packages
    device.stop()
