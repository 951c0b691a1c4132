"""Events of a fleet in the database of a hub."""

from collections.abc import Iterable
from datetime import datetime

from psycopg.types.json import Jsonb

from plateid.config.hub import DatabaseConfig
from plateid.core.records import PlateEvent, rfc3339
from plateid.hub.database import connect, make_partitions, month_of

INSERT = """
    INSERT INTO event (id, pass_id, event_type, device, camera, seq, plate, confidence, list_kind,
        first_seen, last_seen, payload)
    VALUES (%(id)s, %(pass_id)s, %(event_type)s, %(device)s, %(camera)s, %(seq)s, %(plate)s,
        %(confidence)s, %(list_kind)s, %(first_seen)s, %(last_seen)s, %(payload)s)"""


def insert_events(config: DatabaseConfig, events: Iterable[PlateEvent]) -> None:
    """Stores events; a device is at the site of the first letter of its name."""
    rows = [row_of(each) for each in events]
    with connect(config, purpose="test") as db, db.cursor() as cursor:
        make_partitions(db, {month_of(row["first_seen"]) for row in rows})
        devices = {row["device"] for row in rows}
        add_site = "INSERT INTO site (name) VALUES (%s) ON CONFLICT DO NOTHING"
        add_device = "INSERT INTO device (name, site) VALUES (%s, %s) ON CONFLICT DO NOTHING"
        cursor.executemany(add_site, [(name[0],) for name in devices])
        cursor.executemany(add_device, [(name, name[0]) for name in devices])
        cursor.executemany(INSERT, rows)


def row_of(event: PlateEvent) -> dict[str, object]:
    """The columns of an event, as the hub stores them."""
    payload = Jsonb(event.to_json())
    payload.dumps = lambda text: text  # it is JSON already
    kind = event.list and event.list.kind
    first_seen = datetime.fromisoformat(rfc3339(event.first_seen))  # with milliseconds
    return vars(event) | {"list_kind": kind, "first_seen": first_seen, "payload": payload}
