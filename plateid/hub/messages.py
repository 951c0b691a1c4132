"""Checks messages of devices: an event to store, or the reason why it is none."""

import hashlib
import json
import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import resources
from typing import Any

import jsonschema_rs
from pydantic_core import from_json

from plateid.core.ids import uuid7_of
from plateid.core.lists import compact
from plateid.core.records import Candidate, Direction, ModelNames, PlateEvent, Region
from plateid.core.text import CHARSET
from plateid.errors import errors_as

MAX_BYTES = 65_536
"""Longest message, bytes. An event with a long path has 20,000."""
MAX_AHEAD = timedelta(hours=1)
"""Longest time that an event may be in the future: device and hub differ by their clocks."""
MAX_AGE = timedelta(days=3660)
"""Age beyond which the clock of a device is wrong: each month gets a partition."""
MAX_PLATE = 32
"""Longest plate, characters, as in a search: PostgreSQL indexes no text of some kilobytes."""
NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
"""The form of names of devices, cameras, sites and groups."""
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


@dataclass(frozen=True)
class Health:
    """A health report (JSON), and the number of the device's last event, 0 if it has none."""

    device: str
    report: str
    last_seq: int


def parse(message: Message, now: datetime) -> Event | Health:
    """Returns what a message says; raises RejectedError."""
    if not message.device:
        raise RejectedError("no valid name of a device in the topic")
    match message.levels:
        case [_, "health"]:
            return _health_of(message)
        case [device, camera, "event" | "read" as kind]:
            fields = _json(message)
            if kind == "read":
                fields = _from_foreign_read(device, camera, fields)
            return _event_of(device, camera, fields, now)
    raise RejectedError("no topic of events")


def _json(message: Message) -> Any:
    if len(message.payload) > MAX_BYTES:
        raise RejectedError(f"larger than {MAX_BYTES:,} bytes")
    with _refused("not JSON", ValueError):
        return from_json(message.payload, allow_inf_nan=False)


def _refused(reason: str, *causes: type[Exception]) -> AbstractContextManager[None]:
    return errors_as(lambda *_: RejectedError(reason), reason, *causes)


def _health_of(message: Message) -> Health:
    report = _json(message)
    if not isinstance(report, dict):
        raise RejectedError("health report is no JSON object")
    last = report.get("last_seq", 0)
    is_valid = isinstance(last, int) and 0 <= last < 1 << 63
    return Health(message.device, json.dumps(report), last if is_valid else 0)


def _event_of(device: str, camera: str, fields: Any, now: datetime) -> Event:
    if (problem := next(VALIDATOR.iter_errors(fields), None)) is not None:
        path = "".join(
            "[]" if isinstance(part, int) else f".{part}" for part in problem.instance_path
        )
        raise RejectedError(f"out of schema: {path[1:] or 'event'}: {problem.schema_path[-1]}")
    if (fields["device"], fields["camera"]) != (device, camera):
        raise RejectedError("device or camera is not that of the topic")
    if len(fields["plate"]) > MAX_PLATE:
        raise RejectedError(f"plate: has more than {MAX_PLATE} characters")
    with _refused("out of schema: first_seen or last_seen", ValueError):
        times = {key: datetime.fromisoformat(fields[key]) for key in ("first_seen", "last_seen")}
    if max(times.values()) > now + MAX_AHEAD:
        raise RejectedError("of the future")
    if times["first_seen"] < now - MAX_AGE:
        raise RejectedError(f"older than {MAX_AGE.days} days")
    columns = {key: fields[key] for key in Event.__dataclass_fields__ if key in fields}
    columns["list_kind"] = (fields["list"] or {}).get("kind")
    columns["payload"] = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    return Event(**columns | times)


def _from_foreign_read(device: str, camera: str, fields: Any) -> Any:
    """Returns the event of another maker's read, for the schema to check; raises RejectedError.

    `fields` are `plate`, `time` (RFC 3339 with its zone), and optionally `confidence` (0-1),
    `region` (ISO 3166-1 alpha-2) and `way` (in or out). The same read gives the same id.
    """
    causes = KeyError, TypeError, ValueError, AttributeError, OverflowError
    with _refused("a read needs plate and time", *causes):
        plate, moment = compact(fields["plate"]), datetime.fromisoformat(fields["time"])
        confidence, way, region = map(
            fields.get, ("confidence", "way", "region"), (0.0, None, None)
        )
        if moment.tzinfo is None or not set(plate) <= set(CHARSET) or not plate:
            raise RejectedError(
                "a read needs a plate of A to Z and 0 to 9, and a time with its zone"
            )
        event = plain_event(
            moment,
            f"{device}/{camera}/{plate}",
            event_type="plate_seen",
            device=device,
            camera=camera,
            seq=0,
            plate=plate,
            confidence=confidence,
            reads=1,
            agreeing_reads=1,
            region=Region(region, 1.0) if region else None,
            last_seen=moment,
            box=(0, 0, 0, 0),
            path=(),
            dwell_s=0,
            direction=Direction(way, 0) if way else None,
            model=ModelNames(*["unknown"] * 3),
        )
        return from_json(event.to_json())


def plain_event(
    moment: datetime, key: str, *, plate: str, confidence: float, **others: Any
) -> PlateEvent:
    """Returns an event whose characters have one confidence.

    Its id is a UUID version 7 of its time, with a hash of time and key instead of random bits.
    """
    digest = hashlib.sha256(f"{moment.timestamp()} {key}".encode()).digest()
    id_ = str(uuid7_of(max(0, int(moment.timestamp() * 1000)), digest[:10]))
    return PlateEvent(
        id=id_,
        pass_id=id_,
        first_seen=moment,
        plate=plate,
        plate_raw=plate,
        plate_display=plate,
        confidence=confidence,
        char_confidences=(confidence,) * len(plate),
        candidates=(Candidate(plate, confidence),),
        **others,
    )
