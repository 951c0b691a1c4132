"""Passes as rows with thumbnails, on the pages Live, Events, Event and First steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from plateid.core.records import Box
from plateid.errors import StoreError
from plateid.store.history import Correction
from plateid.store.search import find
from plateid.store.search_query import Query
from plateid.store.snapshot_files import is_hidden
from plateid.web.live import RECENT
from plateid.web.site import EventHistory, Site, local_time, templates

VEHICLE_WIDTHS, PLATE_HEIGHT = 4.8, 0.72
"""Width of a vehicle's thumbnail in widths of its plate, and height of the plate in it (0-1)."""
VEHICLE_PX = (240, 160)
"""Size of a vehicle's thumbnail: twice the size on the page, for sharp displays."""
MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400
NOT_PLATES = {"unreadable": "unreadable", "notplate": "not a plate"}
"""Words for labels without a text."""


@dataclass(frozen=True)
class PassRow:
    """A pass, given by its last event, and what users and the disk add to it."""

    event: Mapping[str, Any]
    correction: Correction | None
    has_image: bool
    has_crop: bool
    is_fleet: bool = False

    @property
    def text(self) -> str:
        """The corrected text, or the text that was read."""
        return str((self.correction and self.correction.text) or self.event["plate"])

    @property
    def is_corrected(self) -> bool:
        """Whether a user gave another text than was read."""
        return self.text != str(self.event["plate"])

    @property
    def plate(self) -> str:
        """The text as it is shown."""
        shown = self.text if self.is_corrected else self.event["plate_display"] or self.text
        return shown or "not stored"

    @property
    def label(self) -> str:
        """What a user said of the reading; empty if nothing."""
        if self.correction is None:
            return ""
        read = f"read as {self.event['plate']}" if self.is_corrected else "confirmed"
        return NOT_PLATES.get(self.correction.verdict, read)


def rows_of(
    history: EventHistory, events: Sequence[dict[str, Any]], *, corrected: bool = True
) -> list[PassRow]:
    """Returns rows of the last events of passes; reads the store for `corrected` only."""
    passes = (event["pass_id"] for event in events)
    known = history.corrections(passes) if corrected and events else {}
    images = history.with_images(events)
    return [
        PassRow(
            event,
            known.get(event["pass_id"]),
            has_image=event["id"] in images,
            has_crop=event["id"] in images and not is_hidden(event),
            is_fleet=history.is_fleet,
        )
        for event in events
    ]


def latest_passes(site: Site) -> list[PassRow] | None:
    """Returns the latest passes, newest first; None if the store cannot be read."""
    try:
        found = [] if site.is_new else find(site.history, Query(limit=RECENT)).events
        return rows_of(site.history, found)
    except StoreError:
        return None


def vehicle_box(plate: Box) -> Box:
    """Returns the box of the vehicle around a plate: a guess from the usual size of vehicles."""
    x1, y1, x2, y2 = plate
    width = VEHICLE_WIDTHS * (x2 - x1)
    height = width * VEHICLE_PX[1] / VEHICLE_PX[0]
    left, top = (x1 + x2 - width) / 2, (y1 + y2) / 2 - PLATE_HEIGHT * height
    return left, top, left + width, top + height


def age_s(moment: str) -> float:
    """Returns the age of an RFC 3339 time, seconds."""
    return (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()


def ago(moment: str) -> str:
    """Returns how long ago a time is, or the local time if it is more than a day. See page.js."""
    age = age_s(moment)
    if not 0 <= age < DAY_S:
        return local_time(moment)
    if age < MINUTE_S:
        return "just now"
    return f"{age // MINUTE_S:.0f} min ago" if age < HOUR_S else f"{age // HOUR_S:.0f} h ago"


templates.filters |= {"ago": ago, "age_s": age_s}
