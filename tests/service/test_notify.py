import time
import uuid

import pytest

from plateid.service.systemd import Notifier
from tests.service.conftest import Manager


def test_the_manager_of_the_environment_hears_each_word(manager):
    notifier = Notifier.from_environment()
    notifier.ready()
    assert manager.hear() == {"READY": "1"}
    notifier.alive("all is well = good")
    assert manager.hear() == {"WATCHDOG": "1", "STATUS": "all is well = good"}
    notifier.status("hangs")
    assert manager.hear() == {"STATUS": "hangs"}
    notifier.stopping()
    assert manager.hear() == {"STOPPING": "1"}


def test_a_long_status_is_cut_off_or_systemd_would_not_hear_that_all_is_well(manager):
    Notifier.from_environment().alive("lists refused: " + 9999 * "\N{AUTOMOBILE}")
    heard = manager.hear()
    assert heard["WATCHDOG"] == "1"
    assert 100 < len(heard["STATUS"].encode()) < 4000


def test_a_reload_comes_with_the_time_that_systemd_compares(manager):
    before_us = time.monotonic_ns() // 1000
    Notifier.from_environment().reloading()
    heard = manager.hear()
    assert heard["RELOADING"] == "1"
    assert before_us <= int(heard["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000


def test_abstract_names_are_reached_too():
    address = f"@plateid/{uuid.uuid4()}@test"
    manager = Manager("\0" + address[1:])
    Notifier(address).ready()
    assert manager.hear() == {"READY": "1"}
    manager.close()


@pytest.mark.parametrize("address", [None, ""])
def test_without_a_manager_nobody_is_told(address):
    Notifier(address).ready()


def test_an_address_that_cannot_be_is_an_outage_as_well(logs):
    Notifier("/" + "x" * 200).ready()
    assert [entry["event"] for entry in logs] == ["outage starts"]


def test_a_manager_that_is_away_is_an_outage_that_is_logged_once(tmp_path, logs):
    address = str(tmp_path / "notify")
    notifier = Notifier(address)
    notifier.ready()
    notifier.ready()
    manager = Manager(address)
    notifier.ready()
    assert manager.hear() == {"READY": "1"}
    manager.close()
    assert [entry["event"] for entry in logs] == ["outage starts", "outage ends"]
    assert logs[0]["what"] == "service manager"
