"""The page of all keys: python -m tests.config.page > docs/configuration.md."""

import sys
from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo

from plateid.config.models import DEFAULT_BUNDLE
from plateid.config.root import Config
from plateid.config.section import Section

HEAD = """# Configuration

`plateid.toml`, `/etc/plateid/plateid.toml` for the service. Keys that are not here are refused;
relative paths are relative to the file. `plateid check --config FILE` tells what is wrong with one.
"""


def page() -> str:
    """All sections with their keys, their defaults and what they are for."""
    parts = [HEAD, *_table(Config)]
    for name, field in Config.model_fields.items():
        section = _section(field.annotation)
        if section is not None:
            title = f"[[{name}]]" if get_origin(field.annotation) is tuple else f"[{name}]"
            parts += [f"\n## `{title}`\n", *_table(section)]
    return "\n".join(parts) + "\n"


def _table(section: type[Section]) -> Iterator[str]:
    yield "| key | default | |"
    yield "|---|---|---|"
    for key, field in section.model_fields.items():
        if section is not Config or _section(field.annotation) is None:
            yield f"| `{key}` | {_default(field)} | {field.description} |"


def _section(annotation: Any) -> type[Section] | None:
    """The table that a key is, or has many of, if it is one."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next(filter(None, map(_section, get_args(annotation))), None)


def _default(field: FieldInfo) -> str:
    value = field.default
    if field.is_required():
        return "**needed**"
    if value is None or value == () or field.default_factory:
        return ""
    if value == DEFAULT_BUNDLE:
        return "`default`"
    shown = str(value).lower() if isinstance(value, bool) else value
    return f"`{shown}`"


if __name__ == "__main__":
    sys.stdout.write(page())
