"""How well a camera reads: hit rate from a random sample that a person confirms, and its reasons.

The sample is the same for everybody: the passes of the period in a random order that depends on
their ids only. Labels of doubtful plates therefore do not bias it.
"""

import functools
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median_low
from typing import Any

import cv2
import numpy as np

from plateid.core.plate_quality import CropQuality, crop_quality
from plateid.core.proportions import exact_interval
from plateid.core.records import Box, rfc3339
from plateid.store.event_images import plate_box, read_image, snapshot_file
from plateid.store.history import History
from plateid.store.labels import Label, Labels
from plateid.store.snapshot_files import HIDDEN_JPG
from plateid.store.unpublished import HOUR, UnpublishedPasses

SAMPLE = 60
"""Maximum number of passes to confirm: the interval is then 20 points wide at most for 85 % right.
"""
MAX_MISSING = 600
"""Maximum number of passes without an image that are skipped in search of the sample."""
QUERY_S = 20.0
"""Time-out of the query, seconds."""
NIGHT = 70
"""Mean grey value (0-255) of a snapshot below which it is night."""
MIN_MEASURED = 3
"""Minimum number of plates whose medians give advice."""
MANY_UNPUBLISHED, MANY_WRONG = 0.1, 0.05
"""Shares of unpublished and of wrong passes that give advice."""
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
class LightCard:
    """Medians of the sampled plates in one light, and how many confirmed readings are right."""

    light: str
    plates: int
    height_px: float
    sharpness: float
    confirmed: int
    right: int
    advice: tuple[str, ...]


@dataclass(frozen=True)
class ReportCard:
    """The report card of a camera in a period.

    Attributes:
        passes, unpublished: Passes with an event, and those without one though a plate was read.
        confirmable: Passes whose plate and image are kept.
        right, wrong, unknown: Confirmed passes of the sample; a person cannot read the unknown.
        to_confirm: Ids of the events of the sample that wait for confirmation, in their order.
        published: Share of the published plates that is right.
        hit_rate: Share of all passes, published or not, whose published plate is right.
        hours: Passes with and without an event, by local hour of the day.
        confusions: Published characters, the true ones and their number, by all labels.
    """

    period: Period
    passes: int
    unpublished: int
    confirmable: int
    right: int
    wrong: int
    unknown: int
    to_confirm: tuple[str, ...]
    published: Share
    hit_rate: Share
    hours: Mapping[int, tuple[int, int]]
    lights: tuple[LightCard, ...]
    confusions: tuple[tuple[str, str, int], ...]
    advice: tuple[str, ...]


@dataclass(frozen=True)
class _Sampled:
    event: dict[str, Any]
    file: Path
    label: Label | None

    @property
    def is_right(self) -> bool | None:
        """Whether the published plate is right; None if the label does not say."""
        if self.label is None or self.label.verdict in ("unreadable", "skip"):
            return None
        return self.label.verdict == "plate" and self.label.text == self.event["plate"]


def make_report(history: History, period: Period) -> ReportCard:
    """Returns the report card of a period; raises StoreError if the store cannot be read."""
    labels = Labels(history.path).all()
    rows = _passes(history, period)
    confirmable = random_order(id_ for id_, _, can in rows if can)
    sample = list(_sampled(history, confirmable, {e["pass_id"]: label for label, e in labels}))
    unpublished = UnpublishedPasses(history.path).by_hour(
        period.since, period.until, camera=period.camera
    )
    confusions = _confusions(labels, period)
    return _card(period, rows, unpublished, sample=sample, confusions=confusions)


def _passes(history: History, period: Period) -> list[tuple[str, str, int]]:
    limits = (rfc3339(period.since), rfc3339(period.until))
    values = (f"%{HIDDEN_JPG}", *limits, period.camera, period.camera)
    with history.opened(QUERY_S) as db:
        return db.execute(PASSES, values).fetchall()


def random_order(ids: Iterable[str]) -> list[str]:
    """Returns ids of events in a random order that is the same at each call."""
    return sorted(ids, key=lambda id_: hashlib.blake2b(id_.encode(), digest_size=8).digest())


def _sampled(
    history: History, ids: Sequence[str], labels: Mapping[str, Label]
) -> Iterator[_Sampled]:
    """Yields the first SAMPLE passes whose image still exists."""
    found = 0
    with history.opened() as db:
        for id_ in ids[: SAMPLE + MAX_MISSING]:
            ((payload,),) = db.execute("SELECT payload FROM event WHERE id = ?", (id_,)).fetchall()
            event = json.loads(payload)
            file = snapshot_file(history.path, event, legible=True)
            if file is not None and found < SAMPLE:
                found += 1
                yield _Sampled(event, file, labels.get(event["pass_id"]))


def _card(
    period: Period,
    rows: Sequence[tuple[str, str, int]],
    unpublished: Mapping[str, int],
    *,
    sample: Sequence[_Sampled],
    confusions: tuple[tuple[str, str, int], ...],
) -> ReportCard:
    asked = next((n for n, each in enumerate(sample) if each.label is None), len(sample))
    verdicts = Counter(each.is_right for each in sample[:asked])
    right, unknown = verdicts[True], verdicts[None]
    confirmable, missed = sum(can for *_, can in rows), sum(unpublished.values())
    published = published_share(right, unknown, asked, confirmable)
    part = len(rows) / (len(rows) + missed) if rows or missed else 1.0
    lights = tuple(_lights(sample))
    return ReportCard(
        period,
        passes=len(rows),
        unpublished=missed,
        confirmable=confirmable,
        right=right,
        wrong=verdicts[False],
        unknown=unknown,
        to_confirm=tuple(each.event["id"] for each in sample if each.label is None),
        published=published,
        hit_rate=published.times(part),
        hours=_hours((first_seen for _, first_seen, _ in rows), unpublished),
        lights=lights,
        confusions=confusions,
        advice=(
            *(text for light in lights for text in light.advice),
            *_advice(1 - part, verdicts[False] / max(1, asked)),
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


def _hours(first_seen: Iterable[str], unpublished: Mapping[str, int]) -> dict[int, tuple[int, int]]:
    published, unseen = Counter[int](), Counter[int]()
    utc = Counter(text[:HOUR] for text in first_seen)
    for local, by_hour in ((published, utc), (unseen, unpublished)):
        for hour, passes in by_hour.items():
            local[datetime.fromisoformat(f"{hour}:00Z").astimezone().hour] += passes
    return {hour: (published[hour], unseen[hour]) for hour in sorted(published | unseen)}


def _lights(sample: Sequence[_Sampled]) -> Iterator[LightCard]:
    measured: dict[str, list[tuple[_Sampled, CropQuality]]] = {"day": [], "night": []}
    for each in sample:
        if result := _measured(each.file, json.dumps(each.event)):
            light, quality = result
            measured[light].append((each, quality))
    for light, pairs in measured.items():
        if pairs:
            middle = CropQuality(
                *(median_low(values) for values in zip(*(vars(q).values() for _, q in pairs)))  # noqa: B905
            )
            hints = middle.hints if len(pairs) >= MIN_MEASURED else []
            verdicts = [each.is_right for each, _ in pairs if each.is_right is not None]
            yield LightCard(
                light,
                len(pairs),
                middle.height,
                middle.sharpness,
                confirmed=len(verdicts),
                right=sum(verdicts),
                advice=tuple(f"{PREFIX[light]}: {hint}" for hint in hints),
            )


PREFIX = {"day": "By day", "night": "At night"}
"""Words before the advice of each light."""


@functools.lru_cache(maxsize=1000)
def _measured(file: Path, payload: str) -> tuple[str, CropQuality] | None:
    """Returns the light and the quality of a plate in its snapshot; None if it is damaged."""
    event: dict[str, Any] = json.loads(payload)
    if (image := read_image(file)) is None:
        return None
    x1, y1, x2, y2 = (round(value) for value in plate_box(image, event))
    frame: Box = tuple(event["box"])
    crop = image[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)]
    grey = float(np.mean(cv2.resize(image, (64, 36), interpolation=cv2.INTER_AREA)))
    return ("night" if grey < NIGHT else "day"), crop_quality(crop, frame)


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
