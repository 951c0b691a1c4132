"""Updates: to the other root and back, refused, and undone."""

import os
import shutil
from pathlib import Path

import pytest

from tests.firmware.qemu.appliance import BOOT_S, Appliance
from tests.firmware.qemu.bundles import altered_root, make_bundle, make_key
from tests.firmware.qemu.conftest import IMAGES, PLATE
from tests.support.broker import until

KEYS = Path(os.environ.get("KEYS", Path.home() / ".local/share/plateid-firmware"))


@pytest.fixture(scope="module")
def board() -> str:
    """One of them: what is tested here is the same in all, and takes most of the time."""
    return "uefi-amd64"


@pytest.fixture(scope="module", autouse=True)
def started(box, board, tmp_path_factory):
    """With the updates on its data partition."""
    folder = tmp_path_factory.mktemp("updates")
    tiny = folder / "tiny"
    tiny.mkdir()
    (tiny / "anything").write_bytes(os.urandom(100_000))  # rauc wants more than a block
    stranger = make_bundle(board, tiny, make_key(folder / "keys"), folder / "stranger.raucb")
    dead = altered_root(box, folder / "dead", lambda root: shutil.rmtree(root / "usr/lib/systemd"))
    ill = altered_root(box, folder / "ill", lambda root: shutil.rmtree(root / "opt/plateid/lib"))
    updates = {
        "good": IMAGES / f"plateid-{board}.raucb",
        "stranger": stranger,
        "dead": make_bundle(board, dead, KEYS, folder / "dead.raucb"),
        "ill": make_bundle(board, ill, KEYS, folder / "ill.raucb"),
    }
    box.start()
    box.wait_until_good()
    for name, file in updates.items():
        box.send(file, f"/var/lib/{name}.raucb")
    yield
    box.stop()


def slot(box: Appliance) -> str:
    """From which root it runs."""
    return box.answer("sed 's/.*rauc.slot=\\(.\\).*/\\1/' /proc/cmdline")


def restart(box: Appliance) -> None:
    """And waits until it has started well, wherever."""
    before = box.answer("cat /proc/sys/kernel/random/boot_id")
    box.run("systemctl reboot")
    until(lambda: box.run("cat /proc/sys/kernel/random/boot_id").stdout.strip() != before, BOOT_S)
    box.wait_until_good()


def install(box: Appliance, name: str) -> None:
    box.answer(f"rauc install /var/lib/{name}.raucb")


def test_an_update_that_somebody_else_signed_is_refused(box):
    refused = box.run("rauc install /var/lib/stranger.raucb")
    assert refused.returncode == 1
    assert "signature verification failed" in refused.stderr + refused.stdout


def test_an_update_that_was_altered_is_refused(box):
    box.answer("head -c -4000 /var/lib/good.raucb > /var/lib/cut.raucb")
    assert box.run("rauc install /var/lib/cut.raucb").returncode == 1
    restart(box)
    assert slot(box) == "A"


def test_an_update_starts_from_the_other_root_and_keeps_what_the_box_knows(box, subscriber):
    name = box.answer("cat /proc/sys/kernel/hostname")
    install(box, "good")
    restart(box)
    assert (slot(box), box.answer("cat /proc/sys/kernel/hostname")) == ("B", name)
    subscriber.events.clear()
    until(lambda: PLATE in subscriber.plates(), BOOT_S)


def test_the_way_back_is_one_command(box):
    box.answer("rauc status mark-active other")
    restart(box)
    assert slot(box) == "A"


def test_a_root_that_does_not_start_gives_way_by_itself(box):
    install(box, "dead")
    restart(box)
    assert slot(box) == "A"
    assert "slot B, try 3" in box.console.read_text(errors="replace")


def test_a_root_whose_service_does_not_run_gives_way_by_itself(box):
    install(box, "ill")
    restart(box)
    until(lambda: slot(box) == "A", BOOT_S)
    box.wait_until_good()
