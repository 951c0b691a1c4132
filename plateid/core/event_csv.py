"""Events as rows of a CSV file (RFC 4180), in the log file and in `plateid events export`."""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Any

FORMULA = re.compile(r"[\t\r\n]|\s*[-=+@\N{MINUS SIGN}]")
"""Start of a formula in a spreadsheet, after NFKC; the name of a list entry may start with one."""
COLUMNS = {
    "event_type": "event_type",
    "first_seen": "first_seen",
    "last_seen": "last_seen",
    "device": "device",
    "camera": "camera",
    "plate": "plate",
    "plate_display": "plate_display",
    "confidence": "confidence",
    "region": "region.code",
    "list": "list.kind",
    "list_name": "list.name",
    "list_distance": "list.distance",
    "direction": "direction.way",
    "dwell_s": "dwell_s",
    "parked": "parked",
    "reads": "reads",
    "agreeing_reads": "agreeing_reads",
    "lat": "gps.lat",
    "lon": "gps.lon",
    "pass_id": "pass_id",
    "id": "id",
}
"""The columns, each with the field of the event that it shows."""
HEADER = ",".join(COLUMNS)


def event_line(event: Mapping[str, Any]) -> str:
    """Returns the row of an event, which is given as its JSON object, without a line end."""
    return csv_line(_field(event, path) for path in COLUMNS.values())


def csv_line(cells: Iterable[object]) -> str:
    """Returns a row without a line end; no cell is a formula."""
    line = io.StringIO()
    csv.writer(line).writerow(map(without_formula, cells))
    return line.getvalue().removesuffix("\r\n")


def _field(event: Mapping[str, Any], path: str) -> Any:
    return reduce(lambda value, key: value and value[key], path.split("."), event)


def without_formula(cell: object) -> object:
    """Adds a quote before a text that a spreadsheet would run, in full-width forms as well."""
    if isinstance(cell, str) and FORMULA.match(unicodedata.normalize("NFKC", cell)):
        return f"'{cell}"
    return cell
