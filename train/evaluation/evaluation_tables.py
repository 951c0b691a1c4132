"""Builds the tables of a report, for the terminal and for `report.html`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from train.evaluation.confidence_calibration import RULE, Calibration
from train.evaluation.detector_accuracy import LOWEST, NIGHT_LUMA, DetectorAccuracy
from train.evaluation.evaluate import Evaluation, ReaderResults
from train.evaluation.image_results import CHARACTER, REFERENCE
from train.evaluation.reader_accuracy import CONFIDENT, GAP_S

DETECTOR = ("images", "plates", "missed", "false boxes", "recall", f"at {LOWEST}")
LOWER_BOUNDS = ("precision", "mAP50", "mAP50-95")
"""Headings of the attributes of DetectorAccuracy, in their order. The second are lower bounds if
images may show plates without a label."""
READS = ("plates", "plate_accuracy", "plate_accuracy_folded", "CER", f"≥ {CONFIDENT}", "correct")
"""Headings of the attributes of ReadAccuracy, in their order."""
READS_NOTE = (
    "plate_accuracy: share of correct texts. folded: O/0- and I/1-insensitive. CER: character "
    f"error rate. ≥ {CONFIDENT}: share of the plates read with this confidence or more. correct: "
    "share of those that are correct (folded)."
)
GROUPS = {
    "source": "by source",
    "height": "by height of the plate",
    "characters": "by height of the characters",
    "lines": "by lines",
    "legibility": "by legibility",
    "light": "by light",
    "text": "by whether other images of the plate were trained on",
    "all": "together",
}
"""Titles of the groups of images or plates, in the order of the tables."""
MAX_CONFUSIONS = 20
"""Maximum number of confusions that a report lists."""
Row = tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table. A row with a single cell is the title of the rows below it."""

    title: str
    headings: Row
    rows: Sequence[Row]
    note: str = ""

    def __str__(self) -> str:
        columns = zip(self.headings, *(row for row in self.rows if len(row) > 1), strict=True)
        widths = [max(map(len, column)) for column in columns]
        lines = [self.title]
        for row in (self.headings, *self.rows):
            cells = zip(row[1:], widths[1:], strict=False)
            rest = "".join(f"  {cell:>{width}}" for cell, width in cells)
            lines.append(f"{row[0]:{widths[0]}}{rest}".rstrip())
        return "\n".join(lines)


def number(value: float | None) -> str:
    """Formats a count, a ratio with three places, or a dash for None."""
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def tables(evaluation: Evaluation) -> Iterator[Table]:
    """Yields the tables that the evaluation has data for."""
    if evaluation.results:
        yield _detector(evaluation)
    if evaluation.negatives:
        rows = [_row(each.name, each) for each in evaluation.negatives]
        yield Table("Images without plates", ("", "frames", "false boxes", "per frame"), rows)
    if evaluation.reader:
        yield from _reader(evaluation.reader)


def _detector(evaluation: Evaluation) -> Table:
    def row(accuracy: DetectorAccuracy) -> Iterator[str]:
        name, *values, _curve = vars(accuracy).values()
        yield name
        for heading, value in zip((*DETECTOR, *LOWER_BOUNDS), values, strict=True):
            bound = evaluation.run.is_open and heading in LOWER_BOUNDS and value is not None
            yield f"≥{number(value)}" if bound else number(value)

    parts = {key: [tuple(row(each)) for each in group] for key, group in evaluation.parts.items()}
    note = (
        f"At the score threshold {evaluation.threshold}. recall: share of the plates with a box of "
        f"their own at an IoU of 0.5 or more. at {LOWEST}: with that score threshold. Heights are "
        f"those in an image scaled to fit {REFERENCE[0]} x {REFERENCE[1]} pixels. night: mean "
        f"brightness below {NIGHT_LUMA} of 255."
    )
    if evaluation.run.is_open:
        note += (
            " Images may show plates without a label (--open). Boxes on them count as false, so "
            "precision and mAP are lower bounds (≥)."
        )
    return Table("Detector", ("", *DETECTOR, *LOWER_BOUNDS), _grouped(parts), note)


def _reader(reader: ReaderResults) -> Iterator[Table]:
    note = f"{READS_NOTE} Characters: {CHARACTER} of the plate's height per line, image pixels."
    for title, side in (("Reader, end to end", "end_to_end"), ("Reader, true boxes", "crops")):
        parts = {
            key: [_row(each.name, part) for each in group if (part := getattr(each, side)).plates]
            for key, group in reader.parts.items()
        }
        if grouped := _grouped(parts):
            yield Table(title, ("", *READS), grouped, note)
    rows: list[Row] = [
        (name, *map(number, (each.reads, each.error, each.loss)))
        for name, each in calibrations(reader).items()
    ]
    note = "error: mean distance between confidence and share of correct reads (folded)."
    if reader.temperature:
        note += f" The temperature is {RULE}. It was fitted on these reads."
    yield Table("Confidence", ("", "reads", "error", "negative log-likelihood"), rows, note)
    if reader.passes:
        rows = []
        for each in reader.passes:
            rows += [
                (each.name,),
                _row("all frames", each.frames),
                _row("best frame of a pass", each.best_frames),
                _row("fused pass", each.fused),
            ]
        note = f"A pass is one text in one video with gaps of at most {GAP_S:.0f} s. {READS_NOTE}"
        yield Table("Vehicle passes", ("", *READS), rows, note)
    if reader.confusions:
        pairs = [
            (truth or "nothing", read or "nothing", str(count))
            for (truth, read), count in reader.confusions.most_common(MAX_CONFUSIONS)
        ]
        yield Table("Confused characters", ("true", "read", "count"), pairs)


def calibrations(reader: ReaderResults) -> Mapping[str, Calibration]:
    """Returns the calibration by name, or both before and after a temperature was fitted."""
    fitted = reader.temperature
    if not fitted:
        return {"reads": reader.calibration}
    return {"before": fitted.before, f"temperature {fitted.value}": fitted.after}


def _row(name: str, record: object) -> Row:
    return (name, *(number(value) for value in vars(record).values() if value != name))


def _grouped(parts: Mapping[str, Sequence[Row]]) -> list[Row]:
    groups = [(title, parts.get(key)) for key, title in GROUPS.items()]
    return [row for title, rows in groups if rows for row in ((title,), *rows)]
