"""Groups of plates that `train evaluate --leave-out` keeps from a training."""

from collections.abc import Callable, Iterable

GROUPS: dict[str, Callable[[str, str, int], bool]] = {
    "romania": lambda origin, _text, _lines: origin in {"ro", "romanian"},
    "usa": lambda origin, _text, _lines: origin in {"us", "us-crops"},
    "brazil": lambda origin, _text, _lines: origin == "br",
    "digits": lambda _origin, text, _lines: text.isdigit(),
    "two-line": lambda _origin, _text, lines: lines > 1,
}
"""Whether a plate belongs to a group: by its origin (the country of a rendered plate or the name of
a folder), text and number of lines. Folders of several countries are in no country's group."""


def in_groups(groups: Iterable[str], origin: str, text: str, lines: int) -> bool:
    """Whether a plate belongs to any of the groups."""
    return any(GROUPS[group](origin, text, lines) for group in groups)
