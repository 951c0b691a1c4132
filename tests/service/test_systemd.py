import os
import time
import uuid
from contextlib import closing

from plateid.service.systemd import Notifier, Unit
from tests.service.conftest import Manager


def test_each_state_is_one_message(manager):
    notifier = Notifier(os.environ["NOTIFY_SOCKET"])
    notifier.ready()
    assert manager.receive() == {"READY": "1"}
    notifier.alive("all is well = good")
    assert manager.receive() == {"WATCHDOG": "1", "STATUS": "all is well = good"}
    notifier.starting("measuring")
    extended = {"EXTEND_TIMEOUT_USEC": "60000000", "WATCHDOG": "1", "STATUS": "measuring"}
    assert manager.receive() == extended
    notifier.status("hangs")
    assert manager.receive() == {"STATUS": "hangs"}
    notifier.stopping()
    assert manager.receive() == {"STOPPING": "1"}


def test_long_status_is_cut_below_the_limit_of_systemd(manager):
    Notifier(os.environ["NOTIFY_SOCKET"]).alive("lists refused: " + 9999 * "\N{AUTOMOBILE}")
    received = manager.receive()
    assert received["WATCHDOG"] == "1"
    assert 100 < len(received["STATUS"].encode()) < 4000


def test_reload_message_has_the_monotonic_time(manager):
    before_us = time.monotonic_ns() // 1000
    Notifier(os.environ["NOTIFY_SOCKET"]).reloading()
    received = manager.receive()
    assert received["RELOADING"] == "1"
    assert before_us <= int(received["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000


def test_abstract_address_is_supported():
    address = f"@plateid/{uuid.uuid4()}@test"
    with closing(Manager("\0" + address[1:])) as manager:
        Notifier(address).ready()
        assert manager.receive() == {"READY": "1"}


def test_without_address_nothing_is_sent(logs):
    Notifier("").ready()
    assert logs == []


def test_invalid_address_is_an_outage(logs):
    Notifier("/" + "x" * 200).ready()
    assert [entry["event"] for entry in logs] == ["outage starts"]


def test_missing_manager_is_one_outage_until_it_is_back(tmp_path, logs):
    address = str(tmp_path / "notify")
    notifier = Notifier(address)
    notifier.ready()
    notifier.ready()
    with closing(Manager(address)) as manager:
        notifier.ready()
        assert manager.receive() == {"READY": "1"}
    assert [entry["event"] for entry in logs] == ["outage starts", "outage ends"]
    assert logs[0]["what"] == "service manager"


def test_killed_systemctl_is_run_again(tmp_path, monkeypatch):
    program = tmp_path / "systemctl"
    program.write_text(
        f"#!/bin/sh\necho run >> {tmp_path}/runs\n"
        f"[ $(wc -l < {tmp_path}/runs) -gt 1 ] || kill -TERM $$\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    Unit("plateid-of-no-test.service").restart()
    assert (tmp_path / "runs").read_text() == "run\nrun\n"
