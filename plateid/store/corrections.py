"""What users said of passes: their labels, as the search and the pages see them."""

import json
import os
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

CORRECTIONS = """
    SELECT pass_id, verdict, text FROM event CROSS JOIN label USING (id)
    WHERE pass_id IN (SELECT value FROM json_each(?)) AND verdict <> 'skip'
    AND plate_form = 'plain' ORDER BY labelled_at"""
CORRECTED_TO = """
    SELECT pass_id FROM label CROSS JOIN event USING (id)
    WHERE verdict = 'plate' AND plate_form = 'plain' AND """
"""A cross join reads the left table first: the other order would read all events or labels."""


@dataclass(frozen=True)
class Correction:
    """The newest label of a pass; only a `plate` has text, which may be the one that was read."""

    verdict: str
    text: str


def attach_labels(db: sqlite3.Connection, store: Path) -> None:
    """Makes the labels of a store the read-only table `label`; raises sqlite3.Error if damaged."""
    file = store.with_name(f"{store.name}.labels")
    if os.access(file, os.R_OK) and file.stat().st_size:
        db.execute("ATTACH ? AS labels", (f"file:{quote(str(file))}?mode=ro",))
    else:
        db.execute("CREATE TEMP TABLE label (id, verdict, text, labelled_at)")


def corrections_of(db: sqlite3.Connection, pass_ids: Iterable[str]) -> dict[str, Correction]:
    """Returns the corrections of passes by `pass_id`."""
    rows = db.execute(CORRECTIONS, (json.dumps(list(pass_ids)),))
    return {pass_id: Correction(verdict, text) for pass_id, verdict, text in rows}


def passes_corrected_to(db: sqlite3.Connection, plate: str, *, fuzzy: bool) -> list[str]:
    """Returns the ids of passes corrected to a plate or pattern; `fuzzy` needs `is_near` in SQL."""
    match = "is_near(text, :plate)" if fuzzy else "text GLOB :plate"
    rows = db.execute(CORRECTED_TO + match, {"plate": plate})
    return [pass_id for (pass_id,) in rows]
