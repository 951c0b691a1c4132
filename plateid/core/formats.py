"""Country syntax, a soft prior by default: who issues a text, how likely, and its gaps."""

import functools
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib import resources

from plateid.core.format_tables import COUNTRIES, TO_SHAPE, Format, parse_tables
from plateid.core.records import Region
from plateid.core.text import CHARSET
from plateid.errors import ConfigError

EUROPEAN_UNION = tuple(COUNTRIES["european_union"].split())
"""Codes of the members, which the region `eu` stands for."""
ALIASES = {"uk": "gb"}
"""Region names that users type, and their ISO 3166-1 codes."""
MISMATCH_PRIOR = 0.1
"""Prior of a text that matches no pattern of the expected regions."""
LENIENT_MISMATCH_PRIOR = 0.5
"""Prior of a text that matches no pattern, if any country or one of `PERSONAL` is expected. It is
high, because some countries have no table, and personal plates match none."""
PERSONAL = frozenset({"au", "ca", "nz", "us"})
"""Countries where many plates have a text of the owner's choice, and fonts distinguish O from 0. Of
the 745 plates of us-crops, 153 match no pattern."""
UNTABLED_SHARE = 0.02
"""Assumed share (0-1) of a country's plates that its table lacks, for example vanity plates."""
FLEETS = {code: int(n) for n, codes in COUNTRIES["fleets"].items() for code in codes.split()}
"""Weights of countries when several issue a text. Others have 1."""
MAX_LENGTH = 64
"""Number of characters beyond which a longer text is not less likely. It prevents underflow."""


@dataclass(frozen=True)
class Formats:
    """All countries' syntax, and the expected regions (empty: any), which `strict` requires."""

    entries: tuple[Format, ...]
    regions: tuple[str, ...] = ()
    strict: bool = False

    def expecting(self, names: Iterable[str], *, key: str, strict: bool = False) -> "Formats":
        """Returns the same tables with other expected regions; `eu` is the European Union.

        A region is a country, or a part of one that has its own table, such as `us-ca`. Raises
        ConfigError, which names the configuration key or option `key`, if a region is unknown or
        if `strict` is set without a region.
        """
        wanted = [ALIASES.get(name, name) for name in (n.strip().lower() for n in names) if name]
        regions = [r for name in wanted for r in (EUROPEAN_UNION if name == "eu" else [name])]
        if unknown := sorted(set(regions) - self.names):
            raise ConfigError(
                key, f"unknown region {', '.join(unknown)}; known: {self._known(unknown)}"
            )
        if strict and not regions:
            raise ConfigError(key, "strict needs at least one region")
        return replace(self, regions=tuple(dict.fromkeys(regions)), strict=strict)

    def fits(self, plate: str) -> bool:
        """Returns whether the text matches a pattern of the expected regions."""
        return any(self._expects(e.table) and e.matches(plate) for e in self._candidates(plate))

    def prior(self, plate: str) -> float:
        """Returns the prior probability factor of a text: 1 if it matches, else less."""
        if self.fits(plate):
            return 1.0
        return MISMATCH_PRIOR if self.regions and not self.has_personal else LENIENT_MISMATCH_PRIOR

    @functools.cached_property
    def has_personal(self) -> bool:
        """Whether an expected country issues many plates with a text of the owner's choice."""
        return any(region[:2] in PERSONAL for region in self.regions)

    def region_of(self, plate: str) -> Region | None:
        """Returns the most likely country of a plate, one of the expected ones if there are any.

        A table issues a text with probability 1 / the geometric mean of the sizes of its smallest
        matching pattern and of all its patterns, plus `UNTABLED_SHARE` spread over all texts of
        this length. The parts of a country are equally likely. Countries have the weights of
        `FLEETS`, and unexpected tables `MISMATCH_PRIOR`. The confidence is the country's share of
        the sum over all countries.
        """
        matching = [e for e in self._candidates(plate) if e.matches(plate)]
        matching.sort(key=lambda e: -e.size)
        issued = {e.table: 1 / math.sqrt(e.size * self._sizes[e.table]) for e in matching}
        expected = sorted({table[:2] for table in issued if self._expects(table)})
        if not expected:
            return None
        by_chance = UNTABLED_SHARE * float(len(CHARSET)) ** -min(len(plate), MAX_LENGTH)
        weight = {code: by_chance * share for code, share in self._expectations.items()}
        for table, probability in issued.items():
            weight[table[:2]] += probability * self._factor(table) / self._parts(table[:2])
        weight = {code: share * FLEETS.get(code, 1) for code, share in weight.items()}
        best = max(expected, key=lambda code: weight[code])
        return Region(best, weight[best] / math.fsum(weight.values()))

    def display(self, plate: str, region: Region | None) -> str:
        """Returns the plate with the gaps of its region, or unchanged if it matches no pattern."""
        own = [e for e in self._candidates(plate) if region and e.code == region.code]
        matching = [e for e in own if e.matches(plate)]
        best = min(matching, key=lambda e: (not self._expects(e.table), e.size), default=None)
        return best.display(plate) if best else plate

    def _known(self, unknown: list[str]) -> str:
        """Returns the names to list beside unknown ones: countries, or the parts of a country."""
        if all(name[:2] in self._tables and "-" in name for name in unknown):
            parts = {name for name in self.names if name[:2] in {u[:2] for u in unknown}}
            return " ".join(sorted(parts))
        return " ".join(["eu", *sorted(self._tables)])

    def _candidates(self, plate: str) -> list[Format]:
        return self._by_shape.get(plate.translate(TO_SHAPE), [])

    def _expects(self, table: str) -> bool:
        return not self.regions or table in self._expected

    def _parts(self, code: str) -> int:
        """Returns the number of parts of a country that has no syntax of its own, such as us."""
        return 1 if code in self._tables[code] else len(self._tables[code])

    def _factor(self, table: str) -> float:
        return 1.0 if self._expects(table) else MISMATCH_PRIOR

    @functools.cached_property
    def _expectations(self) -> dict[str, float]:
        """The mean factor of each country's tables."""
        return {
            code: sum(map(self._factor, tables)) / len(tables)
            for code, tables in self._tables.items()
        }

    @functools.cached_property
    def _expected(self) -> frozenset[str]:
        tables = {entry.table for entry in self.entries}
        return frozenset(t for t in tables if not {t[:2], _region(t)}.isdisjoint(self.regions))

    @functools.cached_property
    def names(self) -> frozenset[str]:
        """Names of all regions, less `eu` and aliases."""
        return frozenset(self._tables) | {_region(entry.table) for entry in self.entries}

    @functools.cached_property
    def _tables(self) -> dict[str, list[str]]:
        tables = defaultdict(list)
        for table in dict.fromkeys(entry.table for entry in self.entries):
            tables[table[:2]].append(table)
        return tables

    @functools.cached_property
    def _sizes(self) -> dict[str, int]:
        """The number of texts of each table; those of several shapes count several times."""
        sizes: dict[str, int] = defaultdict(int)
        for entry in self.entries:
            sizes[entry.table] += entry.size
        return sizes

    @functools.cached_property
    def _by_shape(self) -> dict[str, list[Format]]:
        groups = defaultdict(list)
        for entry in self.entries:
            groups[entry.shape].append(entry)
        return groups


def _region(table: str) -> str:
    """Returns the name of the region of a table: `us-ca` of `us.ca`."""
    return "-".join(table.split(".")[:2])


@functools.cache
def shipped_formats() -> Formats:
    """Returns the tables that ship with plateid."""
    file = resources.files("plateid.core").joinpath("formats.toml")
    return Formats(parse_tables(file.read_text(), file))


def with_tables(text: str, source: object) -> Formats:
    """Returns the shipped tables with a user's countries; raises ConfigError, with the line."""
    own = parse_tables(text, source)
    replaced = {entry.code for entry in own}
    kept = (entry for entry in shipped_formats().entries if entry.code not in replaced)
    return Formats((*kept, *own))
