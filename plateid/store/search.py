"""Searches the event history, newest first, a page at a time.

A search gives the last event of each pass, by what was read or what users corrected it to. The
cursor of a page is its last row, so that the thousandth page takes no longer than the first.
"""

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from plateid.core.event_csv import HEADER, event_line
from plateid.core.lists import FOLDED, distance
from plateid.core.records import rfc3339
from plateid.store.history import History, passes_corrected_to
from plateid.store.schema import UNSURE
from plateid.store.search_query import CURSOR, MAX_PAGE, Query

MAX_DISTANCE = 1.0
"""Maximum distance of similar plates: one edit, or up to four confusable characters."""
COUNT_S = 0.1
"""Time-out of a count, seconds: its page waits for it."""
FEW, FEW_EVENTS = 300, 1000
"""Plates, and their events, that are looked up by plate: for more, a scan is faster."""


@dataclass(frozen=True)
class ResultPage:
    """One page of events as JSON objects; `after` is the cursor of the next page, if any."""

    events: list[dict[str, Any]]
    after: str


def find(history: History, query: Query) -> ResultPage:
    """Returns one page; raises StoreError if the store cannot be read, or the search is slow."""
    with history.opened() as db:
        rows = _select(db, query, query.limit + 1)
    events = [json.loads(payload) for *_, payload in rows[: query.limit]]
    full = len(rows) > query.limit
    return ResultPage(events, "{}~{}".format(*rows[query.limit - 1][:2]) if full else "")


def count(history: History, query: Query, at_most: int) -> int:
    """Returns the number of results, up to `at_most`; raises SlowQueryError after `COUNT_S`."""
    with history.opened(COUNT_S) as db:
        where, values = _where(db, replace(query, after=""))
        rows = f"SELECT 1 FROM event {_index(query)} WHERE {where} LIMIT :limit"  # noqa: S608
        (number,) = db.execute(
            f"SELECT count(*) FROM ({rows})",  # noqa: S608 - as above
            values | {"limit": at_most},
        ).fetchone()
    return int(number)


def neighbours(history: History, query: Query, event_id: str) -> tuple[str, str]:
    """Returns the ids of the results before and after the last event of a pass; empty if none."""
    with history.opened() as db:
        place = "SELECT first_seen || '~' || position FROM event WHERE id = ?"
        after = db.execute(place, (event_id,)).fetchone()
        if after is None:  # it was deleted meanwhile
            return "", ""
        here = replace(query, after=after[0])
        sides = _select(db, here, 1, newer=True), _select(db, here, 1)
    newer, older = (json.loads(rows[0][2])["id"] if rows else "" for rows in sides)
    return newer, older


def _select(
    db: sqlite3.Connection, query: Query, limit: int, *, newer: bool = False
) -> list[tuple[str, int, str]]:
    """Returns rows after the cursor of the query, or those before it, the nearest first."""
    where, values = _where(db, query, newer=newer)
    order = "ASC" if newer else "DESC"
    return db.execute(
        f"SELECT first_seen, position, payload FROM event {_index(query)}"  # noqa: S608
        f" WHERE {where} AND json_valid(payload)"
        f" ORDER BY first_seen {order}, position {order} LIMIT :limit",
        values | {"limit": limit},
    ).fetchall()


def find_all(history: History, query: Query) -> Iterator[dict[str, Any]]:
    """Gives all results, page by page. Raises as `find` does, at once or later."""
    query = replace(query, limit=MAX_PAGE)
    return _from_page(history, query, find(history, query))


def _from_page(history: History, query: Query, page: ResultPage) -> Iterator[dict[str, Any]]:
    yield from page.events
    while page.after:
        page = find(history, replace(query, after=page.after))
        yield from page.events


def find_pass(history: History, id_: str) -> list[dict[str, Any]]:
    """Returns all events of the pass of an event, oldest first; none if the id is unknown."""
    query = (
        "SELECT payload FROM event WHERE pass_id ="
        " (SELECT pass_id FROM event WHERE id = ?) AND json_valid(payload) ORDER BY position"
    )
    with history.opened() as db:
        return [json.loads(payload) for (payload,) in db.execute(query, (id_,))]


def _where(
    db: sqlite3.Connection, query: Query, *, newer: bool = False
) -> tuple[str, dict[str, Any]]:
    """Returns the SQL condition of a query and its values."""
    db.create_function("is_near", 2, _is_near, deterministic=True)
    conditions, values = _conditions(query, newer=newer)
    if query.plate:
        condition, plate_values = _plate_condition(db, query)
        if corrected := passes_corrected_to(db, query.plate, fuzzy=query.fuzzy):
            condition += " OR pass_id IN (SELECT value FROM json_each(:corrected))"
            values["corrected"] = json.dumps(corrected)
        conditions.insert(0, f"({condition})")
        values |= plate_values
    return " AND ".join(conditions), values


def _conditions(query: Query, *, newer: bool) -> tuple[list[str], dict[str, Any]]:
    """Returns SQL conditions and their values. No input of a user becomes SQL."""
    values: dict[str, Any] = {
        "camera": query.camera,
        "kind": query.listed,
        "since": query.since and rfc3339(query.since),
        "until": query.until and rfc3339(query.until),
        "min": query.min_confidence,
        "max": query.max_confidence,
    }
    listed = {"any": "list_kind IS NOT NULL", "none": "list_kind IS NULL"}
    choices = [
        (query.camera, "camera = :camera"),
        (query.listed, listed.get(query.listed, "list_kind = :kind")),
        (query.since, "first_seen >= :since"),
        (query.until, "first_seen <= :until"),
        (query.min_confidence > 0, "confidence >= :min"),
        (query.max_confidence < 1, "confidence <= :max"),
        (query.max_confidence < UNSURE, f"confidence < {UNSURE}"),  # selects the partial index
    ]
    conditions = [condition for wanted, condition in choices if wanted]
    if match := CURSOR.fullmatch(query.after):
        conditions.append(f"(first_seen, position) {'>' if newer else '<'} (:at, :position)")
        values |= {"at": match[1], "position": int(match[2])}
    conditions.append(
        "NOT EXISTS (SELECT 1 FROM event AS later"
        " WHERE later.pass_id = event.pass_id AND later.position > event.position)"
    )
    return conditions, values


def _index(query: Query) -> str:
    """Names the index if SQLite would choose a worse one."""
    unsure = query.max_confidence < UNSURE and not (query.plate or query.listed)
    return "INDEXED BY event_camera_unsure" if query.camera and unsure else ""


def _plate_condition(db: sqlite3.Connection, query: Query) -> tuple[str, dict[str, Any]]:
    """Returns the condition on the plate; a plus before a column keeps SQLite from its index."""
    text = query.plate
    if not query.fuzzy and not set(text) & set("*?"):
        return "plate = :plate", {"plate": text}
    select, values = _similar(text) if query.fuzzy else _matching(text)
    limit = -1 if query.fuzzy else FEW + 1  # similar plates are never many
    found = db.execute(f"SELECT DISTINCT plate {select} LIMIT {limit}", values | {"plate": text})
    plates = [plate for (plate,) in found]
    if query.fuzzy:
        plates.append(text)  # it may be a hash, which has no similar plates
    elif len(plates) > FEW:
        return "+plate GLOB :plate AND plate_form = 'plain'", {"plate": text}
    few = {"plates": json.dumps(plates)}
    among = "plate IN (SELECT value FROM json_each(:plates))"
    (events,) = db.execute(
        f"SELECT count(*) FROM (SELECT 1 FROM event WHERE {among} LIMIT {FEW_EVENTS})",  # noqa: S608
        few,
    ).fetchone()
    return (among if events < FEW_EVENTS else f"+{among}"), few


def _similar(text: str) -> tuple[str, dict[str, str]]:
    """Finds similar plates by either half: one edit leaves one of them unchanged."""
    folded = text.translate(FOLDED)
    half = (len(folded) + 1) // 2
    return (
        "FROM (SELECT plate FROM plate WHERE folded >= :head AND folded < :head_end"
        " UNION SELECT plate FROM plate INDEXED BY plate_folded"
        " WHERE substr(folded, -length(:tail)) = :tail) WHERE is_near(plate, :plate)"
    ), _range(folded[:half]) | {"tail": folded[half:]}


def _matching(text: str) -> tuple[str, dict[str, str]]:
    """Finds plates that match a pattern among those with its beginning."""
    select = "FROM plate WHERE plate >= :head AND plate < :head_end AND plate GLOB :plate"
    return select, _range(re.split(r"[*?]", text)[0])


def _range(prefix: str) -> dict[str, str]:
    """Returns the bounds of all texts with a prefix."""
    return {"head": prefix, "head_end": f"{prefix}~"}


def _is_near(plate: str, wanted: str) -> bool:
    return distance(plate, wanted, at_most=MAX_DISTANCE) <= MAX_DISTANCE


def json_lines(events: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Gives each event as a line of JSON."""
    return (json.dumps(event, ensure_ascii=False) + "\n" for event in events)


def csv_lines(events: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Gives a header line, and a row for each event (RFC 4180)."""
    yield f"{HEADER}\r\n"
    for event in events:
        yield f"{event_line(event)}\r\n"
