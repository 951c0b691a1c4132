"""Country syntax: does a text look like a plate of a country, which one, and how is it shown?

The tables are data (`formats.toml`). They are a soft prior: a text that fits no table is still a
plate.
"""

import functools
import math
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources

from plateid.core.records import Region
from plateid.errors import ConfigError

CLASSES = {"L": ("[A-Z]", 26), "D": ("[0-9]", 10), "X": ("[0-9A-Z]", 36)}
EUROPEAN_UNION = frozenset(
    {
        "at",
        "be",
        "bg",
        "cy",
        "cz",
        "de",
        "dk",
        "ee",
        "es",
        "fi",
        "fr",
        "gr",
        "hr",
        "hu",
        "ie",
        "it",
        "lt",
        "lu",
        "lv",
        "mt",
        "nl",
        "pl",
        "pt",
        "ro",
        "se",
        "si",
        "sk",
    }
)
ALIASES = {"uk": "gb"}
MISFIT = 0.1
"""Prior of a text that none of the regions given can have issued."""
MISFIT_ANYWHERE = 0.5
"""Prior of a text that no table knows, where no region is given."""


@dataclass(frozen=True)
class Format:
    """One pattern of one country.

    Attributes:
        code: The country, ISO 3166-1 alpha-2 in lower case.
        regex: Matches the whole compact text; one group for each part of the display form.
        size: How many texts fit.
    """

    code: str
    regex: re.Pattern[str]
    size: int

    def display(self, plate: str) -> str | None:
        """The plate with the country's gaps, or None where it does not fit."""
        match = self.regex.fullmatch(plate)
        return match and " ".join(match.groups())


@functools.cache
def formats() -> tuple[Format, ...]:
    """All tables that plateid knows."""
    table = tomllib.loads(resources.files("plateid.core").joinpath("formats.toml").read_text())
    return tuple(_format(code, text) for code, entry in table.items() for text in entry["patterns"])


def parse_regions(codes: Iterable[str], *, key: str) -> tuple[str, ...]:
    """Country codes, lower-case; `eu` stands for every member of the European Union.

    Raises:
        ConfigError: A region has no table; names `key`.
    """
    wanted = [ALIASES.get(code, code) for code in (c.strip().lower() for c in codes) if code]
    countries = [c for code in wanted for c in (sorted(EUROPEAN_UNION) if code == "eu" else [code])]
    known = {entry.code for entry in formats()}
    if unknown := sorted(set(countries) - known):
        reason = f"unknown region {', '.join(unknown)}; known: eu {' '.join(sorted(known))}"
        raise ConfigError(key, reason)
    return tuple(dict.fromkeys(countries))


def region_of(plate: str, regions: Sequence[str] = ()) -> Region | None:
    """The likeliest country of a plate, among `regions` when some are given.

    Each country counts as much as its tightest pattern that fits is unlikely to fit by chance; the
    confidence is the country's share among all, since a car from elsewhere may pass.
    """
    weight: dict[str, float] = {}
    for entry in _fitting(plate, ()):
        weight[entry.code] = max(weight.get(entry.code, 0.0), 1.0 / entry.size)
    expected = [code for code in weight if not regions or code in regions]
    if not expected:
        return None
    best = max(expected, key=lambda code: weight[code])
    return Region(best, weight[best] / sum(weight.values()))


def display(plate: str, region: Region | None) -> str:
    """The plate with the gaps of its region; as it is where no syntax fits."""
    codes = (region.code,) if region else ()
    shown = (
        [(entry.size, entry.display(plate)) for entry in _fitting(plate, codes)] if codes else []
    )
    return min(shown)[1] or plate if shown else plate


def prior(plate: str, regions: Sequence[str] = ()) -> float:
    """A text's prior: 1 when one of the regions can have issued it, less when none can.

    Without regions every table counts, and a misfit costs little: there are more plates than
    tables.
    """
    if _fitting(plate, regions):
        return 1.0
    return MISFIT if regions else MISFIT_ANYWHERE


def _fitting(plate: str, regions: Sequence[str]) -> list[Format]:
    return [e for e in formats() if (not regions or e.code in regions) and e.regex.fullmatch(plate)]


def _format(code: str, pattern: str) -> Format:
    parts = [[_piece(piece) for piece in part.split("+")] for part in pattern.split(" ")]
    regex = "".join(f"({''.join(piece for piece, _ in part)})" for part in parts)
    return Format(code, re.compile(regex), math.prod(size for part in parts for _, size in part))


def _piece(piece: str) -> tuple[str, int]:
    """A piece of a pattern as a regular expression, and how many texts fit it."""
    words = piece.split("|")
    if len(words) > 1:
        return f"(?:{piece})", len(words)
    classes = [CLASSES.get(character, (character, 1)) for character in piece]
    return "".join(expression for expression, _ in classes), math.prod(size for _, size in classes)
