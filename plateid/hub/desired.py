"""The desired state of each device: its part of the master list, plates to delete, and a bundle.

A device fetches the document that a retained, signed message names, applies it, and reports. The
column `cameras` of the master list holds sites, groups and devices; an entry without is for all.
"""

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

import psycopg

from plateid.hub.enrolment import Authority
from plateid.store.list_csv import COLUMNS, rows_of

DEVICES = "SELECT name, site, groups FROM device WHERE token_sha256 IS NOT NULL"
LISTS = "SELECT device, document::json ->> 'lists' FROM desired"
BUNDLES = "SELECT device, bundle FROM wanted_bundle"
DUE = """
    SELECT change, device, version, sha256 FROM desired WHERE change > %s OR device = ANY(%s)"""
STORE = "SELECT store_desired(%s, %s, %s)"


class MasterList:
    """The entries of the master list, parsed once for all devices."""

    def __init__(self, text: str) -> None:
        """Raises ValueError for a cell of several lines."""
        self.text = text
        self._rows = [(frozenset(row["cameras"].split()), row) for row in rows_of(text).values()]
        self._named = frozenset[str]().union(*(wanted for wanted, _ in self._rows))
        self._parts: dict[frozenset[str], str] = {}

    def part_of(self, names: Iterable[str]) -> str:
        """Returns the entries that are for all devices or for one of some names, as CSV."""
        key = self._named.intersection(names)
        if key not in self._parts:
            rows = (row for wanted, row in self._rows if not wanted or wanted & key)
            cells = ([row[column] for column in COLUMNS[:-1]] for row in rows)
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows([COLUMNS[:-1], *cells])
            self._parts[key] = text.getvalue()
        return self._parts[key]


def store_list(db: psycopg.Connection, master: str) -> None:
    """Keeps a version of the master list, if it is another one than the last."""
    newest = "SELECT content FROM list_version ORDER BY version DESC LIMIT 1"
    if db.execute(newest.encode()).fetchone() != (master,):
        db.execute("INSERT INTO list_version (content) VALUES (%s)", (master,))


def update(db: psycopg.Connection, master: MasterList | None) -> None:
    """Computes the document of each enrolled device; a changed one gets a higher version.

    Without a valid master list, each keeps its part of the one before.
    """
    with db.transaction():
        if master:
            store_list(db, master.text)
        entries = master or MasterList("")
        kept: dict[str, str] = {} if master else dict(db.execute(LISTS).fetchall())
        purges = db.execute("SELECT id, plate, devices FROM purge ORDER BY id").fetchall()
        bundles: dict[str, Any] = dict(db.execute(BUNDLES).fetchall())
        for device, site, groups in db.execute(DEVICES).fetchall():
            wanted = [{"id": id_, "plate": plate} for id_, plate, of in purges if device in of]
            lists = kept.get(device) or entries.part_of([device, site, *groups])
            state = {"device": device, "lists": lists, "purges": wanted}
            bundle = {"bundle": bundles[device]} if device in bundles else {}
            document = json.dumps(state | bundle)
            digest = hashlib.sha256(document.encode()).hexdigest()
            db.execute(STORE, (device, digest, document))


def messages(
    db: psycopg.Connection, authority: Authority, *, url: str, after: int, to: list[str]
) -> Iterator[tuple[int, str, str]]:
    """Gives number, device and message of the changes after a number, and of those `to` some.

    The `signature` of a message is of its text `desired`.
    """
    for change, device, version, digest in db.execute(DUE, (after, to)).fetchall():
        values = {"device": device, "version": version, "sha256": digest, "url": url}
        text = json.dumps(values)
        yield change, device, json.dumps({"desired": text, "signature": authority.signature(text)})
