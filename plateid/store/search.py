"""Search of the event history, newest first, a page at a time.

What is found are passes: of each the last event that is stored. Pages follow each other by the key
of their last row, so that the thousandth costs what the first does.
"""

import json
import re
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from typing import Any, Literal, get_args

from plateid.core.lists import FOLDED, compact, distance
from plateid.core.records import rfc3339
from plateid.core.text import CHARSET, normalise
from plateid.errors import PlateidError
from plateid.store.history import History

FIELDS = (
    *("plate", "fuzzy", "camera", "since", "until", "listed"),
    *("min", "max", "after", "limit"),
)
PAGE = 50
MAX_PAGE = 500
NEAR = 1.0
"""How far a fuzzy search reaches: one edit, or look-alikes as O for 0, which cost less."""
MIN_FUZZY = 4
"""Halves of shorter texts would fit everything."""
FEW, FEW_EVENTS = 300, 1000
"""Plates, and events of them, that are looked up one by one; what fits more is found by looking at
all events in order."""
UNSURE = 0.8
"""Events below it have an index of their own in the store."""
PART = 4
"""Characters that the store finds a plate by, wherever they are in it."""
IS_PLATE = "length(plate) <= 24"
"""What is longer is a hash, and is found as a whole only."""
PATTERN = re.compile(rf"[{CHARSET}*?]{{1,32}}")
MOMENT = re.compile(r"\d{4}-\d\d-\d\d(T|$)", re.ASCII)
CURSOR = re.compile(r"(\S{20,30})~(\d{1,18})")
Listed = Literal["", "any", "none", "allow", "deny", "watch"]


class QueryError(PlateidError):
    """A search that cannot be understood; the subject is the field."""


@dataclass(frozen=True)
class Query:
    """What is looked for; what is empty or None does not matter.

    Attributes:
        plate: A plate, or a pattern with `*` (any text) and `?` (any character).
        fuzzy: Also plates that are one edit away.
        camera: Name.
        since, until: Of the first sight, aware.
        listed: Kind of list; any; none.
        min_confidence, max_confidence: 0 to 1, both included.
        after: The key of the last row of the page before.
        limit: Rows of a page.
    """

    plate: str = ""
    fuzzy: bool = False
    camera: str = ""
    since: datetime | None = None
    until: datetime | None = None
    listed: Listed = ""
    min_confidence: float = 0.0
    max_confidence: float = 1.0
    after: str = ""
    limit: int = PAGE


@dataclass(frozen=True)
class Page:
    """What was found.

    Attributes:
        events: As they were published, but for what privacy has taken.
        after: Key for the next page; empty on the last one.
    """

    events: list[dict[str, Any]]
    after: str


def parse_query(fields: Mapping[str, str]) -> Query:
    """A query from the fields of a form or a URL.

    Raises:
        QueryError: A field is unknown or wrong.
    """
    if unknown := sorted(fields.keys() - set(FIELDS)):
        raise QueryError(unknown[0][:40], "there is no such field")
    plate = compact(fields.get("plate", ""))
    if plate and not PATTERN.fullmatch(plate):
        raise QueryError("plate", "is up to 32 letters A to Z, digits, * and ?")
    if (fuzzy := fields.get("fuzzy", "0")) not in ("0", "1"):
        raise QueryError("fuzzy", "is 0 or 1")
    if plate and fuzzy == "1" and (set(plate) & set("*?") or len(normalise(plate)) < MIN_FUZZY):
        raise QueryError("plate", f"needs {MIN_FUZZY} characters, and no * or ?, to search alike")
    listed = fields.get("listed", "")
    if listed not in get_args(Listed):
        raise QueryError("listed", f"is one of {', '.join(filter(None, get_args(Listed)))}")
    if (after := fields.get("after", "")) and not CURSOR.fullmatch(after):
        raise QueryError("after", "is no key of a page")
    return Query(
        plate=plate,
        fuzzy=fuzzy == "1",
        camera=fields.get("camera", "")[:64],
        since=_moment("since", fields),
        until=_moment("until", fields),
        listed=listed,  # type: ignore[arg-type]
        min_confidence=_number("min", fields, 0.0, (0.0, 1.0)),
        max_confidence=_number("max", fields, 1.0, (0.0, 1.0)),
        after=after,
        limit=int(_number("limit", fields, PAGE, (1, MAX_PAGE))),
    )


def find(history: History, query: Query) -> Page:
    """One page.

    Raises:
        StoreError: The store cannot be read, or takes too long.
    """
    with history.opened() as db:
        db.create_function("near", 2, _near, deterministic=True)
        conditions, values = _conditions(query)
        if query.plate:
            condition, more = _plates(db, query)
            conditions.insert(0, condition)
            values |= more
        rows = db.execute(
            f"SELECT first_seen, position, payload FROM event {_index(query)}"  # noqa: S608
            f" WHERE {' AND '.join([*conditions, 'json_valid(payload)'])}"
            " ORDER BY first_seen DESC, position DESC LIMIT :limit",
            values | {"limit": query.limit + 1},
        ).fetchall()
    events = [json.loads(payload) for *_, payload in rows[: query.limit]]
    full = len(rows) > query.limit
    return Page(events, "{}~{}".format(*rows[query.limit - 1][:2]) if full else "")


def find_all(history: History, query: Query) -> Iterator[dict[str, Any]]:
    """All that a query finds, page by page; raises as `find`, also while it goes on."""
    query = replace(query, limit=MAX_PAGE)
    return _from_page(history, query, find(history, query))


def _from_page(history: History, query: Query, page: Page) -> Iterator[dict[str, Any]]:
    yield from page.events
    while page.after:
        page = find(history, replace(query, after=page.after))
        yield from page.events


def find_pass(history: History, id_: str) -> list[dict[str, Any]]:
    """All events of the pass that an event belongs to, oldest first; none if it is not there."""
    query = (
        "SELECT payload FROM event WHERE pass_id ="
        " (SELECT pass_id FROM event WHERE id = ?) AND json_valid(payload) ORDER BY position"
    )
    with history.opened() as db:
        return [json.loads(payload) for (payload,) in db.execute(query, (id_,))]


def _conditions(query: Query) -> tuple[list[str], dict[str, Any]]:
    """SQL and its values; nothing that somebody typed becomes SQL."""
    values: dict[str, Any] = {"camera": query.camera, "kind": query.listed}
    conditions = []
    if query.camera:
        conditions.append("camera = :camera")
    if query.listed:
        conditions.append(
            {"any": "list_kind IS NOT NULL", "none": "list_kind IS NULL"}.get(
                query.listed, "list_kind = :kind"
            )
        )
    for name, sql in (("since", "first_seen >= :since"), ("until", "first_seen <= :until")):
        if (moment := getattr(query, name)) is not None:
            conditions.append(sql)
            values[name] = rfc3339(moment)
    if query.min_confidence > 0:
        conditions.append("confidence >= :least")
    if query.max_confidence < 1:
        conditions.append("confidence <= :most")
    if query.max_confidence < UNSURE:
        conditions.append(f"confidence < {UNSURE}")  # for the index of those that are
    values |= {"least": query.min_confidence, "most": query.max_confidence}
    if match := CURSOR.fullmatch(query.after):
        conditions.append("(first_seen, position) < (:at, :position)")
        values |= {"at": match[1], "position": int(match[2])}
    conditions.append(
        "NOT EXISTS (SELECT 1 FROM event AS later"
        " WHERE later.pass_id = event.pass_id AND later.position > event.position)"
    )
    return conditions, values


def _index(query: Query) -> str:
    """Of two that SQLite cannot tell apart."""
    unsure = query.max_confidence < UNSURE and not (query.plate or query.listed)
    return "INDEXED BY event_camera_unsure" if query.camera and unsure else ""


def _plates(db: sqlite3.Connection, query: Query) -> tuple[str, dict[str, Any]]:
    """The condition on the plate: the few that it names, or a pattern that many fit.

    A plus has SQLite leave the index of plates alone.
    """
    text = query.plate
    if not query.fuzzy and not set(text) & set("*?"):
        return "plate = :plate", {"plate": text}
    select, values = _alike(text) if query.fuzzy else _pattern(text)
    most = -1 if query.fuzzy else FEW + 1  # no more are alike than there are edits
    found = db.execute(f"SELECT DISTINCT plate {select} LIMIT {most}", values | {"plate": text})
    plates = [plate for (plate,) in found]
    if len(plates) == FEW + 1 and not query.fuzzy:
        return f"+plate GLOB :plate AND {IS_PLATE}", {"plate": text}
    listed = {"plates": json.dumps(plates)}
    among = "plate IN (SELECT value FROM json_each(:plates))"
    (events,) = db.execute(
        f"SELECT count(*) FROM (SELECT 1 FROM event WHERE {among} LIMIT {FEW_EVENTS})",  # noqa: S608
        listed,
    ).fetchone()
    return (among if events < FEW_EVENTS else f"+{among}"), listed


def _alike(text: str) -> tuple[str, dict[str, Any]]:
    """An edit leaves one of the halves as it is."""
    folded = text.translate(FOLDED)
    half = (len(folded) + 1) // 2
    values = _range("head", folded[:half]) | {"tail": folded[half:][-PART:]}
    return (
        "FROM (SELECT plate FROM plate WHERE folded >= :head AND folded < :head_end"
        " UNION SELECT plate FROM part WHERE part = :tail) WHERE near(plate, :plate)"
    ), values


def _pattern(text: str) -> tuple[str, dict[str, Any]]:
    """By what it begins with, or the longest piece in it."""
    pieces = re.split(r"[*?]", text)
    longest = max(pieces, key=len)
    if longest and longest != pieces[0]:
        select = "FROM part WHERE part >= :head AND part < :head_end"
        values = _range("head", longest.translate(FOLDED)[:PART])
    else:
        select = f"FROM plate WHERE plate >= :head AND plate < :head_end AND {IS_PLATE}"
        values = _range("head", pieces[0])
    return f"{select} AND plate GLOB :plate", values


def _range(name: str, prefix: str) -> dict[str, str]:
    """Bounds of the texts that begin with a prefix."""
    return {name: prefix, f"{name}_end": f"{prefix}~"}


def _near(plate: str, wanted: str) -> bool:
    return distance(plate, wanted, at_most=NEAR) <= NEAR


def _moment(name: str, fields: Mapping[str, str]) -> datetime | None:
    """One with a zone, or one of the box's local time; a day is until its end."""
    text = fields.get(name)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text if MOMENT.match(text) else "")
        if name == "until" and len(text) == len("2026-11-24"):
            moment = datetime.combine(moment, time.max)
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise QueryError(name, "is a time as 2026-11-24T18:30") from error


def _number(
    name: str, fields: Mapping[str, str], default: float, bounds: tuple[float, float]
) -> float:
    text = fields.get(name)
    if text is None:
        return default
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not bounds[0] <= number <= bounds[1]:
        raise QueryError(name, f"is a number from {bounds[0]:g} to {bounds[1]:g}")
    return number
