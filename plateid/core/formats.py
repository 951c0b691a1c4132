"""Country syntax: does a text look like a plate of a country, which one, and how is it shown?

It is a prior, soft unless strictness is asked for: a text that fits no table is still a plate.
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
ALIASES = {"uk": "gb"}
MISFIT = 0.1
"""Prior of a text that none of the regions given can have issued."""
MISFIT_ANYWHERE = 0.5
"""Prior of a text that no table knows, where no region is given."""
OFF_TABLE = 0.02
"""Share of a country's plates that its table lacks (vanity, old, special), taken as any text."""
NEVER = "(?!)"
"""Matches nothing."""
LONGEST = 64
"""Characters; longer texts are no likelier than these."""


@dataclass(frozen=True)
class Formats:
    """The tables of all countries, and what is expected of a plate here.

    Attributes:
        entries: Every pattern of every country.
        regions: Codes of the countries to expect; empty: any.
        strict: Whether only what one of the regions can have issued is a plate.
    """

    entries: tuple[Format, ...]
    regions: tuple[str, ...] = ()
    strict: bool = False

    def expecting(self, codes: Iterable[str], *, key: str, strict: bool = False) -> "Formats":
        """These tables where plates of some countries are expected.

        Args:
            codes: Of countries; `eu` stands for every member of the European Union.
            key: What they were given as, for errors.
            strict: Whether anything else is no plate.

        Raises:
            ConfigError: A region has no table, or strictness has no region.
        """
        wanted = [ALIASES.get(code, code) for code in (c.strip().lower() for c in codes) if code]
        regions = [c for code in wanted for c in (EUROPEAN_UNION if code == "eu" else [code])]
        if unknown := sorted(set(regions) - self._codes):
            known = " ".join(sorted(self._codes))
            reason = f"unknown region {', '.join(unknown)}; known: eu {known}"
            raise ConfigError(key, reason)
        if strict and not regions:
            raise ConfigError(key, "strict needs at least one region")
        return replace(self, regions=tuple(dict.fromkeys(regions)), strict=strict)

    def compile(self) -> None:
        """Compiles each expression, for which the first plate of its length would have to wait."""
        for length, entries in self._by_length.items():
            self._expected(length)
            for entry in entries:
                _ = entry.regex

    def fits(self, plate: str) -> bool:
        """Whether one of the regions (without any: one of all countries) can have issued it."""
        return self._expected(len(plate)).fullmatch(plate) is not None

    def prior(self, plate: str) -> float:
        """1 where the text fits, less where it does not.

        Without regions a misfit costs little: there are more plates than tables.
        """
        if self.fits(plate):
            return 1.0
        return MISFIT if self.regions else MISFIT_ANYWHERE

    def region_of(self, plate: str) -> Region | None:
        """Returns the most likely country of a plate, one of the expected ones if there are any.

        A country issues a text with probability 1 / size of its smallest matching pattern, plus
        `OFF_TABLE` spread over all texts of this length. The confidence is the country's share of
        the sum over all countries; those that are not expected count with the weight `MISFIT`.
        """
        issued = self._issued(plate)
        expected = [code for code in issued if self._expects(code)]
        if not expected:
            return None
        by_chance = OFF_TABLE * float(len(CHARSET)) ** -min(len(plate), LONGEST)
        weight = {
            code: (issued.get(code, 0.0) + by_chance) * (1.0 if self._expects(code) else MISFIT)
            for code in self._codes
        }
        best = max(sorted(expected), key=lambda code: weight[code])
        return Region(best, weight[best] / math.fsum(weight.values()))

    def display(self, plate: str, region: Region | None) -> str:
        """The plate with the gaps of its region; as it is where no syntax fits."""
        own = [e for e in self._by_length.get(len(plate), ()) if region and e.code == region.code]
        shown = [(entry.size, text) for entry in own if (text := entry.display(plate))]
        return min(shown)[1] if shown else plate

    def _expects(self, code: str) -> bool:
        return not self.regions or code in self.regions

    def _issued(self, plate: str) -> dict[str, float]:
        """How likely each country whose syntax fits issues this plate."""
        fitting = [e for e in self._by_length.get(len(plate), ()) if e.regex.fullmatch(plate)]
        return {e.code: 1 / e.size for e in sorted(fitting, key=lambda e: -e.size)}

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
    def _expected(self) -> Callable[[int], re.Pattern[str]]:
        """All that is expected of a length as one expression, compiled when first used."""
        return functools.cache(self._any_of_length)

    def _any_of_length(self, length: int) -> re.Pattern[str]:
        entries = [e for e in self._by_length.get(length, ()) if self._expects(e.code)]
        return re.compile("|".join(entry.expression for entry in entries) or NEVER)


@functools.cache
def shipped_formats() -> Formats:
    """The tables that ship with plateid."""
    return Formats(tuple(entry for table in _shipped().values() for entry in table))


def with_tables(text: str, source: object) -> Formats:
    """The tables that ship, and those of a user's file, which replace those of the same country.

    Raises:
        ConfigError: The file is wrong; names `source`, the line and the reason.
    """
    tables = _shipped() | parse_tables(text, source)
    return Formats(tuple(entry for table in tables.values() for entry in table))


@functools.cache
def _shipped() -> dict[str, tuple[Format, ...]]:
    file = resources.files("plateid.core").joinpath("formats.toml")
    return parse_tables(file.read_text(), file)
