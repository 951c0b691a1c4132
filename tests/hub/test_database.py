"""The database of the hub, in a real PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from plateid.config.hub import DatabaseConfig
from plateid.core.lists import FOLDED
from plateid.core.text import CHARSET
from plateid.errors import StoreError
from plateid.hub.database import connect, make_partitions, migrate
from plateid.hub.purge import drop_old
from tests.support.broker import free_port
from tests.support.postgres import Postgres

BOUNDS = """
    SELECT relname, pg_get_expr(relpartbound, oid) FROM pg_class
    WHERE relname LIKE 'event_2024_%' AND relkind = 'r' ORDER BY 1"""


def test_processes_that_start_at_once_create_the_tables_once(postgres: Postgres) -> None:
    config = postgres.create()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrate, [config] * 4))
    with connect(config, purpose="test") as db:
        assert db.execute("SELECT count(*) FROM pg_inherits").fetchone()[0] % 3 == 0
        versions = db.execute("SELECT version FROM schema_version ORDER BY 1").fetchall()
        assert versions == [(number,) for number in range(1, len(versions) + 1)]


def test_partitions_are_whole_months_of_utc_and_made_once(database: DatabaseConfig) -> None:
    ends = [datetime(2024, 12, 31, 23, 59, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)]
    with connect(database, purpose="test") as db:
        db.execute("SET TIME ZONE 'Asia/Tokyo'")
        for _ in range(2):
            make_partitions(db, ends)
        db.execute("SET TIME ZONE 'UTC'")
        found = db.execute(BOUNDS).fetchall()
    expected = (
        ("event_2024_02", "2024-02-01", "2024-03-01"),
        ("event_2024_12", "2024-12-01", "2025-01-01"),
    )
    assert found == [
        (name, f"FOR VALUES FROM ('{first} 00:00:00+00') TO ('{after} 00:00:00+00')")
        for name, first, after in expected
    ]


def test_database_of_a_newer_version_is_refused(database: DatabaseConfig) -> None:
    with connect(database, purpose="test") as db:
        db.execute("INSERT INTO schema_version VALUES (999)")
    with pytest.raises(StoreError, match="newer version: tables 999"):
        migrate(database)


def test_database_that_is_away_is_named_without_its_password() -> None:
    port = free_port()
    config = DatabaseConfig(url=f"postgresql://hub:geheim@127.0.0.1:{port}/plates")
    with pytest.raises(StoreError, match=f"127.0.0.1:{port}/plates: .*refused") as failure:
        migrate(config)
    assert "geheim" not in str(failure.value)


def test_database_without_utf_8_is_used(postgres: Postgres) -> None:
    """As `initdb` makes it in a container without a locale."""
    config = postgres.create("template0", "ENCODING 'SQL_ASCII' LOCALE 'C'")
    migrate(config)
    with connect(config, purpose="test") as db:
        assert list(drop_old(db, 60)) == []
        assert db.execute("SELECT text 'Î'").fetchone() == ("Î",)


def test_password_comes_from_a_file(database: DatabaseConfig, tmp_path: Path) -> None:
    file = tmp_path / "password"
    config = database.model_copy(update={"password_file": file})
    with pytest.raises(StoreError, match=r"password_file: .*password: No such file"):
        connect(config, purpose="test")
    file.write_text("right\n")
    with connect(config, purpose="test") as db:
        assert db.info.password == file.read_text().strip()


def test_confusable_characters_are_folded_as_on_the_device(database: DatabaseConfig) -> None:
    expression = (
        "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'event'::regclass"
        " AND pg_get_expr(adbin, adrelid) LIKE 'translate%'"
    )
    with psycopg.connect(database.url) as db:
        (folding,) = db.execute(expression).fetchone()
        query = sql.SQL("SELECT {} FROM (SELECT %s AS plate)").format(sql.SQL(folding))
        assert db.execute(query, (CHARSET,)).fetchone() == (CHARSET.translate(FOLDED),)
