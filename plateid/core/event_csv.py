"""Events as rows of a CSV file (RFC 4180), in the log file and in `plateid events export`."""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from typing import Any

FORMULA = re.compile(r"[\t\r\n]|\s*[-=+@\N{MINUS SIGN}]")
"""Start of a formula in a spreadsheet, after NFKC; the name of a list entry may start with one."""
HEADER = (
    "event_type,first_seen,last_seen,device,camera,plate,plate_display,confidence,region,list,"
    "list_name,list_distance,direction,dwell_s,parked,reads,agreeing_reads,lat,lon,pass_id,id"
)
NESTED = {
    "region": "region.code",
    "direction": "direction.way",
    "lat": "gps.lat",
    "lon": "gps.lon",
    "list": "list.kind",
    "list_name": "list.name",
    "list_distance": "list.distance",
}
"""The fields of an event that columns show; other columns have the name of their field."""


def event_line(event: Mapping[str, Any]) -> str:
    """Returns the row of an event, which is given as its JSON object, without a line end."""
    return csv_line(_field(event, NESTED.get(name, name)) for name in HEADER.split(","))


def csv_line(cells: Iterable[object]) -> str:
    """Returns a row without a line end; no cell is a formula."""
    line = io.StringIO()
    csv.writer(line).writerow(map(without_formula, cells))
    return line.getvalue().removesuffix("\r\n")


def csv_lines(rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """Yields rows with their line ends (RFC 4180)."""
    return (f"{csv_line(cells)}\r\n" for cells in rows)


def _field(event: Mapping[str, Any], path: str) -> Any:
    return reduce(lambda value, key: value and value[key], path.split("."), event)


def without_formula(cell: object) -> object:
    """Adds a quote before a text that a spreadsheet would run, in full-width forms as well."""
    if isinstance(cell, str) and FORMULA.match(unicodedata.normalize("NFKC", cell)):
        return f"'{cell}"
    return cell
