"""Measures searches in a history of a million events: python -m tests.store.bench_search."""

# ruff: noqa: T201 - it prints what it measured
import json
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from plateid.core.ids import uuid7
from plateid.core.records import rfc3339
from plateid.store.event_store import EventStore
from plateid.store.history import History
from plateid.store.search import find
from plateid.store.search_query import parse_query
from tests.support.samples import NOON, SEEN, event

EVENTS = 1_000_000
VEHICLES = 300_000
REGULARS = 5_000
OFTEN = 0.4
"""Share of the passes that are of regulars; most others are seen once."""
TRIES = 60
APPENDS = 300
LETTERS = "ABCDEFGHIJKLMNOPRSTUVXYZ"


def plate(number: random.Random) -> str:
    county = number.choice(("B", "B", "CJ", "IF", "TM", "CT", "IS"))
    digits = f"{number.randrange(1, 999 if county == 'B' else 99):02}"
    return county + digits + "".join(number.choices(LETTERS, k=3))


def rows(plates: list[str], number: random.Random) -> Iterator[tuple[object, ...]]:
    """Gives two events per pass and a pass per minute, as long as real ones."""
    payload = json.loads(SEEN.to_json())
    for index in range(EVENTS // 2):
        known = REGULARS if number.random() < OFTEN else len(plates)
        text = plates[number.randrange(known)]
        moment = rfc3339(NOON - timedelta(minutes=EVENTS // 2 - index))
        confidence = round(1 - number.betavariate(1, 12), 4)
        kind = number.choices((None, "allow", "deny", "watch"), (0.9, 0.07, 0.01, 0.02))[0]
        camera = number.choice(("drive", "gate", "yard"))
        listed = {"name": text, "kind": kind, "distance": 0} if kind else None
        pass_id = uuid7()
        for event_type in ("plate_seen", "plate_left"):
            id_ = uuid7()
            made = payload | {"id": id_, "pass_id": pass_id, "event_type": event_type}
            made |= {"plate": text, "confidence": confidence, "first_seen": moment}
            made |= {"camera": camera, "list": listed}
            payload_text = json.dumps(made)
            yield id_, pass_id, event_type, camera, text, confidence, moment, kind, payload_text


def filled(file: Path, plates: list[str]) -> float:
    EventStore(file).close()
    started = time.perf_counter()
    with closing(sqlite3.connect(file)) as db:
        db.executemany(
            "INSERT INTO event (id, pass_id, event_type, camera, plate, confidence, first_seen,"
            " list_kind, payload, clock_set) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1)",
            rows(plates, random.Random(1)),
        )
        db.commit()
    return time.perf_counter() - started


def searches(plates: list[str]) -> dict[str, Callable[[random.Random], dict[str, str]]]:
    def day(number: random.Random) -> dict[str, str]:
        start = NOON - timedelta(days=number.uniform(1, 340))
        return {"since": start.isoformat(), "until": (start + timedelta(days=1)).isoformat()}

    return {
        "newest": lambda _: {},
        "plate": lambda n: {"plate": n.choice(plates)},
        "plate that is not there": lambda n: {"plate": "X" + n.choice(plates)},
        "plate of a regular": lambda n: {"plate": n.choice(plates[:REGULARS])},
        "beginning": lambda n: {"plate": n.choice(plates)[:4] + "*"},
        "short beginning": lambda n: {"plate": n.choice(plates)[:2] + "*"},
        "ending": lambda n: {"plate": "*" + n.choice(plates)[-4:]},
        "middle": lambda n: {"plate": "*" + n.choice(plates)[2:6] + "*"},
        "middle that is not there": lambda _: {"plate": "*QQ?W*"},
        "letters apart": lambda n: {"plate": "*{}?{}*".format(*n.choices(LETTERS, k=2))},
        "what thousands fit": lambda n: {"plate": f"*{n.randrange(10)}*"},
        "the same, denied": lambda n: {"plate": f"*{n.randrange(10)}*", "listed": "deny"},
        "the same of a day": lambda n: {
            "plate": f"*{n.randrange(10)}?{n.choice(LETTERS)}*",
            **day(n),
        },
        "alike": lambda n: {"plate": n.choice(plates), "fuzzy": "1"},
        "camera and day": lambda n: {"camera": "gate", **day(n)},
        "camera and unsure": lambda _: {"camera": "yard", "max": "0.5"},
        "unsure of a day": lambda n: {"max": "0.7", **day(n)},
        "surest": lambda _: {"min": "0.9995"},
        "deny list": lambda _: {"listed": "deny"},
        "no list, unsure": lambda _: {"listed": "none", "max": "0.6"},
        "deep page": lambda n: {
            "after": f"{rfc3339(NOON - timedelta(days=n.uniform(1, 340)))}~{n.randrange(EVENTS)}"
        },
    }


def appending(file: Path, plates: list[str], number: random.Random) -> str:
    """Returns the cost of appending an event with a known plate, and with a new one."""
    costs, log = [], file.with_name(f"{file.name}-wal")
    with closing(EventStore(file)) as store:
        with store.locked() as db:
            db.execute("PRAGMA wal_autocheckpoint = 0")  # the log grows by what is written
        for known in (True, False):
            size, started = log.stat().st_size, time.perf_counter()
            for seq in range(APPENDS):
                text = number.choice(plates[:REGULARS]) if known else plate(number) + "X"
                store.append(event(seq, plate=text, first_seen=NOON + timedelta(minutes=seq)))
            ms = 1000 * (time.perf_counter() - started) / APPENDS
            costs.append(f"{ms:.1f} ms and {(log.stat().st_size - size) / APPENDS / 1e3:.0f} kB")
    return f"to append an event: {costs[0]} of a known plate, {costs[1]} of another"


def milliseconds(history: History, fields: dict[str, str]) -> tuple[float, float]:
    """Returns wall-clock and processor time; the latter does not depend on other processes."""
    started, spent = time.perf_counter(), time.process_time()
    find(history, parse_query(fields))
    return 1000 * (time.perf_counter() - started), 1000 * (time.process_time() - spent)


def line(name: str, times: list[tuple[float, float]]) -> str:
    clock, processor = (statistics.quantiles(each, n=20) for each in zip(*times, strict=True))
    return f"{name:26} {clock[9]:8.1f} {clock[-1]:8.1f} {processor[9]:12.1f} {processor[-1]:8.1f}"


def main() -> None:
    number = random.Random(2)
    plates = sorted({plate(number) for _ in range(VEHICLES)})
    number.shuffle(plates)
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if sys.argv[1:] else None) as folder:
        file = Path(folder) / "events.sqlite3"
        seconds = filled(file, plates)
        megabytes = file.stat().st_size / 1e6
        print(f"{EVENTS} events, {megabytes:.0f} MB, filled in {seconds:.0f} s")
        print(appending(file, plates, number))
        history, everything = History(file), []
        print(f"{'ms':26} {'p50':>8} {'p95':>8} {'p50 of CPU':>12} {'p95':>8}")
        for name, fields in searches(plates).items():
            times = [milliseconds(history, fields(number)) for _ in range(TRIES)]
            everything += times
            print(line(name, times), flush=True)
        print(line("all", everything))


if __name__ == "__main__":
    main()
