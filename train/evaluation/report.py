"""What an evaluation says: a table for the terminal, `report.json`, and `report.html`."""

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jinja2

from train.errors import TrainError
from train.evaluation.chart import chart
from train.evaluation.drawing import draw
from train.evaluation.evaluate import Evaluation
from train.evaluation.figures import NIGHT_LUMA, Figures
from train.evaluation.judge import REFERENCE
from train.evaluation.metrics import RECALLS
from train.evaluation.threshold import LOWEST, RULE
from train.evaluation.worst import Bad, worst
from train.record import write_whole

TEMPLATE = "report.html.j2"
COLUMNS = {
    "pictures": "pictures",
    "plates": "plates",
    "found": "found",
    f"at {LOWEST}": "found_at_lowest",
    "precision": "precision",
    "mAP50": "map50",
    "mAP50-95": "map50_95",
    "IoU": "mean_iou",
    "exact": "exact",
    "folded": "folded",
}
"""Heading and attribute of Figures."""
BOUNDS = {"precision", "map50", "map50_95"}
"""Lower bounds where plates may be there unlabelled."""
NOTHING = "-"


def table(evaluation: Evaluation) -> str:
    """For the terminal: figures, false boxes without plates, and the choice of the threshold."""
    return "\n".join([*_figures(evaluation), *_negatives(evaluation), *_choice(evaluation)])


def _figures(evaluation: Evaluation) -> Iterator[str]:
    parts = evaluation.parts
    yield f"{'':14}" + "".join(f"{heading:>10}" for heading in COLUMNS)
    for figures in (*parts["source"], *parts["height"], *parts["light"], *parts["all"]):
        cells = (value(figures, attribute) for attribute in COLUMNS.values())
        yield f"{figures.name:14}" + "".join(f"{cell:>10}" for cell in cells)
    if parts["all"][0].is_open:
        yield "≥: every picture has one label, and other plates may be there without one"


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
    yield f"{'threshold':>10}{'found':>10}{'precision':>10}{'false/frame':>12}"
    for point in evaluation.choice.table:
        rates = share(point.recall), share(point.precision), share(point.false_per_frame)
        yield f"{point.threshold:>10}{rates[0]:>10}{rates[1]:>10}{rates[2]:>12}"


def value(figures: Figures, attribute: str) -> str:
    """One cell of a table; a lower bound says so."""
    number = getattr(figures, attribute)
    if isinstance(number, int):
        return str(number)
    bound = figures.is_open and attribute in BOUNDS and number is not None
    return f"{'≥' * bound}{share(number)}"


def share(number: float | None) -> str:
    """Three places, or a dash where there is nothing to have a share of."""
    return NOTHING if number is None else f"{number:.3f}"


def write(evaluation: Evaluation) -> Path:
    """Writes the report into the folder `evaluation.run.out`, which `evaluate` created.

    Raises:
        TrainError: It cannot be written.
        SourceError: A picture can no longer be read.

    Returns:
        The page; `report.json` is beside it.
    """
    bad = worst([*evaluation.judged, *evaluation.blanks], evaluation.threshold)
    out = evaluation.run.out
    page = html(evaluation, bad)
    try:
        write_whole(out / "report.json", json.dumps(record(evaluation, bad), indent=1))
        write_whole(out / "report.html", page)
    except OSError as error:
        raise TrainError(f"{error.filename}: {error.strerror}") from error
    return out / "report.html"


def record(evaluation: Evaluation, bad: Sequence[Bad]) -> dict[str, Any]:
    """All figures as JSON; shares have four places, what there is none of is null."""
    everything: dict[str, Any] = _rounded(
        {
            **about(evaluation),
            "parts": {name: list(map(asdict, part)) for name, part in evaluation.parts.items()},
            "curves": {"recall": RECALLS.tolist(), "precision": evaluation.curves},
            "negatives": list(map(asdict, evaluation.negatives)),
            "choice": evaluation.choice and {"rule": RULE, **asdict(evaluation.choice)},
            "worst": [_bad(each) for each in bad],
        }
    )
    return everything


def about(evaluation: Evaluation) -> dict[str, Any]:
    """What was evaluated, on what, and how."""
    spec = evaluation.spec
    return {
        "bundle": spec.name,
        "folder": str(evaluation.run.bundle),
        "detector": spec.detector.name,
        "detector_sha256": spec.detector.sha256,
        "reader": spec.reader.name,
        "reader_sha256": spec.reader.sha256,
        "input": [spec.detector.width, spec.detector.height],
        "threshold": evaluation.threshold,
        "held_out": evaluation.run.held_out,
        "command": evaluation.run.command,
        "commit": evaluation.commit,
        "data_sha256": evaluation.data_sha256,
        "night_luma": NIGHT_LUMA,
        "heights_in": list(REFERENCE),
    }


def html(evaluation: Evaluation, bad: Sequence[Bad]) -> str:
    """The page: one file, with its pictures in it."""
    pictures = draw(bad, evaluation.threshold)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"share": share, "value": value}
    return environment.get_template(TEMPLATE).render(
        about=about(evaluation),
        chart=chart(evaluation),
        columns=COLUMNS,
        evaluation=evaluation,
        lowest=LOWEST,
        most=max(_boxes(figures) for figures in evaluation.parts["height"]) or 1,
        rule=RULE,
        worst=[(each, _uri(jpeg)) for each, jpeg in zip(bad, pictures, strict=True)],
    )


def _uri(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def _boxes(figures: Figures) -> int:
    return figures.plates + figures.false_boxes


def _bad(bad: Bad) -> dict[str, Any]:
    return {"picture": bad.judged.name, "faults": list(map(asdict, bad.faults))}


def _rounded(value: Any) -> Any:
    match value:
        case dict():
            return {key: _rounded(item) for key, item in value.items()}
        case list() | tuple():
            return [_rounded(item) for item in value]
        case float():
            return round(value, 4)
    return value
