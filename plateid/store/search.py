"""Searches an event history, newest first, a page at a time.

A search gives the last event of each pass, by what was read or what users corrected it to. The
cursor of a page is its last event, so that the thousandth page takes no longer than the first.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from plateid.core.event_csv import HEADER, event_line
from plateid.core.records import rfc3339
from plateid.store.search_query import CURSOR, MAX_PAGE, Query

MAX_DISTANCE = 1.0
"""Maximum distance of similar plates: one edit, or up to four confusable characters."""
Event = dict[str, Any]
"""An event, as JSON."""


class EventSource(Protocol):
    """The events of a device, or of a fleet."""

    def select(self, query: Query, limit: int, *, newer: bool = False) -> list[Event]:
        """Returns results after the cursor of the query, or those before it, the nearest first.

        Raises StoreError if it cannot be read, or the search is slow.
        """


@dataclass(frozen=True)
class ResultPage:
    """One page of events as JSON objects; `after` is the cursor of the next page, if any."""

    events: list[Event]
    after: str


def find(source: EventSource, query: Query) -> ResultPage:
    """Returns one page; raises as `select`."""
    found = source.select(query, query.limit + 1)
    events = found[: query.limit]
    return ResultPage(events, cursor_of(events[-1]) if len(found) > query.limit else "")


def filters_of(query: Query, *, newer: bool) -> tuple[list[str], dict[str, Any]]:
    """Returns SQL conditions for any database, and their values. No input becomes SQL."""
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
        (query.min_confidence > 0, "confidence >= CAST(:min AS REAL)"),
        (query.max_confidence < 1, "confidence <= CAST(:max AS REAL)"),
    ]
    conditions = [condition for wanted, condition in choices if wanted]
    if match := CURSOR.fullmatch(query.after):
        conditions.append(f"(first_seen, id) {'>' if newer else '<'} (:at, :id)")
        values |= {"at": match[1], "id": match[2]}
    return conditions, values


def cursor_of(event: Mapping[str, Any]) -> str:
    """Returns the cursor of the results after an event."""
    return f"{event['first_seen']}~{event['id']}"


def neighbours(source: EventSource, query: Query, event: Mapping[str, Any]) -> tuple[str, str]:
    """Returns the ids of the results before and after the last event of a pass; empty if none."""
    here = replace(query, after=cursor_of(event))
    newer, older = (source.select(here, 1, newer=side) for side in (True, False))
    return _first_id(newer), _first_id(older)


def _first_id(events: Sequence[Event]) -> str:
    return str(events[0]["id"]) if events else ""


def find_all(source: EventSource, query: Query) -> Iterator[Event]:
    """Gives all results, page by page. Raises as `find` does, at once or later."""
    query = replace(query, limit=MAX_PAGE)
    return _from_page(source, query, find(source, query))


def _from_page(source: EventSource, query: Query, page: ResultPage) -> Iterator[Event]:
    yield from page.events
    while page.after:
        page = find(source, replace(query, after=page.after))
        yield from page.events


def json_lines(events: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Gives each event as a line of JSON."""
    return (json.dumps(event, ensure_ascii=False) + "\n" for event in events)


def csv_lines(events: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Gives a header line, and a row for each event (RFC 4180)."""
    yield f"{HEADER}\r\n"
    for event in events:
        yield f"{event_line(event)}\r\n"
