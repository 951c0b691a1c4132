"""Alerts: faults of devices, from their health reports; each start and end is an event."""

import json
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

import psycopg

from plateid.core.records import rfc3339
from plateid.errors import PlateidError, errors_as

TIMEOUT_S = 5.0
"""Time-out of the webhook, seconds."""
STARTED = """
    INSERT INTO alert (device, kind) SELECT device, kind FROM fault
    ON CONFLICT DO NOTHING RETURNING device, kind"""
ENDED = """
    DELETE FROM alert WHERE (device, kind) NOT IN (SELECT device, kind FROM fault)
    RETURNING device, kind"""


def changed_alerts(db: psycopg.Connection) -> Iterator[dict[str, Any]]:
    """Updates the table of alerts; yields each start and end."""
    for state, statement in (("started", STARTED), ("ended", ENDED)):
        for device, kind in db.execute(statement.encode()).fetchall():
            at = rfc3339(datetime.now(UTC))
            yield {"device": device, "alert": kind, "state": state, "at": at}


def post(url: str, alert: dict[str, Any]) -> None:
    """Sends an alert to a webhook; raises PlateidError, which does not repeat the URL's secrets."""
    headers = {"Content-Type": "application/json"}
    causes = OSError, ValueError, HTTPException
    with errors_as(PlateidError, urlsplit(url).hostname, *causes):
        request = urllib.request.Request(url, json.dumps(alert).encode(), headers)  # noqa: S310 - http(s)
        urllib.request.urlopen(request, timeout=TIMEOUT_S).close()  # noqa: S310
