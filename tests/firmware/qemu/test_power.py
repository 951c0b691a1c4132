"""Power cuts while vehicles pass."""

import json
import random
import sqlite3
import time
from contextlib import closing

import pytest

from tests.firmware.qemu.virtual_device import BOOT_S
from tests.support.broker import until

CUTS = 10
LONGEST_S = 20.0
"""Longest time between an event and the cut, seconds; events are a minute or two apart."""


@pytest.fixture(scope="module")
def board() -> str:
    """One board: the tested code is the same on all boards, and these tests are slow."""
    return "uefi-amd64"


def test_ten_power_cuts_lose_no_acknowledged_event(device, subscriber, tmp_path):
    dice = random.Random(8)
    for _ in range(CUTS):
        known = len(subscriber.events)
        device.start()
        until(lambda known=known: len(subscriber.events) > known, BOOT_S)
        time.sleep(dice.uniform(0, LONGEST_S))
        device.cut()
    device.start()
    device.wait_until_good()
    until(
        lambda: device.answer("systemctl show --value -p StatusText plateid").endswith(
            " 0 events to send"
        ),
        BOOT_S,
    )
    time.sleep(LONGEST_S)  # what the broker still has for us
    device.stop()
    assert "UNEXPECTED INCONSISTENCY" not in device.console.read_text(errors="replace")
    assert device.fsck().returncode == 0
    stored = _stored_ids(device, tmp_path)
    heard = set(subscriber.events)
    assert len(heard) > CUTS
    assert heard <= stored, "received but not in the store"
    assert stored <= heard, "sent according to the store but not received"


def _stored_ids(device, folder):
    """Returns the event ids in the store of a device that is off."""
    for suffix in ("", "-wal"):
        place = f"lib/private/plateid/plateid.sqlite3{suffix}"
        device.debugfs(f"dump {place} {folder}/store{suffix}")
    with closing(sqlite3.connect(folder / "store")) as store:
        rows = store.execute("SELECT payload FROM event").fetchall()
    return {json.loads(payload)["id"] for (payload,) in rows}
