"""Writes CSV rows (RFC 4180) that are harmless in a spreadsheet."""

import csv
import io
from collections.abc import Iterable

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""First characters of a formula in a spreadsheet; the name of a list entry may start with one."""


def csv_line(cells: Iterable[object], *, end: str) -> str:
    """Returns a CSV line; texts that look like a formula get a leading quote."""
    line = io.StringIO()
    csv.writer(line, lineterminator=end).writerow([_harmless(cell) for cell in cells])
    return line.getvalue()


def _harmless(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell
