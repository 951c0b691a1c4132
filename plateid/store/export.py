"""The events of a search as a file."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from plateid.core.event_csv import HEADER, event_line


def json_lines(events: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Gives each event as a line of JSON."""
    return (json.dumps(event, ensure_ascii=False) + "\n" for event in events)


def csv_lines(events: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Gives a header line, and a row for each event (RFC 4180)."""
    yield f"{HEADER}\r\n"
    for event in events:
        yield f"{event_line(event)}\r\n"
