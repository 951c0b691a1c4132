"""Measures searches of a fleet in PostgreSQL: python -m tests.hub.bench_search --rows 1000000."""

# ruff: noqa: T201 - it prints what it measured
import argparse
import json
import os
import random
import statistics
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

from plateid.config.hub import DatabaseConfig
from plateid.core.ids import first_id
from plateid.core.records import rfc3339
from plateid.hub.database import connect, make_partitions, migrate, month_of
from plateid.hub.history import FleetHistory
from plateid.store.search import find
from plateid.store.search_query import parse_query
from tests.store.bench_search import LETTERS, plate
from tests.support.postgres import Postgres
from tests.support.samples import NOON, SEEN

MONTHS = 6
"""Period over which the events are spread, months of 30 days."""
TRIES = 40


def rows(count: int, plates: list[str], number: random.Random) -> Iterator[tuple[object, ...]]:
    """Gives two events of each pass, as long as real ones, in the order of time."""
    step = timedelta(days=30 * MONTHS) / count
    for index in range(count // 2):
        text, at = number.choice(plates), NOON - step * (count - 2 * index)
        device, seen = f"device-{number.randrange(1000):03}", rfc3339(at)
        pass_id = first_id(at.timestamp()) + f"-7{index % 4096:03x}-8000-{index:012x}"
        for offset, kind in enumerate(("plate_seen", "plate_left")):
            id_ = first_id(at.timestamp() + 1 + offset) + f"-7{offset:03x}-8000-{index:012x}"
            made = PAYLOAD | {"id": id_, "pass_id": pass_id, "event_type": kind, "plate": text}
            made |= {"device": device, "first_seen": seen, "seq": index}
            payload = json.dumps(made)
            yield id_, pass_id, kind, device, "gate", index, text, 0.98, seen, seen, payload


PAYLOAD = json.loads(SEEN.to_json())
PAYLOAD["path"] = [{"t": n / 10, "box": [n, 413.6, 649.1, 436.2]} for n in range(24)]
"""An event of 2.3 kB, as a pass of two seconds has it."""


def fill(config: DatabaseConfig, count: int, plates: list[str]) -> float:
    started = time.perf_counter()
    columns = (
        "id, pass_id, event_type, device, camera, seq, plate, confidence, first_seen, last_seen,"
        " payload"
    )
    months = {month_of(NOON - timedelta(days=day)) for day in range(0, 30 * MONTHS + 31, 15)}
    with connect(config, purpose="bench") as db:
        make_partitions(db, sorted(months))
        with db.cursor() as cursor, cursor.copy(f"COPY event ({columns}) FROM STDIN") as copy:
            for row in rows(count, plates, random.Random(1)):
                copy.write_row(row)
        db.execute("VACUUM ANALYZE event")
    return time.perf_counter() - started


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


def measured(history: FleetHistory, queries: list[dict[str, str]]) -> tuple[float, int]:
    """Returns p95, milliseconds, and the number of searches with results."""
    took, found = [], 0
    for fields in queries:
        started = time.perf_counter()
        found += bool(find(history, parse_query(fields)).events)
        took.append(1000 * (time.perf_counter() - started))
    return statistics.quantiles(took, n=20)[-1], found


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
        took = fill(config, count, plates)
        with connect(config, purpose="bench") as db:
            db.execute("INSERT INTO site SELECT 'site-' || n FROM generate_series(0, 99) AS n")
            db.execute(
                "INSERT INTO device (name, site) SELECT 'device-' || to_char(n, 'FM000'),"
                " 'site-' || n / 10 FROM generate_series(0, 999) AS n"
            )
            (size,) = db.execute("SELECT pg_database_size(current_database())").fetchone()
        print(
            f"{count:,} events, {len(plates):,} plates, {size / 1e9:.2f} GB, {took:.0f} s to fill"
        )
        print(f"{'search':24}{'cold p95':>10}{'warm p95':>10}  with results")
        for kind, queries in searches(plates, number).items():
            server.kill()
            drop_caches(server)
            server.start(**settings)
            with closing(FleetHistory(config)) as history:
                history.find_pass("")  # connects
                cold, _ = measured(history, queries[:10])
                measured(history, queries)
                warm, found = measured(history, queries)
            print(f"{kind:24}{cold:8.1f}ms{warm:8.1f}ms  {found} of {len(queries)}")


def drop_caches(server: Postgres) -> None:
    """Makes the kernel forget the files of the database."""
    for file in server._data.rglob("*"):
        if file.is_file():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    main()
