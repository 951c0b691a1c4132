"""Labels of the fleet: what the page "Review" reads and stores, and what devices send.

A device offers the plates that it would ask its own users about: within its [privacy], and as an
image of the plate and its surroundings. What people say on the hub goes before what devices send.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
from pydantic import Base64Bytes, BaseModel, Field

from plateid.core.lists import ListEntry
from plateid.core.records import Image
from plateid.store.labels import MAX_EVENTS, VERDICTS, Label, Labels, LabelTask, order_tasks
from plateid.store.snapshot_files import decode_image

if TYPE_CHECKING:
    from plateid.hub.history import FleetHistory

STORE = "SELECT store_label(%s, %s, %s, %s, %s::real[])"
REMOVE = """
    UPDATE label SET verdict = NULL, text = '', box = NULL, is_of_device = FALSE WHERE id = %s"""
"""The device, which sends its own label each hour, cannot set it again."""
OFFER = "SELECT offer_events(%s, %s, %s::uuid[])"
STORE_IMAGE = "UPDATE label SET jpeg = %s WHERE id = %s AND device = %s AND jpeg IS NULL"
UNLABELLED = """
    SELECT payload FROM label JOIN event USING (id, device)
    WHERE verdict IS NULL AND jpeg IS NOT NULL AND {} ORDER BY offered_at DESC LIMIT {}"""
LABELLED = """
    SELECT text, payload FROM label JOIN event USING (id, device)
    WHERE verdict IS NOT NULL AND {} ORDER BY labelled_at DESC LIMIT {}"""
IMAGES = """
    SELECT id::text, verdict, text, box FROM label JOIN event USING (id, device)
    WHERE verdict IS NOT NULL AND jpeg IS NOT NULL AND {} ORDER BY id"""
COUNTS = "SELECT verdict, count(*) FROM label WHERE {} GROUP BY 1"


class Offer(BaseModel):
    """What a device sends: labels, events to label, the most useful first, and images (Base64)."""

    labels: list[Label] = Field([], max_length=100_000)
    offered: list[UUID] = Field([], max_length=MAX_EVENTS)
    images: dict[UUID, Base64Bytes] = {}


class FleetLabels(Labels):
    """The labels of the devices of a history. Thread-safe; raises StoreError."""

    def __init__(self, history: "FleetHistory") -> None:
        self._history = history

    def add(self, label: Label) -> None:
        """Stores a label, replacing an earlier one of the same event."""
        with self._history.opened() as db:
            db.execute(STORE, _values(label, ""))

    def remove(self, id_: str) -> None:
        """Deletes the label of an event, if it has one."""
        with self._history.opened() as db:
            db.execute(REMOVE, (id_,))

    def counts(self) -> dict[str, int]:
        """Returns the number of labels of each verdict."""
        known = dict(self._rows(COUNTS))
        return {verdict: known.get(verdict, 0) for verdict in VERDICTS}

    def tasks(self, entries: Iterable[ListEntry]) -> list[LabelTask]:
        """Returns an event of each vehicle to label, the most useful first."""
        events = [payload for (payload,) in self._rows(UNLABELLED)]
        return order_tasks(events, self._rows(LABELLED), entries)

    def images(self) -> Iterator[tuple[Label, Image | None]]:
        """Yields each label with its image."""
        for id_, verdict, text, box in self._rows(IMAGES):
            with self._history.opened() as db:
                row = db.execute("SELECT jpeg FROM label WHERE id = %s", (id_,)).fetchone()
            yield Label(id_, verdict, text, tuple(box)), decode_image(row[0]) if row else None

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        places, values = self._history.places()
        with self._history.opened() as db:
            return db.execute(query.format(places, MAX_EVENTS).encode(), values).fetchall()


def take_offer(db: psycopg.Connection, device: str, offer: Offer) -> list[str]:
    """Stores what a device sends; returns the ids of events whose image it is to send."""
    labelled = [label.id for label in offer.labels]
    images = [(jpeg, id_, device) for id_, jpeg in offer.images.items()]
    with db.transaction(), db.cursor() as cursor:
        cursor.executemany(STORE, [_values(label, device) for label in offer.labels])
        cursor.executemany(STORE_IMAGE, images)
        return [id_ for (id_,) in cursor.execute(OFFER, (device, offer.offered, labelled))]


def _values(label: Label, device: str) -> tuple[object, ...]:
    return label.id, device, label.verdict, label.text, list(label.box)
