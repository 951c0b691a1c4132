"""How long searches take in a history of a million events: python -m tests.web.bench_search."""

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
from plateid.events.store import EventStore
from plateid.web.history import History
from plateid.web.search import find, parse_query
from tests.events.samples import NOON, SEEN

EVENTS = 1_000_000
VEHICLES = 120_000
TRIES = 60
LETTERS = "ABCDEFGHIJKLMNOPRSTUVXYZ"


def plate(number: random.Random) -> str:
    county = number.choice(("B", "B", "CJ", "IF", "TM", "CT", "IS"))
    digits = f"{number.randrange(1, 999 if county == 'B' else 99):02}"
    return county + digits + "".join(number.choices(LETTERS, k=3))


def rows(plates: list[str], number: random.Random) -> Iterator[tuple[object, ...]]:
    """Two events a pass, a pass a minute, each with a payload as long as real ones are."""
    payload = json.loads(SEEN.to_json())
    for index in range(EVENTS // 2):
        text = plates[int(number.paretovariate(0.4)) % len(plates)]
        moment = rfc3339(NOON - timedelta(minutes=EVENTS // 2 - index))
        confidence = round(1 - number.betavariate(1, 12), 4)
        kind = number.choices((None, "allow", "deny", "watch"), (0.9, 0.07, 0.01, 0.02))[0]
        camera = number.choice(("drive", "gate", "yard"))
        listed = {"name": text, "kind": kind, "distance": 0} if kind else None
        pass_id = uuid7()
        for event_type in ("plate_seen", "plate_left"):
            id_ = uuid7()
            event = payload | {"id": id_, "pass_id": pass_id, "event_type": event_type}
            event |= {"plate": text, "confidence": confidence, "first_seen": moment}
            event |= {"camera": camera, "list": listed}
            yield id_, pass_id, event_type, camera, text, confidence, moment, json.dumps(event)


def filled(file: Path, plates: list[str]) -> float:
    EventStore(file).close()
    started = time.perf_counter()
    with closing(sqlite3.connect(file)) as db:
        db.executemany(
            "INSERT INTO event (id, pass_id, event_type, camera, plate, confidence, first_seen,"
            " payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
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
        "beginning": lambda n: {"plate": n.choice(plates)[:4] + "*"},
        "ending": lambda n: {"plate": "*" + n.choice(plates)[-4:]},
        "middle": lambda n: {"plate": "*" + n.choice(plates)[2:6] + "*"},
        "middle that is not there": lambda _: {"plate": "*QQ?W*"},
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
        "deny list": lambda _: {"listed": "deny"},
        "no list, unsure": lambda _: {"listed": "none", "max": "0.6"},
        "deep page": lambda n: {
            "after": f"{rfc3339(NOON - timedelta(days=n.uniform(1, 340)))}~{n.randrange(EVENTS)}"
        },
    }


def milliseconds(history: History, fields: dict[str, str]) -> float:
    started = time.perf_counter()
    find(history, parse_query(fields))
    return 1000 * (time.perf_counter() - started)


def p95(times: list[float]) -> float:
    return statistics.quantiles(times, n=20)[-1]


def main() -> None:
    number = random.Random(2)
    plates = sorted({plate(number) for _ in range(VEHICLES)})
    number.shuffle(plates)
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if sys.argv[1:] else None) as folder:
        file = Path(folder) / "events.sqlite3"
        seconds = filled(file, plates)
        megabytes = file.stat().st_size / 1e6
        print(f"{EVENTS} events, {megabytes:.0f} MB, filled in {seconds:.0f} s")
        history, everything = History(file), []
        for name, fields in searches(plates).items():
            times = [milliseconds(history, fields(number)) for _ in range(TRIES)]
            everything += times
            print(f"{name:26} p50 {statistics.median(times):6.1f} ms  p95 {p95(times):6.1f} ms")
        print(f"{'all':26} p50 {statistics.median(everything):6.1f} ms  p95 {p95(everything):6.1f}")


if __name__ == "__main__":
    main()
