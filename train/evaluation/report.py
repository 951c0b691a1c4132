"""What an evaluation says: a table for the terminal, `report.json`, and `report.html`."""

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from train.evaluation.chart import precision_recall
from train.evaluation.evaluate import Evaluation
from train.evaluation.figures import NIGHT_LUMA, Figures, share
from train.evaluation.metrics import RECALLS
from train.evaluation.reader_page import reader_page
from train.evaluation.reader_table import reader_record, reader_table
from train.evaluation.results import REFERENCE
from train.evaluation.threshold import LOWEST, RULE
from train.evaluation.worst import WorstPicture, draw, worst
from train.record import write_whole
from train.train_error import TrainError

COLUMNS = {
    "pictures": "pictures",
    "plates": "plates",
    "recall": "recall",
    f"at {LOWEST}": "recall_at_05",
    "precision": "precision",
    "mAP50": "mAP50",
    "mAP50-95": "mAP50_95",
    "IoU": "mean_iou",
}
"""Heading and attribute of Figures."""
BOUNDS = {"precision", "mAP50", "mAP50_95"}
"""Lower bounds where pictures may show plates that have no label."""


def table(evaluation: Evaluation) -> str:
    """For the terminal: of the detector, then of the reader."""
    found = _figures(evaluation) if evaluation.results else ()
    reader = ["", *reader_table(evaluation.reader)] if evaluation.reader else []
    lines = [*found, *_negatives(evaluation), *_choice(evaluation), *reader]
    return "\n".join(lines).lstrip("\n")


def _figures(evaluation: Evaluation) -> Iterator[str]:
    parts, is_open = evaluation.parts, evaluation.run.is_open
    yield f"{'':14}" + "".join(f"{heading:>10}" for heading in COLUMNS)
    for figures in (*parts["source"], *parts["height"], *parts["light"], *parts["all"]):
        cells = (value(figures, attribute, is_open=is_open) for attribute in COLUMNS.values())
        yield f"{figures.name:14}" + "".join(f"{cell:>10}" for cell in cells)
    if is_open:
        yield "≥: at least; pictures may show plates that have no label (--open)"


def _negatives(evaluation: Evaluation) -> Iterator[str]:
    for each in evaluation.negatives:
        yield (
            f"{each.name}: {each.false_boxes} false boxes in {each.frames} frames without plates, "
            f"{each.false_per_frame:.3f} a frame"
        )


def _choice(evaluation: Evaluation) -> Iterator[str]:
    if evaluation.choice is None:
        return
    yield f"threshold {evaluation.choice.threshold}: {RULE}"
    yield f"{'threshold':>10}{'recall':>10}{'precision':>10}{'false/frame':>12}"
    for point in evaluation.choice.table:
        rates = share(point.recall), share(point.precision), share(point.false_per_frame)
        yield f"{point.threshold:>10}{rates[0]:>10}{rates[1]:>10}{rates[2]:>12}"


def value(figures: Figures, attribute: str, *, is_open: bool) -> str:
    """One cell of a table; a lower bound says so."""
    number = getattr(figures, attribute)
    if isinstance(number, int):
        return str(number)
    bound = is_open and attribute in BOUNDS and number is not None
    return f"{'≥' * bound}{share(number)}"


def write(evaluation: Evaluation) -> Path:
    """Writes the report into the folder `evaluation.run.out`, which `evaluate` created.

    Raises:
        TrainError: It cannot be written.
        SourceError: A picture can no longer be read.

    Returns:
        The page; `report.json` is beside it.
    """
    pictures = worst([*evaluation.results, *evaluation.blanks], evaluation.threshold)
    out = evaluation.run.out
    page = html(evaluation, pictures)
    try:
        write_whole(out / "report.json", json.dumps(record(evaluation, pictures), indent=1))
        write_whole(out / "report.html", page)
    except OSError as error:
        raise TrainError(f"{error.filename}: {error.strerror}") from error
    return out / "report.html"


def record(evaluation: Evaluation, pictures: Sequence[WorstPicture]) -> dict[str, Any]:
    """All that is known, as JSON; figures have four places, a share of nothing is null."""
    wrong = [(each.result.name, list(map(asdict, each.faults))) for each in pictures]
    text = json.dumps(
        {
            "command": evaluation.run.command,
            "run": asdict(evaluation.run),
            "commit": evaluation.commit,
            "data_sha256": evaluation.data_sha256,
            "bundle": evaluation.spec.model_dump(),
            "threshold": evaluation.threshold,
            "night_luma": NIGHT_LUMA,
            "heights_in": REFERENCE,
            "parts": {name: list(map(asdict, part)) for name, part in evaluation.parts.items()},
            "curve_recalls": RECALLS.tolist(),
            "negatives": list(map(asdict, evaluation.negatives)),
            "choice": evaluation.choice and {"rule": RULE, **asdict(evaluation.choice)},
            "reader": evaluation.reader and reader_record(evaluation.reader),
            "worst": [{"picture": name, "faults": faults} for name, faults in wrong],
        },
        default=str,
    )
    rounded: dict[str, Any] = json.loads(text, parse_float=lambda digits: round(float(digits), 4))
    return rounded


def html(evaluation: Evaluation, pictures: Sequence[WorstPicture]) -> str:
    """The page: one file, with its pictures in it."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    cell = partial(value, is_open=evaluation.run.is_open)
    environment.filters |= {"share": share, "value": cell, "base64": _base64}
    return environment.get_template("report.html.j2").render(
        chart=Markup(precision_recall(evaluation)),  # noqa: S704 - matplotlib escapes the names
        columns=COLUMNS,
        evaluation=evaluation,
        lowest=LOWEST,
        most=max(part.plates + part.false_boxes for part in evaluation.parts["height"]) or 1,
        night_luma=NIGHT_LUMA,
        reader=evaluation.reader and reader_page(evaluation.reader, evaluation.spec.reader),
        reference=REFERENCE,
        rule=RULE,
        run=evaluation.run,
        spec=evaluation.spec,
        worst=list(zip(pictures, draw(pictures, evaluation.threshold), strict=True)),
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
