"""Events as rows of a CSV file, in the log file and in `plateid events export`."""

from collections.abc import Mapping
from functools import reduce
from typing import Any

from plateid.core.csv_cells import csv_line

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


def header_line(*, end: str) -> str:
    """Returns the names of the columns."""
    return csv_line(COLUMNS, end=end)


def event_line(event: Mapping[str, Any], *, end: str) -> str:
    """Returns the row of an event, which is given as its JSON object."""
    return csv_line((_field(event, path) for path in COLUMNS.values()), end=end)


def _field(event: Mapping[str, Any], path: str) -> Any:
    return reduce(lambda value, key: value and value[key], path.split("."), event)
