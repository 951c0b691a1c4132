"""How well a camera reads: hit rate from a random sample that a person confirms, and its reasons.

The sample is the same for all users: the passes of the period in a random order that depends on
their ids only. Labels of doubtful plates therefore do not bias it.
"""

import hashlib
import itertools
import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import comb
from pathlib import Path
from typing import Any

from plateid.backoff import Chore
from plateid.core.records import rfc3339
from plateid.store.history import History
from plateid.store.labels import Label, Labels
from plateid.store.report_light import LightCard, SampledPass, measure_lights
from plateid.store.side_file import LabelFile
from plateid.store.snapshot_files import HIDDEN_JPG, snapshot_file
from plateid.store.unpublished import HOUR, UnpublishedPasses

SAMPLE = 60
"""Maximum number of passes to confirm: for 85 % right, the interval is then 20 points wide."""
MAX_DRAWN = 300
"""Number of passes that are drawn, because some have lost their image and some are too new."""
WEEK, HIT_RATE_S = timedelta(days=7), 3600.0
"""Period of the hit rate in the health report, and the interval of its measurement, seconds."""
QUERY_S = 20.0
"""Time-out of the query, seconds."""
MANY_UNPUBLISHED, MANY_WRONG = 0.1, 0.05
"""Shares of unpublished and of wrong passes that give advice."""
CONFIDENCE_PERCENT = 95
"""Minimum percentage of samples whose interval holds the truth. Wilson's interval falls to 84 % for
shares near 1, where plate readers are."""
MAX_CONFUSIONS = 8
"""Maximum number of confusions that are listed."""
PASSES = """
    SELECT id, first_seen, coalesce(
        plate_form = 'plain' AND payload ->> '$.snapshot.file' NOT LIKE ?, 0)
    FROM event WHERE event_type = 'plate_left' AND first_seen >= ? AND first_seen <= ?
    AND (camera = ? OR ? = '') AND json_valid(payload)"""
"""Selects each pass of a period by its last event, and whether it can be confirmed."""


@dataclass(frozen=True)
class Period:
    """A time (aware, both ends included) at one camera; an empty `camera` means all."""

    since: datetime
    until: datetime
    camera: str = ""


@dataclass(frozen=True)
class Share:
    """A share (0-1) with its interval of at least 95 %; `best` is None before the first answer."""

    low: float
    best: float | None
    high: float

    def times(self, factor: float) -> "Share":
        """Returns the share multiplied by a known factor."""
        best = None if self.best is None else factor * self.best
        return Share(factor * self.low, best, factor * self.high)


@dataclass(frozen=True)
class ReportCard:
    """The report card of a camera in a period."""

    period: Period
    passes: int  # with an event
    unpublished: int  # passes without an event though a plate was read
    confirmable: int  # passes whose plate and image are kept
    right: int  # confirmed passes of the sample
    wrong: int
    unknown: int  # passes of the sample that a person cannot read
    measured_until: str  # RFC 3339; later passes wait for your confirmation
    to_confirm: tuple[str, ...]  # ids of the sample's events that wait for it, in their order
    published: Share  # of the published plates that is right
    hit_rate: Share  # of all passes, published or not, whose published plate is right
    hours: Mapping[int, tuple[int, int]]  # passes with and without an event, by local hour
    lights: tuple[LightCard, ...]
    confusions: tuple[tuple[str, str, int], ...]  # published, true, number; by all labels
    advice: tuple[str, ...]


class HitRate(Chore):
    """The hit rate of the last week at all cameras, measured every hour for the health report."""

    value: float | None = None

    def __init__(self, store: Path) -> None:
        """Measures nothing yet; `value` is None as long as no plate was confirmed."""
        super().__init__("hit rate", self._measure, interval_s=HIT_RATE_S)
        self._history = History(store)

    def _measure(self) -> Iterator[None]:
        path = self._history.path
        if LabelFile(path).path.exists() and Labels(path).all():
            now = datetime.now(UTC)
            card = make_report(self._history, Period(now - WEEK, now), lights=False)
            self.value = card.hit_rate.best
        yield


def make_report(history: History, period: Period, *, lights: bool = True) -> ReportCard:
    """Returns the report card of a period; raises StoreError if the store cannot be read.

    Without `lights`, it reads no image, and gives no advice on them.
    """
    labels = Labels(history.path).all()
    rows = _passes(history, period)
    confirmable = random_order(id_ for id_, _, can in rows if can)
    drawn = list(_drawn(history, confirmable, {e["pass_id"]: label for label, e in labels}))
    unpublished = UnpublishedPasses(history.path).by_hour(
        period.since, period.until, camera=period.camera
    )
    confusions = _confusions(labels, period)
    cards = tuple(measure_lights(drawn[:SAMPLE])) if lights else ()
    return _card(period, rows, unpublished, drawn=drawn, confusions=confusions, lights=cards)


def _passes(history: History, period: Period) -> list[tuple[str, str, int]]:
    limits = (rfc3339(period.since), rfc3339(period.until))
    values = (f"%{HIDDEN_JPG}", *limits, period.camera, period.camera)
    with history.opened(QUERY_S) as db:
        return db.execute(PASSES, values).fetchall()


def random_order(ids: Iterable[str]) -> list[str]:
    """Returns ids of events in a random order that is the same at each call."""
    return sorted(ids, key=lambda id_: hashlib.blake2b(id_.encode(), digest_size=8).digest())


def _drawn(
    history: History, ids: Sequence[str], labels: Mapping[str, Label]
) -> Iterator[SampledPass]:
    """Yields passes in their random order whose image still exists."""
    with history.opened() as db:
        for id_ in ids[:MAX_DRAWN]:
            for (payload,) in db.execute("SELECT payload FROM event WHERE id = ?", (id_,)):
                event = json.loads(payload)
                if file := snapshot_file(history.path, event, legible=True):
                    yield SampledPass(event, file, labels.get(event["pass_id"]))


def _answered(drawn: Sequence[SampledPass], until: str) -> list[SampledPass]:
    """Returns the answers before the first missing one in the sample of the passes up to a time."""
    sample = [each for each in drawn if each.event["first_seen"] <= until][:SAMPLE]
    return list(itertools.takewhile(lambda each: each.label is not None, sample))


def _measured_until(drawn: Sequence[SampledPass], until: str) -> str:
    """Returns the time up to which the most passes are answered, at least half of those drawn.

    Without it, each new pass of the sample would put the answers after it out of use.
    """
    times: list[str] = sorted(each.event["first_seen"] for each in drawn)
    late = [*times[len(times) // 2 :], until]
    return max(late, key=lambda time: (len(_answered(drawn, time)), time))


def _card(
    period: Period,
    rows: Sequence[tuple[str, str, int]],
    unpublished: Mapping[str, int],
    *,
    drawn: Sequence[SampledPass],
    confusions: tuple[tuple[str, str, int], ...],
    lights: tuple[LightCard, ...],
) -> ReportCard:
    until = _measured_until(drawn, rfc3339(period.until))
    answered, sample = _answered(drawn, until), drawn[:SAMPLE]
    verdicts = Counter(each.is_right for each in answered)
    right, unknown = verdicts[True], verdicts[None]
    measured = [can for _, first_seen, can in rows if first_seen <= until]
    published = published_share(right, unknown, len(answered), sum(measured))
    missed = sum(passes for hour, passes in unpublished.items() if hour <= until)
    part = len(measured) / (len(measured) + missed) if measured or missed else 1.0
    return ReportCard(
        period,
        passes=len(rows),
        unpublished=sum(unpublished.values()),
        confirmable=sum(can for *_, can in rows),
        right=right,
        wrong=verdicts[False],
        unknown=unknown,
        measured_until=until,
        to_confirm=tuple(each.event["id"] for each in sample if each.label is None),
        published=published,
        hit_rate=published.times(part),
        hours=_hours((first_seen for _, first_seen, _ in rows), unpublished),
        lights=lights,
        confusions=confusions,
        advice=(
            *(text for light in lights for text in light.advice),
            *_advice(1 - part, verdicts[False] / max(1, len(answered))),
        ),
    )


def published_share(right: int, unknown: int, asked: int, population: int) -> Share:
    """Returns the share of right plates in a population of which `asked` were drawn at random.

    The lower limit takes the unknown ones for wrong, the upper limit for right.
    """
    low, _ = exact_interval(right, asked, population)
    _, high = exact_interval(right + unknown, asked, population)
    known = asked - unknown
    if not population:
        return Share(0.0, None, 1.0)
    return Share(low / population, right / known if known else None, high / population)


def exact_interval(right: int, asked: int, population: int) -> tuple[int, int]:
    """Returns the smallest and the largest number of right items that a sample does not exclude.

    `right` of `asked` items are right, drawn from `population` without replacement. The interval
    inverts two hypergeometric tests (Clopper and Pearson, Biometrika 1934; finite population).
    """
    wrong = asked - right
    return population - _most(wrong, asked, population), _most(right, asked, population)


def _most(right: int, asked: int, population: int) -> int:
    """Returns the largest number of right items with which so few in a sample are likely enough."""
    limit = (100 - CONFIDENCE_PERCENT) * comb(population, asked)

    def is_excluded(count: int) -> bool:
        few = sum(comb(count, n) * comb(population - count, asked - n) for n in range(right + 1))
        return 200 * few <= limit

    possible = range(right, population - (asked - right) + 1)
    return possible[bisect_left(possible, True, key=is_excluded) - 1]  # noqa: FBT003


def _hours(first_seen: Iterable[str], unpublished: Mapping[str, int]) -> dict[int, tuple[int, int]]:
    published, unseen = Counter[int](), Counter[int]()
    utc = Counter(text[:HOUR] for text in first_seen)
    for local, by_hour in ((published, utc), (unseen, unpublished)):
        for hour, passes in by_hour.items():
            local[datetime.fromisoformat(f"{hour}:00Z").astimezone().hour] += passes
    return {hour: (published[hour], unseen[hour]) for hour in sorted(published | unseen)}


def _confusions(
    labels: Iterable[tuple[Label, dict[str, Any]]], period: Period
) -> tuple[tuple[str, str, int], ...]:
    counts: Counter[tuple[str, str]] = Counter()
    since, until = rfc3339(period.since), rfc3339(period.until)
    for label, event in labels:
        here = period.camera in ("", event["camera"]) and since <= event["first_seen"] <= until
        if here and label.verdict == "plate":
            pairs = zip(event["plate"], label.text, strict=False)
            if len(event["plate"]) == len(label.text):
                counts.update((read, truth) for read, truth in pairs if read != truth)
    return tuple((*pair, count) for pair, count in counts.most_common(MAX_CONFUSIONS))


def _advice(unpublished: float, wrong: float) -> Iterator[str]:
    if unpublished > MANY_UNPUBLISHED:
        yield (
            f"{100 * unpublished:.0f} % of the passes are never published: see the plate height,"
            " and lower events.min_confidence if they may be less sure."
        )
    if wrong > MANY_WRONG:
        yield "Label plates on the page Review, and train with them."
