"""Checks messages of devices: an event to store, or the reason why it is none."""

import hashlib
import json
import re
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import resources
from typing import Any

import jsonschema_rs
from pydantic_core import from_json

from plateid.core.lists import compact
from plateid.core.records import rfc3339
from plateid.core.text import CHARSET
from plateid.store.sequence import COUNTERS

MAX_BYTES = 65_536
"""Longest message, bytes. An event with a long path has 20,000."""
MAX_AHEAD = timedelta(hours=1)
"""Longest time that an event may be in the future: device and hub differ by their clocks."""
MAX_AGE = timedelta(days=3660)
"""Age beyond which the clock of a device is wrong: each month gets a partition."""
NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
"""The form of device and camera names."""
UNKNOWN_MODEL = "unknown"
"""Name of the networks behind foreign reads."""
SCHEMA = json.loads(
    resources.files("plateid.core").joinpath("schema/plate-event.v1.json").read_text()
)
VALIDATOR = jsonschema_rs.validator_for(SCHEMA, validate_formats=True)


class RejectedError(Exception):
    """A message is no event; the text says why, without parts of the message."""


@dataclass(frozen=True)
class Message:
    """A message as it came from the broker: `prefix/device/camera/kind` and its payload."""

    topic: str
    payload: bytes

    @property
    def levels(self) -> list[str]:
        """The levels of the topic after its prefix."""
        return self.topic.split("/")[1:]

    @property
    def device(self) -> str:
        """The device that may write to this topic; empty if it has no valid name."""
        return name if NAME.fullmatch(name := self.levels[0]) else ""


@dataclass(frozen=True)
class Event:
    """An event that satisfies the schema, and its columns in the database."""

    id: str
    pass_id: str
    event_type: str
    device: str
    camera: str
    seq: int
    plate: str
    confidence: float
    list_kind: str | None
    first_seen: datetime
    last_seen: datetime
    payload: str

    @property
    def epoch(self) -> int:
        """The epoch of the sequence number, 0 for foreign reads."""
        return self.seq // COUNTERS

    @property
    def counter(self) -> int:
        """The number of the event in its epoch."""
        return self.seq % COUNTERS


def event_of(message: Message, now: datetime) -> Event:
    """Returns the event of a message; raises RejectedError."""
    device, camera, kind = message.levels
    if len(message.payload) > MAX_BYTES:
        raise RejectedError(f"larger than {MAX_BYTES:,} bytes")
    try:
        fields = from_json(message.payload, allow_inf_nan=False)
    except ValueError as error:
        raise RejectedError("not JSON") from error
    if kind == "read":
        fields = from_foreign_read(device, camera, fields)
    if (problem := next(VALIDATOR.iter_errors(fields), None)) is not None:
        path = "".join(
            "[]" if isinstance(part, int) else f".{part}" for part in problem.instance_path
        )
        raise RejectedError(f"out of schema: {path[1:] or 'event'}: {problem.schema_path[-1]}")
    if (fields["device"], fields["camera"]) != (device, camera):
        raise RejectedError("device or camera is not that of the topic")
    return _checked(fields, now)


def _checked(fields: dict[str, Any], now: datetime) -> Event:
    first_seen, last_seen = (datetime.fromisoformat(fields[k]) for k in ("first_seen", "last_seen"))
    if max(first_seen, last_seen) > now + MAX_AHEAD:
        raise RejectedError("of the future")
    if first_seen < now - MAX_AGE:
        raise RejectedError(f"older than {MAX_AGE.days} days")
    columns = {key: fields[key] for key in Event.__dataclass_fields__ if key in fields}
    columns["list_kind"] = (fields["list"] or {}).get("kind")
    payload = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    return Event(**columns | {"first_seen": first_seen, "last_seen": last_seen, "payload": payload})


def from_foreign_read(device: str, camera: str, fields: Any) -> dict[str, Any]:
    """Returns the event of another maker's read; raises RejectedError.

    `fields` are `plate`, `time` (RFC 3339 with its zone), and optionally `confidence` (0-1),
    `region` (ISO 3166-1 alpha-2) and `way` (in or out). The same read gives the same id.
    """
    try:
        plate, moment = compact(fields["plate"]), datetime.fromisoformat(fields["time"])
        confidence, way = fields.get("confidence", 0.0), fields.get("way")
        region = {"code": fields["region"], "confidence": 1.0} if fields.get("region") else None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RejectedError("a read needs plate and time") from error
    if moment.tzinfo is None or not set(plate) <= set(CHARSET) or not plate:
        raise RejectedError("a read needs a plate of A to Z and 0 to 9, and a time with its zone")
    id_ = hashed_id(moment, f"{device}/{camera}/{plate}")
    seen = rfc3339(moment)
    return {
        "schema": "plate-event.v1",
        "event_type": "plate_seen",
        "id": id_,
        "pass_id": id_,
        "device": device,
        "camera": camera,
        "seq": 0,
        **dict.fromkeys(("plate", "plate_raw", "plate_display"), plate),
        "confidence": confidence,
        "char_confidences": [confidence] * len(plate),
        "candidates": [{"plate": plate, "confidence": confidence}],
        "region": region,
        "reads": 1,
        "agreeing_reads": 1,
        "list": None,
        "first_seen": seen,
        "last_seen": seen,
        "sent_at": None,
        "clock_synced": None,
        "box": [0, 0, 0, 0],
        "path": [],
        "dwell_s": 0,
        "direction": {"way": way, "degrees": 0} if way else None,
        "parked": False,
        "gps": None,
        "snapshot": None,
        "corrected": False,
        "replayed": False,
        "model": dict.fromkeys(("detector", "reader", "bundle"), UNKNOWN_MODEL),
    }


def hashed_id(moment: datetime, text: str) -> str:
    """Returns a UUID version 7 of a time whose other bits are a hash instead of random."""
    milliseconds = max(0, int(moment.timestamp() * 1000))
    digest = hashlib.sha256(f"{moment.timestamp()} {text}".encode()).digest()
    value = (milliseconds << 80) | int.from_bytes(digest[:10])
    value = value & ~(0xF << 76) | (0x7 << 76)
    return str(uuid.UUID(int=value & ~(0x3 << 62) | (0x2 << 62)))
