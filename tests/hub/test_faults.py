"""Servers that fail: nothing is acknowledged that is not stored."""

from contextlib import ExitStack
from pathlib import Path

import psycopg

from tests.hub.campaign import Fleet, campaign, parsed
from tests.hub.test_ingest import config, fresh, ingesting, rows, send  # noqa: F401 - fixtures
from tests.support.broker import until
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


def test_killed_servers_and_hubs_lose_and_double_no_acknowledged_event(tmp_path: Path) -> None:
    words = "--devices 40 --rate 0.5 --kills 1 --seed 7 --stay 15 --targets postgres,hub0,node1"
    with ExitStack() as stack:
        fleet = Fleet(tmp_path, stack)
        fleet.start(fsync="off")
        figures = campaign(fleet, parsed(words.split()))
    assert figures["published"] == figures["acknowledged"] == figures["stored"] > 100
    assert (figures["missing"], figures["duplicated"]) == (0, 0)
    assert figures["gaps"] == ["no event is missing"]
