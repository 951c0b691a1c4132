"""First boot: the device installs the files of its boot partition and publishes events."""

import logging
import time
import urllib.request

import pytest

from tests.firmware.qemu.conftest import PLATE
from tests.firmware.qemu.virtual_device import BOOT_S
from tests.support.broker import until

_log = logging.getLogger(__name__)


@pytest.fixture(scope="module", autouse=True)
def started(device, subscriber):
    """Boots the device and waits for its first event before anything else."""
    device.set_kernel_options("systemd.journald.forward_to_console=1")
    started = time.monotonic()
    device.start()
    until(lambda: PLATE in subscriber.plates(), BOOT_S)
    _log.info("%s on the host %.0f s after power-on", PLATE, time.monotonic() - started)
    device.wait_until_good()
    assert "event=plate_seen" in device.console.read_text(errors="replace")
    _log.info("its serial log: %s", device.console)
    _log.info(device.answer("systemd-analyze time"))
    _log.info(device.answer("systemd-analyze critical-chain plateid.service"))
    yield
    device.stop()
    assert device.fsck().returncode == 0


def test_no_unit_fails_and_no_ordering_cycle_exists(device):
    assert device.answer("systemctl --failed --no-legend --plain") == ""
    assert device.answer("systemctl is-system-running") == "running"
    assert "ordering cycle" not in device.answer("journalctl --boot --no-pager")


def test_service_unit_is_ours_and_plateid_check_passes(device):
    assert device.answer("systemctl show --value -p FragmentPath plateid").endswith(
        "/etc/systemd/system/plateid.service"
    )
    assert "FAIL" not in device.answer("plateid check --config /etc/plateid/plateid.toml")


def test_files_of_the_boot_partition_are_installed(device):
    assert device.answer("ls /efi/plateid") == ""
    name = device.answer("cat /proc/sys/kernel/hostname")
    assert name == f"plateid-{device.answer('head -c 4 /etc/machine-id')}"
    assert f"{name}: plateid.toml installed" in device.console.read_text(errors="replace")


def test_web_ui_asks_for_a_password(device):
    with urllib.request.urlopen(f"http://127.0.0.1:{device.page_port}/", timeout=600) as page:
        assert page.url.endswith("/login?next=/") or "password" in page.read().decode()


def test_login_with_a_password_is_impossible(device):
    hashes = device.answer("cut -d: -f2 /etc/shadow").splitlines()
    assert all(hash_.startswith(("!", "*")) for hash_ in hashes)
    assert "passwordauthentication no" in device.answer("sshd -T | tr A-Z a-z").splitlines() or (
        "authenticationmethods publickey" in device.answer("sshd -T")
    )


def test_root_is_read_only_and_data_partition_has_grown(device):
    assert device.run("touch /usr/x").returncode == 1
    assert int(device.answer("findmnt -bno SIZE /var")) > 1_200_000_000


def test_firewall_drops_and_plain_mqtt_is_on_loopback(device):
    assert "policy drop" in device.answer("nft list chain inet appliance input")
    assert device.answer("ss -Hltn sport = 1883").split()[3] == "127.0.0.1:1883"


def test_hardware_watchdog_is_active(device):
    assert device.answer("cat /sys/class/watchdog/watchdog0/identity") == "i6300ESB timer"
    assert device.answer("cat /sys/class/watchdog/watchdog0/state") == "active"


def test_journal_is_limited_and_time_service_runs(device):
    assert "SystemMaxUse=100M" in device.answer("systemd-analyze cat-config systemd/journald.conf")
    assert device.answer("systemctl is-active systemd-timesyncd") == "active"
