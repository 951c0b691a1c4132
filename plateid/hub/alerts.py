"""Alerts: faults of devices, from their health reports; each start and end is an event."""

import json
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg

from plateid.core.records import rfc3339
from plateid.errors import PlateidError, errors_as

TIMEOUT_S = 5.0
"""Time-out of the webhook, seconds."""
FAULTS = """
    SELECT name, 'offline' FROM device
        WHERE NOT coalesce(online, TRUE) OR health_at < now() - make_interval(secs => %(offline_s)s)
    UNION ALL SELECT name, 'disk' FROM device WHERE health ->> 'disk' = 'failed'
    UNION ALL SELECT name, 'clock' FROM device WHERE health ->> 'clock_synced' = 'false'"""
STARTED = f"""
    INSERT INTO alert (device, kind) SELECT * FROM ({FAULTS}) AS fault (device, kind)
    ON CONFLICT DO NOTHING RETURNING device, kind"""  # noqa: S608 - constants
ENDED = f"""
    DELETE FROM alert WHERE NOT EXISTS (SELECT 1 FROM ({FAULTS}) AS fault (device, kind)
        WHERE (fault.device, fault.kind) = (alert.device, alert.kind))
    RETURNING device, kind"""  # noqa: S608 - constants


def changed_alerts(db: psycopg.Connection, offline_s: float) -> Iterator[dict[str, Any]]:
    """Updates the table of alerts; yields each start and end."""
    for state, statement in (("started", STARTED), ("ended", ENDED)):
        for device, kind in db.execute(statement.encode(), {"offline_s": offline_s}).fetchall():
            at = rfc3339(datetime.now(UTC))
            yield {"device": device, "alert": kind, "state": state, "at": at}


def post(url: str, alert: dict[str, Any]) -> None:
    """Sends an alert to a webhook; raises PlateidError."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(alert).encode(), headers)  # noqa: S310 - http(s)
    with errors_as(PlateidError, url, OSError), urllib.request.urlopen(request, timeout=TIMEOUT_S):  # noqa: S310
        pass
