"""Updates: to the other root and back, rejected, and rolled back."""

import os
import shutil
from pathlib import Path

import pytest

from tests.firmware.qemu.bundles import altered_root, make_bundle, make_key
from tests.firmware.qemu.conftest import IMAGES, PLATE
from tests.firmware.qemu.virtual_device import BOOT_S, VirtualDevice
from tests.support.broker import until

KEYS = Path(os.environ.get("KEYS", Path.home() / ".local/share/plateid-firmware"))


@pytest.fixture(scope="module")
def board() -> str:
    """One board: the tested code is the same on all boards, and these tests are slow."""
    return "uefi-amd64"


@pytest.fixture(scope="module", autouse=True)
def started(device, board, tmp_path_factory):
    """Starts the device and copies the updates to its data partition."""
    folder = tmp_path_factory.mktemp("updates")
    tiny = folder / "tiny"
    tiny.mkdir()
    (tiny / "anything").write_bytes(os.urandom(100_000))  # rauc wants more than a block
    stranger = make_bundle(board, tiny, make_key(folder / "keys"), folder / "stranger.raucb")
    dead = altered_root(
        device, folder / "dead", lambda root: shutil.rmtree(root / "usr/lib/systemd")
    )
    ill = altered_root(device, folder / "ill", lambda root: shutil.rmtree(root / "opt/plateid/lib"))
    updates = {
        "good": IMAGES / f"plateid-{board}.raucb",
        "stranger": stranger,
        "dead": make_bundle(board, dead, KEYS, folder / "dead.raucb"),
        "ill": make_bundle(board, ill, KEYS, folder / "ill.raucb"),
    }
    device.start()
    device.wait_until_good()
    for name, file in updates.items():
        device.send(file, f"/var/lib/{name}.raucb")
    yield
    device.stop()


def slot(device: VirtualDevice) -> str:
    """Returns the running slot, A or B."""
    return device.answer("sed 's/.*rauc.slot=\\(.\\).*/\\1/' /proc/cmdline")


def restart(device: VirtualDevice) -> None:
    """Reboots and waits until the running root is good."""
    before = device.answer("cat /proc/sys/kernel/random/boot_id")
    device.run("systemctl reboot")
    until(
        lambda: device.run("cat /proc/sys/kernel/random/boot_id").stdout.strip() != before, BOOT_S
    )
    device.wait_until_good()


def install(device: VirtualDevice, name: str) -> None:
    device.answer(f"rauc install /var/lib/{name}.raucb")


def test_update_with_foreign_signature_is_rejected(device):
    refused = device.run("rauc install /var/lib/stranger.raucb")
    assert refused.returncode == 1
    assert "signature verification failed" in refused.stderr + refused.stdout


def test_altered_update_is_rejected(device):
    device.answer("head -c -4000 /var/lib/good.raucb > /var/lib/cut.raucb")
    assert device.run("rauc install /var/lib/cut.raucb").returncode == 1
    restart(device)
    assert slot(device) == "A"


def test_update_boots_the_other_root_and_keeps_the_data(device, subscriber):
    name = device.answer("cat /proc/sys/kernel/hostname")
    install(device, "good")
    restart(device)
    assert (slot(device), device.answer("cat /proc/sys/kernel/hostname")) == ("B", name)
    subscriber.events.clear()
    until(lambda: PLATE in subscriber.plates(), BOOT_S)


def test_rollback_is_one_command(device):
    device.answer("rauc status mark-active other")
    restart(device)
    assert slot(device) == "A"


def test_root_that_does_not_boot_is_rolled_back(device):
    install(device, "dead")
    restart(device)
    assert slot(device) == "A"
    assert "slot B, try 3" in device.console.read_text(errors="replace")


def test_root_whose_service_fails_is_rolled_back(device):
    install(device, "ill")
    restart(device)
    until(lambda: slot(device) == "A", BOOT_S)
    device.wait_until_good()
