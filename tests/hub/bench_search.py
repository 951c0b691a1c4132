"""Measures searches of a fleet in PostgreSQL: python -m tests.hub.bench_search --rows 1000000."""

# ruff: noqa: T201 - it prints what it measured
import argparse
import json
import os
import random
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from uuid import uuid4

from psycopg import Connection, sql

from plateid.config.hub import DatabaseConfig
from plateid.hub.database import connect, make_partitions, migrate
from plateid.hub.history import FleetHistory
from plateid.store.search import find
from plateid.store.search_query import parse_query
from tests.store.bench_search import LETTERS, plate
from tests.support.postgres import Postgres
from tests.support.samples import NOON, SEEN

MONTHS = 6
"""Period over which the events are spread, months of 30 days."""
TRIES = 40
LAST = 10_000
"""Newest passes, which are stored when all indexes exist."""
PART = 200_000
"""Passes of a transaction."""


PAYLOAD = json.loads(SEEN.to_json())
PAYLOAD["path"] = [{"t": n / 10, "box": [n, 413.6, 649.1, 436.2]} for n in range(24)]
"""An event of 2.3 kB, as a pass of two seconds has it."""


FILL = """
    INSERT INTO event (id, pass_id, event_type, device, camera, seq, plate, confidence,
        first_seen, last_seen, payload)
    SELECT id, pass, kind, device, 'gate', n, plate, 0.98, at, at,
        %(payload)s::jsonb || jsonb_build_object('id', id, 'pass_id', pass, 'plate', plate,
            'device', device, 'event_type', kind, 'first_seen',
            to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
    FROM (
        SELECT n, kind,
            (SELECT text FROM plates WHERE place = (hashint4(n) & 1048575) %% %(plates)s) AS plate,
            'device-' || to_char((hashint4(n + 7) & 1048575) %% 1000, 'FM000') AS device, at,
            uuid_of(at, n, 0) AS pass, uuid_of(at, n, half) AS id
        FROM (SELECT n, date_trunc('milliseconds', %(end)s - n * %(step)s) AS at
            FROM generate_series(%(first)s::integer, %(last)s::integer - 1) AS n) AS moments,
            (VALUES (1, 'plate_seen'), (2, 'plate_left')) AS kinds (half, kind)
    ) AS passes"""
INDEXES = """
    SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
    WHERE indrelid = 'event'::regclass AND NOT indisprimary"""
UUID_OF = """
    CREATE FUNCTION uuid_of(timestamptz, integer, integer) RETURNS uuid LANGUAGE sql AS $$
        SELECT (lpad(to_hex((extract(epoch FROM $1) * 1000)::bigint), 12, '0') || '700' || $3
            || '8000' || lpad(to_hex($2), 12, '0'))::uuid $$"""


def fill(config: DatabaseConfig, count: int, plates: list[str]) -> tuple[float, float]:
    """Stores two events of each pass. All but the last are stored before there are indexes.

    Returns how long it took, seconds, and how many of the last events were stored each second.
    """
    started = time.perf_counter()
    days = [NOON - timedelta(days=day) for day in range(0, 30 * MONTHS + 31, 15)]
    passes = count // 2
    step = timedelta(days=30 * MONTHS) / passes
    values = {"payload": json.dumps(PAYLOAD), "end": NOON, "step": step, "plates": len(plates)}
    with connect(config, purpose="bench") as db, connect(config, purpose="bench") as other:
        make_partitions(db, days)
        db.execute(UUID_OF)
        db.execute("CREATE TABLE plates (place integer PRIMARY KEY, text text)")
        with db.cursor().copy("COPY plates FROM STDIN") as rows:
            for row in enumerate(plates):
                rows.write_row(row)
        db.execute("ANALYZE plates")
        indexes = db.execute(INDEXES).fetchall()
        for name, _ in indexes:
            db.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
        with ThreadPoolExecutor() as threads:
            half = passes // 2
            sides = (db, LAST, half), (other, half, passes)
            for done in [threads.submit(_fill, *side, values) for side in sides]:
                done.result()
        db.execute("SET maintenance_work_mem = '1GB'")
        for _, definition in indexes:
            db.execute(definition.replace(" ON ONLY ", " ON ").encode())
        began = time.perf_counter()
        _fill(db, 0, LAST, values)
        rate = 2 * LAST / (time.perf_counter() - began)
        db.execute("DROP TABLE plates")
        db.execute("VACUUM (ANALYZE) event")
        db.execute("CHECKPOINT")  # a start after `kill` then has nothing to recover
    return time.perf_counter() - started, rate


def _fill(db: Connection, first: int, last: int, values: dict[str, object]) -> None:
    """Stores passes by their numbers, in parts: PostgreSQL holds 900 bytes of each new row."""
    for start in range(first, last, PART):
        db.execute(FILL, values | {"first": start, "last": min(start + PART, last)})


def searches(plates: list[str], number: random.Random) -> dict[str, list[dict[str, str]]]:
    """The queries of each kind of search."""
    some = number.choices(plates, k=TRIES)
    day = NOON - timedelta(days=number.uniform(1, 100))
    look_alike = str.maketrans("O0I1B8S5Z2", "0O1I8B5S2Z")
    return {
        "newest": [{}] * TRIES,
        "exact": [{"plate": text} for text in some],
        "beginning": [{"plate": f"{text[:4]}*"} for text in some],
        "part": [{"plate": f"*{text[2:5]}*"} for text in some],
        "end": [{"plate": f"*{text[-3:]}"} for text in some],
        "confusable characters": [
            {"plate": text.translate(look_alike), "fuzzy": "1"} for text in some
        ],
        "one wrong character": [
            {"plate": text[:3] + number.choice(LETTERS) + text[4:], "fuzzy": "1"} for text in some
        ],
        "device and day": [
            {"device": f"device-{n:03}", "since": day.isoformat()} for n in range(TRIES)
        ],
        "site": [{"site": f"site-{n}"} for n in range(TRIES)],
    }


def measured(history: FleetHistory, queries: list[dict[str, str]]) -> tuple[float, float, int]:
    """Returns p95 and maximum, milliseconds, and the number of searches with results."""
    took, found = [], 0
    for fields in queries:
        started = time.perf_counter()
        found += bool(find(history, parse_query(fields)).events)
        took.append(1000 * (time.perf_counter() - started))
    return statistics.quantiles(took, n=20, method="inclusive")[-1], max(took), found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    count = parser.parse_args().rows
    number = random.Random(2)
    plates = list({plate(number) for _ in range(count // 10)})
    server = Postgres()
    with closing(server):
        settings = {"shared_buffers": "512MB", "max_wal_size": "2GB", "fsync": "off"}
        server.start(**settings)
        config = server.create()
        migrate(config)
        took, rate = fill(config, count, plates)
        with connect(config, purpose="bench") as db:
            db.execute("INSERT INTO site SELECT 'site-' || n FROM generate_series(0, 99) AS n")
            db.execute(
                "INSERT INTO device (name, site) SELECT 'device-' || to_char(n, 'FM000'),"
                " 'site-' || n / 10 FROM generate_series(0, 999) AS n"
            )
            (size,) = db.execute("SELECT pg_database_size(current_database())").fetchone()
        print(
            f"{count:,} events, {len(plates):,} plates, {size / 1e9:.2f} GB, {took:.0f} s to fill,"
            f" the last at {rate:.0f} events/s of one connection",
            flush=True,
        )
        print(f"{'search':24}{'cold p95':>10}{'slowest':>10}{'warm p95':>10}  with results")
        for kind, queries in searches(plates, number).items():
            server.kill()
            drop_caches(server)
            server.start(**settings)
            with closing(FleetHistory(config)) as history:
                history.find_pass(str(uuid4()))  # connects
                cold, slowest, _ = measured(history, queries)
                warm, _, found = measured(history, queries)
            figures = f"{cold:8.1f}ms{slowest:8.1f}ms{warm:8.1f}ms"
            print(f"{kind:24}{figures}  {found} of {len(queries)}", flush=True)


def drop_caches(server: Postgres) -> None:
    """Makes the kernel forget the files of the database."""
    for file in server._data.rglob("*"):
        if file.is_file():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    main()
