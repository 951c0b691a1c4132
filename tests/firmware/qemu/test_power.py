"""The plug is pulled while vehicles pass."""

import json
import random
import sqlite3
import time
from contextlib import closing

import pytest

from tests.firmware.qemu.appliance import BOOT_S
from tests.support.broker import until

CUTS = 10
LONGEST_S = 20.0
"""After an event; the next one comes within a minute or two."""


@pytest.fixture(scope="module")
def board() -> str:
    """One of them: what is tested here is the same in all, and takes most of the time."""
    return "uefi-amd64"


def test_ten_cuts_lose_nothing_that_was_acknowledged(box, subscriber, tmp_path):
    dice = random.Random(8)
    for _ in range(CUTS):
        known = len(subscriber.events)
        box.start()
        until(lambda known=known: len(subscriber.events) > known, BOOT_S)
        time.sleep(dice.uniform(0, LONGEST_S))
        box.cut()
    box.start()
    box.wait_until_good()
    until(
        lambda: box.answer("systemctl show --value -p StatusText plateid").endswith(
            " 0 events to send"
        ),
        BOOT_S,
    )
    time.sleep(LONGEST_S)  # what the broker still has for us
    box.stop()
    assert "UNEXPECTED INCONSISTENCY" not in box.console.read_text(errors="replace")
    assert box.fsck().returncode == 0
    stored = _stored_ids(box, tmp_path)
    heard = set(subscriber.events)
    assert len(heard) > CUTS
    assert heard <= stored, "acknowledged, and not in the store"
    assert stored <= heard, "in the store as sent, and never heard of"


def _stored_ids(box, folder):
    """Of the events in the store of a box that is off."""
    for suffix in ("", "-wal"):
        place = f"lib/private/plateid/plateid.sqlite3{suffix}"
        box.debugfs(f"dump {place} {folder}/store{suffix}")
    with closing(sqlite3.connect(folder / "store")) as store:
        rows = store.execute("SELECT payload FROM event").fetchall()
    return {json.loads(payload)["id"] for (payload,) in rows}
