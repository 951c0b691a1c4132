"""Servers that fail: nothing is acknowledged that is not stored."""

import re
import socket
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg
import pytest

from plateid.config.hub import DatabaseConfig, HubMqttConfig, NatsConfig
from plateid.hub import nats_source
from plateid.hub.ingest import Ingest
from tests.hub.campaign import Fleet, campaign, parsed
from tests.hub.test_ingest import config, fresh, ingesting, rows, send  # noqa: F401 - fixtures
from tests.support.broker import until
from tests.support.cutting_proxy import CuttingProxy
from tests.support.disks import fill, mounted
from tests.support.nats import NatsCluster
from tests.support.postgres import Postgres
from tests.support.samples import said


def administer(postgres: Postgres, *statements: str) -> None:
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as db:
        for statement in statements:
            db.execute(statement.encode())


def test_events_wait_while_the_database_is_read_only(config, send, postgres, logs) -> None:  # noqa: F811
    name = config.database.url.rpartition("/")[2]
    ends = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name LIKE '%ingest'"
    )
    with ingesting(config):
        send(fresh(1))
        until(lambda: rows(config, "SELECT 1 FROM event"))
        administer(postgres, f"ALTER DATABASE {name} SET default_transaction_read_only = on", ends)
        send(fresh(2))
        send(fresh(3))
        until(lambda: any("read-only" in reason for reason in said(logs, "outage goes on")), 30)
    assert len(rows(config, "SELECT 1 FROM event")) == 1
    administer(postgres, f"ALTER DATABASE {name} RESET default_transaction_read_only", ends)
    with ingesting(config):  # the broker gives it what is not acknowledged
        until(lambda: len(rows(config, "SELECT 1 FROM event")) == 3, 30)


@pytest.mark.root
def test_events_wait_while_the_disk_of_the_database_is_full(config, send, logs) -> None:  # noqa: F811
    count = 300
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        Path(name).chmod(0o755)
        size = ("-t", "tmpfs", "-o", "size=200m", "tmpfs")
        disk = stack.enter_context(mounted(Path(name) / "disk", *size))
        server = stack.enter_context(closing(Postgres(disk)))
        server.start(fsync="off")
        own = config.model_copy(update={"database": server.create()})
        with ingesting(own):
            send(fresh(1))
            until(lambda: rows(own, "SELECT 1 FROM event"))
            ballast = fill(disk)
            for seq in range(2, count + 1):
                send(fresh(seq))
            until(lambda: any("No space left" in reason for reason in said(logs, "outage starts")))
        assert len(rows(own, "SELECT 1 FROM event")) < count
        ballast.unlink()
        with ingesting(own):  # the broker gives it what is not acknowledged
            until(lambda: len(rows(own, "SELECT 1 FROM event")) == count, 30)


def test_events_wait_while_the_database_is_of_a_newer_version(config, send, logs) -> None:  # noqa: F811
    with ingesting(config):  # the broker keeps messages from now on
        rows(config, "INSERT INTO schema_version VALUES (999) RETURNING 1")
    send(fresh(1))
    hub = Ingest(config)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(hub.run)
        until(lambda: any("newer version" in reason for reason in said(logs, "outage starts")))
        assert rows(config, "SELECT 1 FROM event") == []
        rows(config, "DELETE FROM schema_version WHERE version = 999 RETURNING 1")
        until(lambda: rows(config, "SELECT 1 FROM event"))
        hub.stop()


def test_hub_names_servers_that_do_not_answer_and_connects_later(
    config,  # noqa: F811
    tmp_path,
    monkeypatch,
    logs,
) -> None:
    monkeypatch.setattr(nats_source, "ANSWER_S", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as silent, ExitStack() as stack:
        cluster = stack.enter_context(closing(NatsCluster(tmp_path, nodes=1)))
        servers = f"nats://127.0.0.1:{silent.getsockname()[1]}", *cluster.servers
        mqtt = HubMqttConfig(host=cluster.brokers)
        own = config.model_copy(update={"nats": NatsConfig(servers=servers), "mqtt": mqtt})
        hub, ready = Ingest(own), threading.Event()
        pool = stack.enter_context(ThreadPoolExecutor(1))
        stack.callback(hub.stop)
        pool.submit(hub.run, ready.set)
        until(lambda: said(logs, "outage starts"))
        (reason,) = said(logs, "outage starts")
        assert re.match(rf"{', '.join(servers)}: no answer within \d s: ", reason)
        cluster.start()
        assert ready.wait(60)


def test_hub_stops_at_once_while_no_server_answers(config) -> None:  # noqa: F811
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(1) as pool:
        servers = (f"nats://127.0.0.1:{silent.getsockname()[1]}",)
        hub = Ingest(config.model_copy(update={"nats": NatsConfig(servers=servers)}))
        running = pool.submit(hub.run)
        with silent.accept()[0]:
            hub.stop()
            running.result(timeout=10)


@pytest.fixture
def proxy(postgres) -> Iterator[CuttingProxy]:
    with closing(CuttingProxy(postgres.port)) as made:
        yield made


@pytest.mark.parametrize(("words", "stored"), [(b"{[2,2]", 4), (b"COMMIT", 1)])
def test_batch_is_stored_once_though_its_connection_is_cut(
    config,  # noqa: F811
    send,  # noqa: F811
    proxy,
    *,
    words,
    stored,
) -> None:
    """In the middle, or after COMMIT: then the hub cannot know that the events are stored."""
    url = re.sub(r":\d+/", f":{proxy.port}/", config.database.url)
    ingest = config.ingest.model_copy(update={"batch_ms": 500})
    own = config.model_copy(update={"database": DatabaseConfig(url=url), "ingest": ingest})
    with ingesting(own) as hub:
        send(fresh(1))  # makes the partitions
        until(lambda: hub.counts["stored"])
        proxy.cut_at = words
        for seq in range(2, 5):
            send(fresh(seq))
        until(lambda: hub.counts["stored"] + hub.counts["known"] == 4, 30)
        assert hub.counts["stored"] == stored
    assert proxy.cut_at == b""
    assert rows(config, "SELECT seq FROM event ORDER BY 1") == [(1,), (2,), (3,), (4,)]
    assert rows(config, "SELECT seen::text FROM sequence") == [("{[1,5)}",)]


def test_killed_servers_and_hubs_lose_and_double_no_acknowledged_event(tmp_path: Path) -> None:
    words = "--devices 40 --rate 0.5 --kills 1 --seed 7 --stay 15 --targets postgres,hub0,node1"
    with ExitStack() as stack:
        fleet = Fleet(tmp_path, stack)
        fleet.start(fsync="off")
        figures = campaign(fleet, parsed(words.split()))
    assert figures["published"] == figures["acknowledged"] == figures["stored"] > 100
    assert (figures["missing"], figures["duplicated"]) == (0, 0)
    assert figures["gaps"] == ["no event is missing"]
