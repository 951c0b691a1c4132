"""What a search found, as a file."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from plateid.core.csv_cells import csv_line

COLUMNS = (
    *("first_seen", "last_seen", "camera", "plate", "confidence", "region", "list", "list_kind"),
    *("direction", "dwell_s", "parked", "reads", "agreeing_reads", "event_type", "id", "pass_id"),
)


def json_lines(events: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """An event a line."""
    return (json.dumps(event, ensure_ascii=False) + "\n" for event in events)


def csv_lines(events: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """A heading, and a row an event: RFC 4180, harmless in a spreadsheet."""
    yield ",".join(COLUMNS) + "\r\n"
    for event in events:
        yield csv_line(_row(event), end="\r\n")


def _row(event: Mapping[str, Any]) -> list[Any]:
    listed, region, direction = event["list"] or {}, event["region"] or {}, event["direction"] or {}
    nested = {
        "list": listed.get("name"),
        "list_kind": listed.get("kind"),
        "region": region.get("code"),
        "direction": direction.get("way"),
    }
    return [(event | nested)[column] for column in COLUMNS]  # type: ignore[operator]
