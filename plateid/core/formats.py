"""Country syntax: finds the countries that issue a text, its prior probability, and its gaps.

Syntax is a soft prior by default: a text that matches no pattern is still a plate.
"""

import functools
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from importlib import resources

from plateid.core.format_tables import Format, parse_tables
from plateid.core.records import Region
from plateid.core.text import CHARSET
from plateid.errors import ConfigError

EUROPEAN_UNION = (
    *("at", "be", "bg", "cy", "cz", "de", "dk", "ee", "es", "fi", "fr", "gr", "hr", "hu"),
    *("ie", "it", "lt", "lu", "lv", "mt", "nl", "pl", "pt", "ro", "se", "si", "sk"),
)
"""Codes of the members, which the region `eu` stands for."""
ALIASES = {"uk": "gb"}
"""Region names that users type, and their ISO 3166-1 codes."""
MISMATCH_PRIOR = 0.1
"""Prior of a text that matches no pattern of the expected regions."""
MISMATCH_PRIOR_ANYWHERE = 0.5
"""Prior of a text that matches no pattern, if no regions are expected. It is high, because many
countries have no table."""
UNTABLED_SHARE = 0.02
"""Assumed share (0-1) of a country's plates that its table lacks, for example vanity plates."""
NEVER = "(?!)"
"""Regular expression that never matches."""
MAX_LENGTH = 64
"""Number of characters beyond which a longer text is not less likely. It prevents underflow."""


@dataclass(frozen=True)
class Formats:
    """The plate syntax of all countries, and the countries to expect.

    Attributes:
        entries: Every pattern of every country.
        regions: Codes of the expected countries; empty: any.
        strict: Whether to reject texts that match no pattern of the expected countries.
    """

    entries: tuple[Format, ...]
    regions: tuple[str, ...] = ()
    strict: bool = False

    def expecting(self, codes: Iterable[str], *, key: str, strict: bool = False) -> "Formats":
        """Returns the same tables with other expected countries; `eu` is the European Union.

        Raises ConfigError, which names the configuration key or option `key`, if a region is
        unknown or if `strict` is set without a region.
        """
        wanted = [ALIASES.get(code, code) for code in (c.strip().lower() for c in codes) if code]
        regions = [c for code in wanted for c in (EUROPEAN_UNION if code == "eu" else [code])]
        if unknown := sorted(set(regions) - self._codes):
            known = " ".join(["eu", *sorted(self._codes)])
            raise ConfigError(key, f"unknown region {', '.join(unknown)}; known: {known}")
        if strict and not regions:
            raise ConfigError(key, "strict needs at least one region")
        return replace(self, regions=tuple(dict.fromkeys(regions)), strict=strict)

    def compile(self) -> None:
        """Compiles all regular expressions, so that the first plates do not wait for them."""
        for length, entries in self._by_length.items():
            self._expression(length)
            for entry in entries:
                _ = entry.regex

    def fits(self, plate: str) -> bool:
        """Returns whether the text matches a pattern of the expected countries."""
        return self._expression(len(plate)).fullmatch(plate) is not None

    def prior(self, plate: str) -> float:
        """Returns the prior probability factor of a text: 1 if it matches, else less."""
        if self.fits(plate):
            return 1.0
        return MISMATCH_PRIOR if self.regions else MISMATCH_PRIOR_ANYWHERE

    def region_of(self, plate: str) -> Region | None:
        """Returns the most likely country of a plate, one of the expected ones if there are any.

        A country issues a text with probability 1 / size of its smallest matching pattern, plus
        `UNTABLED_SHARE` spread over all texts of this length. The confidence is the country's share
        of the sum over all countries. Unexpected countries have the weight `MISMATCH_PRIOR`.
        """
        issued = self._issued(plate)
        expected = [code for code in issued if self._expects(code)]
        if not expected:
            return None
        by_chance = UNTABLED_SHARE * float(len(CHARSET)) ** -min(len(plate), MAX_LENGTH)
        weight = {
            code: (issued.get(code, 0.0) + by_chance)
            * (1.0 if self._expects(code) else MISMATCH_PRIOR)
            for code in self._codes
        }
        best = max(sorted(expected), key=lambda code: weight[code])
        return Region(best, weight[best] / math.fsum(weight.values()))

    def display(self, plate: str, region: Region | None) -> str:
        """Returns the plate with the gaps of its region, or unchanged if it matches no pattern."""
        own = [e for e in self._by_length.get(len(plate), ()) if region and e.code == region.code]
        texts = [(entry.size, text) for entry in own if (text := entry.display(plate))]
        return min(texts)[1] if texts else plate

    def _expects(self, code: str) -> bool:
        return not self.regions or code in self.regions

    def _issued(self, plate: str) -> dict[str, float]:
        """Returns the probability of the plate for each country with a matching pattern."""
        matching = [e for e in self._by_length.get(len(plate), ()) if e.regex.fullmatch(plate)]
        return {e.code: 1 / e.size for e in sorted(matching, key=lambda e: -e.size)}

    @functools.cached_property
    def _codes(self) -> frozenset[str]:
        return frozenset(entry.code for entry in self.entries)

    @functools.cached_property
    def _by_length(self) -> dict[int, list[Format]]:
        groups = defaultdict(list)
        for entry in self.entries:
            for length in entry.lengths:
                groups[length].append(entry)
        return groups

    @functools.cached_property
    def _expression(self) -> Callable[[int], re.Pattern[str]]:
        """A cached function that returns the expression of all expected patterns of a length."""

        @functools.cache
        def compiled(length: int) -> re.Pattern[str]:
            entries = [e for e in self._by_length.get(length, ()) if self._expects(e.code)]
            return re.compile("|".join(entry.expression for entry in entries) or NEVER)

        return compiled


@functools.cache
def shipped_formats() -> Formats:
    """Returns the tables that ship with plateid."""
    file = resources.files("plateid.core").joinpath("formats.toml")
    return Formats(parse_tables(file.read_text(), file))


def with_tables(text: str, source: object) -> Formats:
    """Returns the shipped tables, after a user's file has added or replaced countries.

    Raises ConfigError if the file is invalid, with `source`, the line and the reason.
    """
    own = parse_tables(text, source)
    replaced = {entry.code for entry in own}
    kept = (entry for entry in shipped_formats().entries if entry.code not in replaced)
    return Formats((*kept, *own))
