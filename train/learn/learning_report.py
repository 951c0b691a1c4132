"""Writes the report of `train learn`: `report.html`, `report.json`, and the suspicious labels."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
from pydantic_core import to_jsonable_python

from plateid.files import write_whole
from train.evaluation.evaluation_report import crop_jpeg, page_template
from train.evaluation.reader_accuracy import aligned
from train.learn.new_bundle import Facts
from train.learn.teaching import Taught
from train.reader.contact_sheet import contact_sheet
from train.reader.reader_weights import SPEC
from train.record import commit
from train.synth.rendering import LabelledCrop

PAGE, RECORD, SHEET = "report.html", "report.json", "suspects.png"
"""Names of the files."""


@dataclass(frozen=True, eq=False)
class Notes:
    """What a report says besides the results."""

    names: Sequence[str]
    warnings: Sequence[str]
    minutes: float
    facts: Facts  # of the networks in the bundle; empty: there is no bundle


def write_report(folder: Path, taught: Sequence[Taught], notes: Notes) -> None:
    """Writes all files."""
    doubts = [each for lesson in taught for each in lesson.doubts]
    crops = [LabelledCrop(each.image, f"{each.label} > {each.read}") for each in doubts]
    sheet = cv2.imencode(".png", contact_sheet(crops))[1].tobytes() if crops else b""
    if sheet:
        write_whole(folder / SHEET, sheet)
    networks = {each.network: _record(each) for each in taught}
    record = {
        **networks[taught[0].network],
        "minutes": round(notes.minutes, 1),
        "networks": networks,
        "bundle": notes.facts,
        "warnings": notes.warnings,
        "commit": commit(),
    }
    write_whole(folder / RECORD, json.dumps(to_jsonable_python(record), indent=1).encode())
    page = page_template(Path(__file__).with_name("lesson.html.j2"))
    jpeg = partial(crop_jpeg, spec=SPEC)
    text = page.render(taught=taught, notes=notes, aligned=aligned, sheet=sheet, jpeg=jpeg)
    write_whole(folder / PAGE, text.encode())


def _record(taught: Taught) -> dict[str, Any]:
    name, value = taught.headline
    chosen, keys = taught.chosen, ("label", "read", "doubt", "reason")
    return {
        "own": {
            "measure": name, "n": taught.count, "vehicles": taught.vehicles,
            "before": value.before, "after": value.after,
            "ci": value.after_ci, "before_ci": value.before_ci,
            "unit": taught.results.unit, "measures": taught.results.measures,
            "gain": chosen.gain, "p": taught.p,
        },
        "kept": [
            {"set": each.name, "n": each.count, "before": each.before, "after": each.after}
            for each in chosen.shipped.kept
        ],
        "gate": "refused" if taught.reasons else "passed",
        "reasons": taught.reasons,
        "share": chosen.share,
        "syntax": chosen.shipped.section.get("syntax", {}),
        "suspects": [{key: getattr(each, key) for key in keys} for each in taught.doubts],
    }  # fmt: skip
