"""A box is set up by files on its boot partition, starts, and says what it sees."""

import logging
import time
import urllib.request

import pytest

from tests.firmware.qemu.appliance import BOOT_S
from tests.firmware.qemu.conftest import PLATE
from tests.support.broker import until

_log = logging.getLogger(__name__)


@pytest.fixture(scope="module", autouse=True)
def started(box, subscriber):
    """Of the first start; its event comes first, as nothing else may be asked for."""
    box.set_kernel_options("systemd.journald.forward_to_console=1")
    started = time.monotonic()
    box.start()
    until(lambda: PLATE in subscriber.plates(), BOOT_S)
    _log.info("%s on the host %.0f s after power-on", PLATE, time.monotonic() - started)
    box.wait_until_good()
    assert "event=plate_seen" in box.console.read_text(errors="replace")
    _log.info("its serial log: %s", box.console)
    _log.info(box.answer("systemd-analyze time"))
    _log.info(box.answer("systemd-analyze critical-chain plateid.service"))
    yield
    box.stop()
    assert box.fsck().returncode == 0


def test_no_unit_failed_and_no_order_is_a_cycle(box):
    assert box.answer("systemctl --failed --no-legend --plain") == ""
    assert box.answer("systemctl is-system-running") == "running"
    assert "ordering cycle" not in box.answer("journalctl --boot --no-pager")


def test_the_service_of_the_repository_runs_and_all_it_needs_is_there(box):
    assert box.answer("systemctl show --value -p FragmentPath plateid").endswith(
        "/etc/systemd/system/plateid.service"
    )
    assert "FAIL" not in box.answer("plateid check --config /etc/plateid/plateid.toml")


def test_what_was_laid_on_the_boot_partition_was_taken_over(box):
    assert box.answer("ls /efi/plateid") == ""
    name = box.answer("cat /proc/sys/kernel/hostname")
    assert name == f"plateid-{box.answer('head -c 4 /etc/machine-id')}"
    assert f"{name}: plateid.toml taken over" in box.console.read_text(errors="replace")


def test_its_page_asks_for_a_password(box):
    with urllib.request.urlopen(f"http://127.0.0.1:{box.page_port}/", timeout=600) as page:
        assert page.url.endswith("/login?next=/") or "password" in page.read().decode()


def test_nobody_logs_in_with_a_password(box):
    hashes = box.answer("cut -d: -f2 /etc/shadow").splitlines()
    assert all(hash_.startswith(("!", "*")) for hash_ in hashes)
    assert "passwordauthentication no" in box.answer("sshd -T | tr A-Z a-z").splitlines() or (
        "authenticationmethods publickey" in box.answer("sshd -T")
    )


def test_the_root_is_read_only_and_the_data_partition_has_grown(box):
    assert box.run("touch /usr/x").returncode == 1
    assert int(box.answer("findmnt -bno SIZE /var")) > 1_200_000_000


def test_what_is_not_meant_to_be_reached_is_closed(box):
    assert "policy drop" in box.answer("nft list chain inet appliance input")
    assert box.answer("ss -Hltn sport = 1883").split()[3] == "127.0.0.1:1883"


def test_a_hardware_watchdog_starts_a_box_that_hangs(box):
    assert box.answer("cat /sys/class/watchdog/watchdog0/identity") == "i6300ESB timer"
    assert box.answer("cat /sys/class/watchdog/watchdog0/state") == "active"


def test_logs_are_bounded_and_the_clock_is_kept(box):
    assert "SystemMaxUse=100M" in box.answer("systemd-analyze cat-config systemd/journald.conf")
    assert box.answer("systemctl is-active systemd-timesyncd") == "active"
