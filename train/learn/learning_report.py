"""Writes the report of `train learn`: `report.html`, `report.json`, and the suspicious labels."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from plateid.files import write_whole
from train.evaluation.evaluation_report import page_template
from train.evaluation.evaluation_tables import Table
from train.evaluation.reader_accuracy import aligned
from train.learn.new_bundle import NetworkFacts
from train.learn.taught import Taught
from train.record import commit

PAGE, RECORD, SHEET = "report.html", "report.json", "suspects.png"
"""Names of the files."""


@dataclass(frozen=True, eq=False)
class Notes:
    """What a report says besides the results."""

    names: Sequence[str]
    warnings: Sequence[str]
    minutes: float
    facts: Mapping[str, NetworkFacts]  # of the networks in the bundle; empty: there is no bundle


def write_report(folder: Path, taught: Sequence[Taught], notes: Notes) -> None:
    """Writes all files."""
    for each in taught:
        if each.sheet:
            write_whole(folder / SHEET, each.sheet)
    write_whole(
        folder / RECORD, json.dumps(to_jsonable_python(_record(taught, notes)), indent=1).encode()
    )
    page = page_template(Path(__file__).with_name("lesson.html.j2"))
    text = page.render(taught=taught, notes=notes, tables=_tables, aligned=aligned)
    write_whole(folder / PAGE, text.encode())


def _record(taught: Sequence[Taught], notes: Notes) -> dict[str, Any]:
    """Returns the record. Its first level is about the first network."""
    networks = {each.network: _network(each) for each in taught}
    record = networks[taught[0].network] | {
        "minutes": round(notes.minutes, 1),
        "networks": networks,
        "bundle": notes.facts,
        "warnings": notes.warnings,
        "commit": commit(),
    }
    return dict(to_jsonable_python(record))


def _network(taught: Taught) -> dict[str, Any]:
    proof, chosen = taught.proof, taught.chosen
    name, value = proof.headline
    own = {"measure": name, "n": proof.count, "before": value.before, "after": value.after}
    return {
        "own": own | {"ci": value.after_ci, "before_ci": value.before_ci} | vars(proof),
        "kept": [
            {"set": each.name, "n": each.count, "before": each.before, "after": each.after}
            for each in chosen.kept
        ],
        "gate": "refused" if taught.reasons else "passed",
        "reasons": taught.reasons,
        "share": chosen.share,
        "suspects": taught.doubts,
    }


def _tables(taught: Taught) -> Iterator[Table]:
    yield taught.table
    rows: list[tuple[str, ...]] = [
        (each.name, str(each.count), f"{each.before:.3f}", f"{each.after:.3f}")
        for each in taught.chosen.kept
    ]
    yield Table("Not to be forgotten", ("", "plates", "before", "after"), rows)
    rows = [
        (f"{each.share:.0%}", f"{each.gain:+.3f}", ", ".join(s.name for s in each.forgets) or "-")
        for each in taught.candidates
    ]
    yield Table("Candidates", ("way to the new weights", "gain", "forgets"), rows)
