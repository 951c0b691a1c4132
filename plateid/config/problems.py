"""Describes validation errors in words: the key, what is wrong, a suggestion, and the line."""

import tomllib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

Location = tuple[int | str, ...]
"""Keys and list indices from the top of the file, for example `("camera", 0, "url")`."""
REASONS = {
    "missing": "is missing",
    "greater_than": "must be greater than {gt:g}",
    "greater_than_equal": "must be {ge:g} or more",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be {le:g} or less",
    "too_short": "must have {min_length} or more items, not {actual_length}",
    "too_long": "must have {max_length} or fewer items, not {actual_length}",
    "string_too_short": "must not be empty",
    "string_type": "must be text in quotes",
    "path_type": "must be a path in quotes",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "is too large",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "tuple_type": "must be a list",
    "model_type": "must be a table",
    "ip_any_address": "must be an IP address",
}
"""The reason by pydantic's error type; the placeholders are pydantic's context."""


@dataclass(frozen=True)
class Problem:
    """What is wrong at one place of a configuration."""

    location: Location
    text: str


def problems_of(error: ValidationError, model: type[BaseModel] | None = None) -> list[Problem]:
    """Returns all problems of a validation; `model` gives the known keys for suggestions."""
    details = error.errors(include_url=False)
    locations = {each["loc"] for each in details}
    return [
        Problem(each["loc"], _text(each, model))
        for each in details
        if not (_is_inherited(each["loc"], locations) or _follows(each, locations))
    ]


def line_of(text: str, location: Location) -> int | None:
    """Returns the line of a TOML text that defines a location, or else the table around it."""
    tables = list(_tables(text.splitlines()))
    for depth in range(len(location), 0, -1):
        for number, table in tables:
            if _has(table, location[:depth]):
                return number
    return None


def _tables(lines: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Gives what the first line defines, then what the first two lines define, and so on."""
    for number in range(1, len(lines) + 1):
        for closing in ("", "]", "]]"):  # arrays may go on in the next line
            with suppress(ValueError, RecursionError):
                yield number, tomllib.loads("\n".join(lines[:number]) + closing)
                break


def _has(table: Any, location: Location) -> bool:
    for part in location:
        try:
            table = table[part]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _is_inherited(location: Location, locations: set[Location]) -> bool:
    """Whether a camera has this problem from `[events]`, where it is reported as well."""
    return location[:1] == ("camera",) and location[2:] in locations


def _follows(details: ErrorDetails, locations: set[Location]) -> bool:
    """Whether a list is too short for pydantic only because it does not count wrong items."""
    location, depth = details["loc"], len(details["loc"])
    inside = any(each[:depth] == location and len(each) > depth for each in locations)
    return details["type"] == "too_short" and inside


def _text(details: ErrorDetails, model: type[BaseModel] | None) -> str:
    location, kind, context = details["loc"], details["type"], details.get("ctx", {})
    key = dotted(location)
    if kind == "extra_forbidden":
        return f'unknown key "{key}"{_suggestion(location, model)}'
    if kind == "literal_error":
        reason = f"must be {context['expected']}".replace("'", '"')
    elif kind in REASONS:
        reason = REASONS[kind].format(**context)
    else:
        reason = details["msg"].removeprefix("Value error, ").removeprefix("value ")
    return f"{key}: {reason}" if key else reason


def dotted(location: Location) -> str:
    """Returns a location as it is written in messages, for example `camera[0].url`."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return "".join(parts).removeprefix(".")


def _suggestion(location: Location, model: type[BaseModel] | None) -> str:
    section = model
    for part in location[:-1]:
        if section is not None and isinstance(part, str):
            section = _section(section.model_fields[part].annotation)
    known = section.model_fields if section else {}
    close = get_close_matches(str(location[-1]), known, n=1)
    return f': did you mean "{close[0]}"?' if close else ""


def _section(annotation: Any) -> type[BaseModel] | None:
    """Returns the model in an annotation such as `tuple[CameraConfig, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_section, get_args(annotation))), None)
