"""Describes validation errors in words: the key, what is wrong, a suggestion, and the line."""

import tomllib
from bisect import bisect_left
from collections.abc import Mapping
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
"""Reasons by pydantic's error type. pydantic's error context fills the placeholders."""


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
        if not (_is_inherited(each["loc"], locations) or _is_consequence(each, locations))
    ]


def checked(
    model: type[Model], values: Mapping[str, Any], context: Mapping[str, Any] | None = None
) -> Model:
    """Returns a section of values that a person has typed; raises ConfigError with all reasons."""
    try:
        return model.model_validate(values, context=context)
    except ValidationError as error:
        reasons = "; ".join(problem.text for problem in problems_of(error, model))
        raise ConfigError("input", reasons) from error


class Lines:
    """The lines of a TOML text, in which it finds keys."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()
        self._tables: dict[int, dict[str, Any] | None] = {0: {}}

    def number_of(self, location: Location) -> int | None:
        """Returns the number of the line that defines a location, else the table around it."""
        numbers = range(1, len(self._lines) + 1)
        for depth in range(len(location), 0, -1):
            part = location[:depth]
            index = bisect_left(numbers, x=True, key=lambda n: _defines(self._table(n), part))
            if index < len(numbers):
                return numbers[index]
        return None

    def _table(self, number: int) -> dict[str, Any]:
        """Returns the table of the lines up to a number, without a value that goes on after it."""
        while (table := self._parsed(number)) is None:
            number -= 1
        return table

    def _parsed(self, number: int) -> dict[str, Any] | None:
        if number not in self._tables:
            self._tables[number] = None
            for closing in ("", "]", "]]"):  # an array may continue in the next line
                with suppress(ValueError, RecursionError):
                    text = "\n".join(self._lines[:number]) + closing
                    self._tables[number] = tomllib.loads(text)
                    break
        return self._tables[number]


def _defines(table: Any, location: Location) -> bool:
    for part in location:
        try:
            table = table[part]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _is_inherited(location: Location, locations: set[Location]) -> bool:
    """Whether a camera inherits this problem from `[events]`, which reports it as well."""
    return location[:1] == ("camera",) and location[2:] in locations


def _is_consequence(details: ErrorDetails, locations: set[Location]) -> bool:
    """Whether another problem causes this one.

    A list counts as too short if pydantic leaves out its invalid items. A default that depends on
    other keys of its section has no value if one of them is wrong.
    """
    if details["type"] == "default_factory_not_called":
        return True
    location, depth = details["loc"], len(details["loc"])
    inside = any(each[:depth] == location and len(each) > depth for each in locations)
    return details["type"] == "too_short" and inside


def _text(details: ErrorDetails, model: type[BaseModel] | None) -> str:
    location, kind, context = details["loc"], details["type"], details.get("ctx", {})
    key = dotted(location)
    if kind == "extra_forbidden":
        return f'unknown key "{key}"{_suggestion(location, model)}'
    if kind == "tuple_type" and isinstance(details["input"], dict):
        reason = f"is one table: write [[{key}]] in two brackets"
    elif kind == "literal_error":
        reason = f"must be {context['expected']}".replace("'", '"')
    elif kind in REASONS:
        reason = REASONS[kind].format(**context)
    else:
        reason = details["msg"].removeprefix("Value error, ").removeprefix("value ")
    return f"{key}: {reason}" if key else reason


def dotted(location: Location) -> str:
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
