"""The fields of a search, from a form, a URL or the command line."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Literal, get_args

from plateid.core.lists import compact
from plateid.core.text import CHARSET, normalise
from plateid.errors import PlateidError, errors_as

FIELDS = (
    *("plate", "fuzzy", "site", "device", "camera", "since", "until", "listed"),
    *("min", "max", "after", "limit"),
)
PAGE = 50
"""Default number of rows of a page."""
MAX_PAGE = 500
"""Maximum number of rows of a page."""
MIN_FUZZY = 4
"""Minimum length of a plate for a fuzzy search: half of a shorter text is in every plate."""
MAX_PATTERN = 32
"""Maximum length of a plate with wildcards, and length of a hash."""
PATTERN = re.compile(rf"[{CHARSET}*?]{{1,{MAX_PATTERN}}}")
"""A plate with wildcards."""
MOMENT = re.compile(r"\d{4}-\d\d-\d\d(T|$)", re.ASCII)
"""The start of a date or time."""
CURSOR = re.compile(r"(\d{4}(?:-\d\d){2}T\d\d(?::\d\d){2}\.\d{3}Z)~([0-9a-f-]{36})")
"""`first_seen` and id of an event."""
Listed = Literal["", "any", "none", "allow", "deny", "watch"]


class QueryError(PlateidError):
    """A field of a search is wrong; the subject is its name."""


@dataclass(frozen=True)
class Query:
    """The filters of a search; an empty or None filter is off. Limits are included."""

    plate: str = ""  # a plate, or a pattern with `*` (any text) and `?` (any character)
    fuzzy: bool = False  # whether to find plates that are one edit away, too
    site: str = ""  # this and `device`: of a hub only
    device: str = ""
    camera: str = ""
    since: datetime | None = None  # first and last `first_seen` (aware)
    until: datetime | None = None
    listed: Listed = ""
    min_confidence: float = 0.0
    max_confidence: float = 1.0
    after: str = ""  # cursor of the last row of the previous page
    limit: int = PAGE


def parse_query(fields: Mapping[str, str]) -> Query:
    """Returns the query of some fields. Raises QueryError if a field is unknown or wrong."""
    if unknown := sorted(fields.keys() - set(FIELDS)):
        raise QueryError(unknown[0][:40], "there is no such field")
    fuzzy, listed, after = (fields.get(name, "") for name in ("fuzzy", "listed", "after"))
    if fuzzy not in ("", "0", "1"):
        raise QueryError("fuzzy", "must be 0 or 1")
    if listed not in get_args(Listed):
        raise QueryError("listed", f"must be one of {', '.join(filter(None, get_args(Listed)))}")
    if after and not CURSOR.fullmatch(after):
        raise QueryError("after", "is not the cursor of a page")
    return Query(
        plate=_plate(fields.get("plate", ""), fuzzy=fuzzy == "1"),
        fuzzy=fuzzy == "1",
        **{name: fields.get(name, "")[:64] for name in ("site", "device", "camera")},
        since=_moment("since", fields),
        until=_moment("until", fields),
        listed=listed,  # type: ignore[arg-type]
        min_confidence=_number("min", fields, 0.0, (0.0, 1.0)),
        max_confidence=_number("max", fields, 1.0, (0.0, 1.0)),
        after=after,
        limit=int(_number("limit", fields, PAGE, (1, MAX_PAGE))),
    )


def _plate(text: str, *, fuzzy: bool) -> str:
    plate = compact(text)
    if plate and not PATTERN.fullmatch(plate):
        raise QueryError("plate", "must be up to 32 letters A to Z, digits, * and ?")
    if plate and fuzzy and (set(plate) & set("*?") or len(normalise(plate)) < MIN_FUZZY):
        reason = f"needs {MIN_FUZZY} characters, and no * or ?, to find similar plates"
        raise QueryError("plate", reason)
    return plate


def _moment(name: str, fields: Mapping[str, str]) -> datetime | None:
    """Returns an aware time; without a zone it is local, and `until` a day is until its end."""
    text = fields.get(name)
    if text is None:
        return None
    reason = "must be a time such as 2026-11-24T18:30"
    with errors_as(QueryError, name, ValueError, OverflowError, reason=reason):
        moment = datetime.fromisoformat(text if MOMENT.match(text) else "")
        if name == "until" and len(text) == len("2026-11-24"):
            moment = datetime.combine(moment, time.max)
        return moment.astimezone(UTC)


def _number(
    name: str, fields: Mapping[str, str], default: float, bounds: tuple[float, float]
) -> float:
    try:
        number = float(fields.get(name, default))
    except ValueError:
        number = float("nan")
    if not bounds[0] <= number <= bounds[1]:
        raise QueryError(name, f"must be a number from {bounds[0]:g} to {bounds[1]:g}")
    return number
