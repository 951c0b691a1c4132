"""Judges a campaign: what had to arrive and did not, and what arrived twice.

It demands:

1. Every event that was in the store of a stopped service arrives, unless a fault of the campaign
   overwrote the page that held it.
2. Every event that the service logged arrives, unless the service was killed within `IN_FLIGHT_S`,
   or both disk and broker failed until its end.
3. Every vehicle that was shown whole to a running service and an undisturbed camera is logged.
4. The numbers within an epoch of `seq` have no gap, and no two events have the same number.
5. An event that arrives again has `replayed`, or is the same message, which the broker sent again.
   It may lack the mark if it came first from a disk that failed, and so could not keep the mark.
6. A vehicle has one pass; one that stood still before, during and after a disturbance, too. Each
   pass has one event of each type on disk; a kill may take the other one from memory.
7. The service ends only if it is asked to, or under a limit of its memory.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tests.campaign.record import Line, Received, Record
from tests.campaign.schedule import CAMERAS, Vehicle

IN_FLIGHT_S = 2.0
"""Time that an event may take from the log to the disk, seconds."""
RECOVERY_S = 3.0
"""Time that a camera needs after a fault if it did not go offline, seconds."""
RECONNECT_S = 65.0
"""Longest time until the service connects to a broker that is back, seconds."""
SETTLED_S = 6.0
"""Time that a vehicle must stand before and after a disturbance, seconds."""
LEAVES_S = 3.0
"""Time that a pass needs to end after its vehicle has left, seconds."""
EPOCH = 1 << 32
"""The numbers of one epoch."""
Span = tuple[float, float]


@dataclass
class Verdict:
    """What the oracle found; `lost` and `duplicated` say which and why."""

    shown: int = 0
    undisturbed: int = 0
    expected: int = 0
    published: int = 0
    resent: int = 0
    excused: int = 0
    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"vehicles {self.shown} (undisturbed {self.undisturbed})  events expected"
            f" {self.expected}  published {self.published}  sent again {self.resent}"
            f"  excused {self.excused}  duplicated {len(self.duplicated)}  lost {len(self.lost)}"
        )


def judge(record: Record, vehicles: dict[str, list[Vehicle]]) -> Verdict:
    """Returns the verdict of a campaign that has ended."""
    every = [vehicle for some in vehicles.values() for vehicle in some]
    gaps = {camera: disturbances(record, camera) for camera in CAMERAS}
    by_id = {r.event["id"]: r.event for r in record.received}
    verdict = Verdict(shown=len(every), published=len(by_id))
    verdict.resent = len(record.received) - len(by_id)
    verdict.excused = len(record.excused.keys() - by_id.keys())
    demanded = record.stored.keys() - record.excused.keys()
    verdict.lost += [
        f"stored {_named(record.stored[key])}" for key in sorted(demanded - by_id.keys())
    ]
    published = Counter((e["event_type"], e["plate"]) for e in by_id.values())
    verdict.lost += _lost_lines(record, published)
    seen = {line.plate for line in record.lines if line.event == "plate_seen"}
    seen |= {plate for kind, plate in published if kind == "plate_seen"}
    unseen = [v for v in every if v.plate not in seen]
    undisturbed = [v for v in every if not _overlapping(gaps[v.camera], v.whole)]
    verdict.undisturbed = len(undisturbed)
    verdict.lost += [f"vehicle {v}" for v in undisturbed if v in unseen]
    verdict.lost += _gaps(by_id.values(), record.excused.values())
    verdict.expected = len(demanded | by_id.keys()) + sum(v in unseen for v in undisturbed)
    verdict.duplicated += _again(record)
    verdict.duplicated += _twice(record, by_id)
    numbers = Counter(event["seq"] for event in by_id.values())
    verdict.duplicated += [
        f"seq {n} of {count} events" for n, count in numbers.items() if count > 1
    ]
    verdict.duplicated += _split(record, by_id.values(), every, gaps)
    return verdict


def ended(record: Record) -> Iterator[str]:
    """Yields when the service ended by itself."""
    limits = [(w.begin, w.end + RECOVERY_S) for w in record.windows if w.kind == "memory"]
    for end in record.ends:
        if not end.asked and not _overlapping(limits, (end.at, end.at)):
            yield f"{end.at:.1f} s: run {end.run} ended with {end.code}"


def disturbances(record: Record, camera: str) -> list[Span]:
    """Returns when the service did not watch a camera, or a fault disturbed it, in order."""
    spans = [
        (w.begin - 0.5, w.end + RECOVERY_S)
        for w in record.windows
        if w.camera == camera or w.kind in ("stop", "cpu", "memory", "machine")
    ]
    changes = [(line.at, line.event) for line in record.lines if line.camera == camera]
    changes += [(end.at, "end") for end in record.ends]
    since: float | None = 0.0
    for at, event in sorted(changes):
        if event == "camera online" and since is not None:
            spans.append((since, at + 0.5))
            since = None
        elif not event.startswith("plate") and event != "camera online" and since is None:
            since = at - 0.5
    return _merged([*spans, (since if since is not None else record.now, float("inf"))])


def _merged(spans: Iterable[Span]) -> list[Span]:
    merged: list[Span] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


def _overlapping(spans: Iterable[Span], span: Span) -> list[Span]:
    return [each for each in spans if each[0] < span[1] and each[1] > span[0]]


def _lost_lines(record: Record, published: Counter[tuple[str, str]]) -> Iterator[str]:
    """Yields the logged events that did not arrive."""
    logged = [line for line in record.lines if line.event.startswith("plate")]
    demanded = Counter((x.event, x.plate) for x in logged if not _may_be_lost(record, x))
    for key, count in (demanded - published).items():
        yield f"logged {count} {key} at {[line.at for line in logged if line.plate == key[1]]}"


def _may_be_lost(record: Record, line: Line) -> bool:
    end = next((end for end in record.ends if end.run == line.run), None)
    if end is None:
        return False
    life = (line.at - IN_FLIGHT_S, end.at)
    failing = {w.kind for w in record.windows if w.begin < life[1] and w.end > life[0]}
    late = [w for w in record.windows if w.kind == "broker" and w.begin < life[1]]
    broker_failed = any(w.end + RECONNECT_S > life[0] for w in late)
    in_memory_only = "disk" in failing and broker_failed
    return in_memory_only or (not end.orderly and end.at - line.at < IN_FLIGHT_S)


def _gaps(events: Iterable[dict], excused: Iterable[dict]) -> Iterator[str]:
    """Yields the numbers that are missing within an epoch."""
    epochs = defaultdict(set)
    for event in events:
        epochs[event["seq"] // EPOCH].add(event["seq"] % EPOCH)
    known = {event["seq"] for event in excused}
    for epoch, numbers in epochs.items():
        for number in sorted(set(range(1, max(numbers))) - numbers):
            if epoch * EPOCH + number not in known:
                yield f"seq {epoch} * 2**32 + {number}"


def _again(record: Record) -> Iterator[str]:
    """Yields the events that arrived again without `replayed`."""
    failures = [(w.begin, w.end + IN_FLIGHT_S) for w in record.windows if w.kind == "disk"]
    first: dict[str, Received] = {}
    for each in record.received:
        before = first.setdefault(each.event["id"], each)
        marked = each.event["replayed"] or before.payload == each.payload
        if not marked and not _overlapping(failures, (before.at, before.at)):
            yield f"not marked as replayed at {each.at:.1f}: {_named(each.event)}"


def _twice(record: Record, by_id: dict[str, dict]) -> Iterator[str]:
    """Yields the passes with two events of a type, unless a damaged page took the first one."""
    kept = [by_id[key] for key in by_id.keys() & record.stored.keys()]
    counts = Counter((e["pass_id"], e["event_type"], e["plate"]) for e in kept)
    for (pass_id, kind, plate), count in counts.items():
        if count > 1 and pass_id not in record.torn:
            yield f"{count} {kind} of pass {pass_id}, {plate}"


def _split(
    record: Record, events: Iterable[dict], vehicles: list[Vehicle], gaps: dict[str, list[Span]]
) -> Iterator[str]:
    """Yields the vehicles with several passes that had to have one."""
    passes = defaultdict(set)
    for event in events:
        if event["event_type"] == "plate_seen":
            passes[event["plate"]].add(event["pass_id"])
    damaged = [(w.begin, w.end) for w in record.windows if w.kind == "damage"]
    for vehicle in vehicles:
        ids = passes.pop(vehicle.plate, set())
        if len(ids) > 1 and not ids & record.torn:
            begin, end = vehicle.whole
            if _overlapping(damaged, (begin, end)):  # the page may have held the stopped passes
                continue
            if _must_be_one(vehicle, _overlapping(gaps[vehicle.camera], (begin, end + LEAVES_S))):
                yield f"{len(ids)} passes of {vehicle}"
    for plate in passes:
        yield f"plate that no vehicle has: {plate}"


def _must_be_one(vehicle: Vehicle, spans: list[Span]) -> bool:
    """Returns whether the vehicle stood still around each disturbance."""
    begins = vehicle.stops + SETTLED_S
    ends = vehicle.stops + vehicle.stands_s - SETTLED_S
    apart = all(b[0] - a[1] > SETTLED_S for a, b in itertools.pairwise(spans))
    return apart and all(begins < begin and end < ends for begin, end in spans)


def _named(event: dict) -> str:
    return f"{event['event_type']} {event['plate']} {event['id']} seq {event['seq']}"
