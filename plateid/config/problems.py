"""Describes validation errors in words: the key, what is wrong, a suggestion, and the line."""

import functools
import re
import tomllib
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from plateid.errors import ConfigError

Location = tuple[int | str, ...]
"""Keys and list indices from the top of the file, for example `("camera", 0, "url")`."""
Model = TypeVar("Model", bound=BaseModel)
REASONS = {
    "missing": "is missing",
    "string_type": "must be text in quotes",
    "string_too_short": "must not be empty",
    "path_type": "must be a path in quotes",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list",
    "model_type": "must be a table",
}
"""Reasons by pydantic's error type, instead of its messages with the names of Python's types."""


@dataclass(frozen=True)
class Problem:
    """An error at one location of a configuration."""

    location: Location
    text: str


def problems_of(error: ValidationError, model: type[BaseModel] | None = None) -> list[Problem]:
    """Returns all problems of a failed validation; suggests similar keys of `model`."""
    details = error.errors(include_url=False)
    locations = {each["loc"] for each in details}
    return [
        Problem(each["loc"], _text(each, model))
        for each in details
        if not _is_consequence(each, locations)
    ]


def checked(
    model: type[Model],
    values: Mapping[str, Any],
    *,
    subject: str = "input",
    context: Mapping[str, Any] | None = None,
) -> Model:
    """Returns a section of values that a person has typed; raises ConfigError with all reasons."""
    try:
        return model.model_validate(values, context=context)
    except ValidationError as error:
        reasons = "; ".join(problem.text for problem in problems_of(error, model))
        raise ConfigError(subject, reasons) from error


def line_numbers(text: str, locations: Iterable[Location]) -> list[int | None]:
    """Returns the number of the line that defines each location, else of the table around it."""
    lines = text.splitlines()
    numbers = range(1, len(lines) + 1)

    @functools.cache
    def parsed(number: int) -> dict[str, Any] | None:
        for closing in ("", "]", "]]"):  # an array may continue in the next line
            with suppress(ValueError, RecursionError):
                return tomllib.loads("\n".join(lines[:number]) + closing)
        return None

    def defines(number: int, location: Location) -> bool:
        while (table := parsed(number)) is None:  # a value goes on after this line
            number -= 1
        return value_at(location, table) is not None

    def number_of(location: Location) -> int | None:
        for depth in range(len(location), 0, -1):
            found = bisect_left(numbers, x=True, key=lambda n: defines(n, location[:depth]))
            if found < len(numbers):
                return numbers[found]
        return None

    return [number_of(location) for location in locations]


def value_at(location: Location, table: Any) -> Any:
    """Returns the value at a location of a table; None if there is none, since TOML has no null."""
    for part in location:
        try:
            table = table[part]
        except (KeyError, IndexError, TypeError):
            return None
    return table


def _is_consequence(details: ErrorDetails, locations: set[Location]) -> bool:
    """Whether another problem causes this one.

    A camera inherits the problems of `[events]`, which are reported as well. A list counts as too
    short if pydantic leaves out its invalid items. A default that depends on other keys of its
    section has no value if one of them is wrong.
    """
    location, depth = details["loc"], len(details["loc"])
    is_inherited = location[:1] == ("camera",) and location[2:] in locations
    if is_inherited or details["type"] == "default_factory_not_called":
        return True
    inside = any(each[:depth] == location and len(each) > depth for each in locations)
    return details["type"] == "too_short" and inside


def _text(details: ErrorDetails, model: type[BaseModel] | None) -> str:
    location, kind = details["loc"], details["type"]
    key = _dotted(location)
    if kind == "extra_forbidden":
        return f'unknown key "{key}"{_suggestion(location, model)}'
    reason = re.sub(r"^(Value error, |value )| after validation", "", details["msg"])
    reason = REASONS.get(kind, re.sub(r"^\w+ should ", "must ", reason))
    if kind == "tuple_type" and isinstance(details["input"], dict):
        reason = f"is one table: write [[{key}]] in two brackets"
    return f"{key}: {reason}" if key else reason


def _dotted(location: Location) -> str:
    """Formats a location for messages, for example `camera[0].url`."""
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
