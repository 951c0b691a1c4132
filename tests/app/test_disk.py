"""The service on a disk that fails: events flow, and are stored once the disk works."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from plateid.app import App
from plateid.config.load import load_config
from plateid.service.supervisor import Supervisor
from plateid.store.event_store import EventStore
from tests.app.test_app import finished, run
from tests.support.broker import Broker, Subscriber, free_port, until
from tests.support.disks import ext4_disk, fail, fill, mounted, set_read_only, small_disk
from tests.support.samples import event, payloads, said
from tests.support.videos import write_video

pytestmark = pytest.mark.root
Device = Callable[[Path], Any]
COUNTERS = 1 << 32


@pytest.fixture
def device(tmp_path: Path, bundle: Path, broker: Broker) -> Device:
    """Runs the service with its store in a folder; gives a function that sends an event."""

    @contextmanager
    def running(folder: Path) -> Iterator[Callable[[], int]]:
        config = tmp_path / "plateid.toml"
        config.write_text(
            f'device = "box"\nmodels.bundle = "{bundle}"\nmqtt.port = {broker.port}\n'
            f'store.path = "{folder}/events.sqlite3"\nlogfile.jsonl = "{tmp_path}/log.jsonl"\n'
            f'camera = [{{name = "gate", url = "rtsp://127.0.0.1:{free_port()}/x"}}]\n'
        )
        supervisor = Supervisor()
        app = App(load_config(config), supervisor)
        thread = threading.Thread(target=app.run)
        thread.start()

        def send() -> int:
            made = event(app._store.next_seq(), event_type="plate_left")  # as the pipelines do
            app.accept(made)
            return made.seq

        try:
            yield send
        finally:
            supervisor.stop()
            started = time.monotonic()
            thread.join(20)
            assert time.monotonic() - started < 10
            assert not thread.is_alive()

    return running


def logged(folder: Path) -> list[int]:
    with (folder / "log.jsonl").open("a+") as file:
        file.seek(0)
        return [json.loads(line)["seq"] for line in file]


def stored(folder: Path) -> list[int]:
    """The events of the history; waits until none is to be sent."""
    with closing(EventStore(folder / "events.sqlite3")) as store:
        until(lambda: not store.rows("SELECT * FROM delivery"))
        return [json.loads(payload)["seq"] for payload in reversed(payloads(store))]


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder that cannot be written, before `set_read_only`."""
    (tmp_path / "source").mkdir()
    with mounted(tmp_path / "disk", "--bind", tmp_path / "source") as disk:
        set_read_only(disk, read_only=True)
        yield disk


def last_disk(subscriber: Subscriber) -> str:
    return subscriber.texts("box/disk")[-1]


def test_events_flow_while_the_disk_is_full_and_are_stored_later(
    tmp_path, device, subscriber, logs
):
    with small_disk(tmp_path / "disk") as disk:
        with device(disk) as send:
            sent = [send()]
            until(lambda: subscriber.seqs() == stored(disk) == sent)
            file = fill(disk)
            sent += [send() for _ in range(20)]
            until(lambda: subscriber.seqs() == sent)
            until(lambda: last_disk(subscriber) == "failed")
            file.unlink()
            until(lambda: last_disk(subscriber) == "ok")
            sent += [send()]
        found = [
            [seq % COUNTERS for seq in seqs]
            for seqs in (subscriber.seqs(), logged(tmp_path), stored(disk))
        ]
        assert found == [[seq % COUNTERS for seq in sent]] * 3
    assert subscriber.texts("box/disk") == ["ok", "failed", "ok"]
    assert len(said(logs, "outage starts")) == len(said(logs, "outage ends")) == 1
    assert [seq % COUNTERS for seq in sent] == list(range(1, 23))
    assert len({seq // COUNTERS for seq in sent}) == 1


def test_restart_on_a_full_disk_publishes_no_event_twice(tmp_path, device, subscriber):
    with small_disk(tmp_path / "disk") as disk:
        with device(disk) as send:
            sent = [send(), send()]
            until(lambda: logged(tmp_path) == sent == stored(disk))
            file = fill(disk)
            sent += [send()]
        with device(disk) as send:
            sent += [send()]
            until(lambda: last_disk(subscriber) == "failed")
            file.unlink()
            until(lambda: last_disk(subscriber) == "ok")
        with device(disk) as send:
            sent += [send()]
            until(lambda: subscriber.seqs() == sent)
        assert stored(disk) == [*sent[:2], *sent[3:]]
    assert subscriber.seqs() == logged(tmp_path) == sent
    assert sent == sorted(set(sent))
    epochs = [seq // COUNTERS for seq in sent]
    assert epochs[2] < epochs[3] < epochs[4]


def test_file_system_that_becomes_read_only_stops_no_event(tmp_path, device, subscriber):
    with ext4_disk(tmp_path / "disk") as disk:
        with device(disk) as send:
            sent = [send()]
            until(lambda: subscriber.seqs() == stored(disk) == sent)
            fail(disk)
            sent += [send() for _ in range(5)]
            until(lambda: last_disk(subscriber) == "failed")
        with device(disk) as send:
            sent += [send()]
            until(lambda: subscriber.seqs() == sent)
    assert subscriber.seqs() == logged(tmp_path) == sent
    assert sent == sorted(set(sent))


def test_seq_rises_at_each_start_while_the_disk_turns_read_only_and_back(
    device, subscriber, read_only
):
    sent: list[int] = []
    for is_read_only in (False, True, False):
        set_read_only(read_only, read_only=is_read_only)
        with device(read_only) as send:
            sent += [send()]
            until(lambda seq=sent[-1]: seq in subscriber.seqs())
        time.sleep(1)  # an epoch of the clock is a second
    assert subscriber.seqs() == sent == sorted(set(sent))
    assert [seq % COUNTERS for seq in sent] == [1, 1, 1]


@pytest.mark.parametrize("folder", ["", "a/b"])
def test_start_on_a_read_only_disk_repairs_itself(
    tmp_path, device, subscriber, *, read_only, folder
):
    with device(read_only / folder) as send:
        sent = [send(), send()]
        until(lambda: subscriber.seqs() == sent)
        assert last_disk(subscriber) == "failed"
        set_read_only(read_only, read_only=False)
        until(lambda: last_disk(subscriber) == "ok")
        sent += [send()]
    assert subscriber.seqs() == logged(tmp_path) == stored(read_only / folder) == sent
    assert sent[0] % COUNTERS == 1


def test_unsent_events_on_a_read_only_disk_are_sent_once_per_start(
    tmp_path, device, subscriber, read_only
):
    path = tmp_path / "source" / "events.sqlite3"
    with closing(EventStore(path, outputs=["jsonl"])) as store:
        store.append(event(1, event_type="plate_left"))
    for start in (1, 2):
        with device(read_only) as send:
            send()
            until(lambda start=start: len(subscriber.seqs()) == len(logged(tmp_path)) == 2 * start)
            time.sleep(1)  # an epoch of the clock is a second
    seqs = subscriber.seqs()
    assert seqs == logged(tmp_path)
    assert (seqs[0], seqs[2], len(set(seqs))) == (1, 1, 3)
    assert [each["replayed"] for each in subscriber.events()] == [True, False, True, False]


def test_process_with_a_read_only_disk_sends_its_events_and_exits_with_0(
    tmp_path, bundle, broker, *, subscriber, read_only
):
    write_video(tmp_path / "video.mp4", count=45)
    config = tmp_path / "plateid.toml"
    config.write_text(
        f'device = "box"\nmodels.bundle = "{bundle}"\nmqtt.port = {broker.port}\n'
        f'privacy.listed = "hash"\n'
        f'store.path = "{read_only}/events.sqlite3"\nsnapshots.enabled = true\n'
        'camera = [{name = "gate", url = "video.mp4"}]\n'
    )
    code, errors = finished(run(config))
    assert code == 0, errors
    assert [each["event_type"] for each in subscriber.events()] == ["plate_seen", "plate_left"]
    assert (last_disk(subscriber), len(subscriber.of("/snapshot"))) == ("failed", 1)
    failures = [line for line in errors.splitlines() if "event store" in line]
    assert len(failures) == 1, errors
    assert "sent events are missing in the history" in errors
