"""A row of CSV (RFC 4180) that is harmless in a spreadsheet."""

import csv
import io
from collections.abc import Iterable

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for a formula; no plate begins so, a name in a list may."""


def csv_line(cells: Iterable[object], *, end: str) -> str:
    """The cells, of which texts that begin as a formula get a quote before."""
    line = io.StringIO()
    csv.writer(line, lineterminator=end).writerow([_harmless(cell) for cell in cells])
    return line.getvalue()


def _harmless(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell
