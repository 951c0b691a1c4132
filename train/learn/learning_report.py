"""Writes the report of `train learn`: `report.html`, `report.json`, and the suspicious labels."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
from pydantic_core import to_jsonable_python

from plateid.capture.images import read_image
from plateid.core.drawing import encode_jpeg
from plateid.core.geometry import expanded
from plateid.files import write_whole
from train.evaluation.evaluation_report import page_template
from train.evaluation.evaluation_tables import Table, number
from train.evaluation.reader_accuracy import (
    ReadResult,
    aligned,
    grouped_reader_accuracy,
    in_true_boxes,
)
from train.learn.examination import Results
from train.learn.gather import OwnPlate
from train.learn.label_checks import Suspect
from train.learn.new_bundle import BundleFacts
from train.reader.contact_sheet import contact_sheet
from train.record import commit
from train.synth.rendering import LabelledCrop

PAGE, RECORD, SHEET = "report.html", "report.json", "suspects.png"
"""Names of the files."""
FLIPPED = 24
"""Number of plates on the page that are read better or worse than before."""
GROUPS = ("all", "characters", "lines", "light")
"""Groups of plates in the table."""
CROP_WIDTH = 320
"""Width of a plate crop on the page, pixels."""


@dataclass(frozen=True, eq=False)
class Notes:
    """What a report says besides the results."""

    names: Sequence[str]
    warnings: Sequence[str]
    doubts: Sequence[Suspect]
    left_out: int
    reasons: Sequence[str]  # of the gate; empty: it passes
    minutes: float
    facts: BundleFacts | None  # None: no bundle was written


@dataclass(frozen=True, eq=False)
class Flipped:
    """A plate that is read differently, before and after."""

    text: str
    before: str
    after: str
    jpeg: bytes

    @property
    def is_better(self) -> bool:
        """Whether it is read correctly now."""
        return self.after == self.text


def write_suspects(folder: Path, own: Sequence[OwnPlate], doubts: Sequence[Suspect]) -> None:
    """Draws the suspicious labels, worst first, and what is read instead."""
    crops = [
        LabelledCrop(own[each.number].plate.image, f"{own[each.number].plate.text} > {each.read}")
        for each in doubts
    ]
    if crops:
        cv2.imwrite(str(folder / SHEET), contact_sheet(crops))


def write_report(folder: Path, results: Results, notes: Notes) -> None:
    """Writes both files."""
    write_whole(folder / RECORD, json.dumps(_record(results, notes), indent=1).encode())
    write_whole(folder / PAGE, _html(folder, results, notes).encode())


def _record(results: Results, notes: Notes) -> dict[str, Any]:
    proof, exact = results.proof, results.proof.exact
    record: dict[str, Any] = to_jsonable_python(
        {
            "own": {
                "n": proof.count,
                "before": exact.before,
                "after": exact.after,
                "ci": exact.after_ci,
                "p": proof.p,
                "before_ci": exact.before_ci,
                "folded": proof.folded,
                "vehicles": proof.vehicles,
                "gain": proof.gain,
            },
            "kept": [
                {"set": each.name, "n": each.count, "before": each.before, "after": each.after}
                for each in results.chosen.kept
            ],
            "minutes": round(notes.minutes, 1),
            "gate": "refused" if notes.reasons else "passed",
            "reasons": notes.reasons,
            "share": results.chosen.share,
            "bundle": notes.facts,
            "suspects": notes.doubts,
            "warnings": notes.warnings,
            "commit": commit(),
        }
    )
    return record


def _html(folder: Path, results: Results, notes: Notes) -> str:
    return page_template(Path(__file__).with_name("lesson.html.j2")).render(
        results=results, notes=notes, tables=[*_tables(results)], aligned=aligned,
        flipped=_flipped(results), sheet=_sheet(folder),
    )  # fmt: skip


def _sheet(folder: Path) -> bytes:
    """Returns the suspicious labels, which are in the run's folder."""
    for path in (folder / SHEET, folder.parent / SHEET):
        if path.is_file():
            return path.read_bytes()
    return b""


def _tables(results: Results) -> Iterator[Table]:
    before, after = (
        grouped_reader_accuracy(reads, reads)
        for reads in (in_true_boxes(results.before), in_true_boxes(results.after))
    )
    rows: list[tuple[str, ...]] = []
    for group in GROUPS:
        for old, new in zip(before[group], after[group], strict=True):
            pair = old.crops, new.crops
            exact = [number(each.plate_accuracy) for each in pair]
            folded = [number(each.plate_accuracy_folded) for each in pair]
            rows.append((old.name, str(old.crops.plates), *exact, *folded))
    headings = ("", "plates", "exact before", "after", "folded before", "after")
    yield Table("Your plates, held out", headings, rows)
    rows = [
        (each.name, str(each.count), f"{each.before:.3f}", f"{each.after:.3f}")
        for each in results.chosen.kept
    ]
    yield Table("Not to be forgotten (folded)", ("", "plates", "before", "after"), rows)
    rows = [
        (f"{each.share:.0%}", f"{each.gain:+.3f}", ", ".join(s.name for s in each.forgets) or "-")
        for each in results.candidates
    ]
    yield Table("Candidates", ("way to the new weights", "gain", "forgets"), rows)


def _flipped(results: Results) -> list[Flipped]:
    pairs = zip(in_true_boxes(results.before), in_true_boxes(results.after), strict=True)
    changed = [
        Flipped(old.plate.text, old.reading.plate, new.reading.plate, _jpeg(old))
        for old, new in pairs
        if (old.reading.plate == old.plate.text) != (new.reading.plate == old.plate.text)
    ]
    return sorted(changed, key=lambda each: each.is_better)[:FLIPPED]


def _jpeg(result: ReadResult) -> bytes:
    crop = read_image(result.plate.path).crop(expanded(result.plate.box, x=0, y=0))
    height = max(1, round(crop.shape[0] * CROP_WIDTH / crop.shape[1]))
    scaled = cv2.resize(crop, (CROP_WIDTH, height), interpolation=cv2.INTER_CUBIC)
    return encode_jpeg(scaled, 85)
