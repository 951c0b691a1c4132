"""Writes the report of an evaluation: `report.html` and `report.json`."""

import base64
import io
import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import jinja2
import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pydantic_core import to_jsonable_python

from plateid.capture.images import read_image
from plateid.core.drawing import encode_jpeg
from plateid.core.geometry import expanded
from plateid.core.records import Image
from plateid.files import write_whole
from plateid.models.bundle import ReaderSpec
from train.evaluation.coco_metrics import RECALLS
from train.evaluation.confidence_calibration import Calibration
from train.evaluation.detector_accuracy import NIGHT_LUMA
from train.evaluation.detector_errors import ErroneousImage, draw_errors, worst_images
from train.evaluation.evaluate import Evaluation, ReaderResults
from train.evaluation.evaluation_tables import calibrations, tables
from train.evaluation.image_results import REFERENCE
from train.evaluation.reader_accuracy import ReadResult, aligned
from train.train_error import os_errors

WRONG_READS = 60
"""Wrong reads that a report shows."""
CROP_WIDTH = 320
"""Width of a plate crop on the page, pixels."""

INK = "#012345"
"""Placeholder for the colour of the page's text."""
ZOOMED = 0.5
"""Start of the axes if every operating point lies above it."""
STYLE: dict[Any, Any] = {
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "grid.color"), INK),
    **dict.fromkeys(("xtick.color", "ytick.color"), INK),
    "svg.fonttype": "none",
    "svg.hashsalt": "plateid",  # the same curves give the same file
    "text.parse_math": False,
}


def write_report(evaluation: Evaluation) -> Path:
    """Writes the report into `evaluation.run.out`. Returns the page.

    Raises TrainError if it cannot be written, SourceError if an image can no longer be read.
    """
    images = worst_images(evaluation.results, evaluation.threshold)
    wrong = highest_confidence_errors(evaluation.reader.crops if evaluation.reader else ())
    page = _html(evaluation, images, wrong)
    record = _record(evaluation, images, wrong)
    out = evaluation.run.out
    with os_errors():
        write_whole(out / "report.json", json.dumps(record, indent=1).encode())
        write_whole(out / "report.html", page.encode())
    return out / "report.html"


def highest_confidence_errors(results: Sequence[ReadResult]) -> list[ReadResult]:
    """Returns up to WRONG_READS wrong reads (folded), highest confidence first."""
    wrong = [each for each in results if not each.is_folded_match]
    return sorted(wrong, key=lambda each: -each.reading.confidence)[:WRONG_READS]


def _record(
    evaluation: Evaluation, images: Sequence[ErroneousImage], wrong: Sequence[ReadResult]
) -> dict[str, Any]:
    """Returns all results for JSON. Ratios have four decimals, or are null."""
    text = json.dumps(
        {
            "command": _command(),
            "run": evaluation.run,
            "commit": evaluation.commit,
            "data_sha256": evaluation.data_sha256,
            "bundle": evaluation.spec.model_dump(),
            "threshold": evaluation.threshold,
            "night_luma": NIGHT_LUMA,
            "heights_in": REFERENCE,
            "parts": evaluation.parts,
            "curve_recalls": RECALLS.tolist(),
            "negatives": evaluation.negatives,
            "reader": evaluation.reader and _reader_record(evaluation.reader, wrong),
            "worst": [{"image": each.result.path, "errors": each.errors} for each in images],
        },
        default=to_jsonable_python,
    )
    record: dict[str, Any] = json.loads(text, parse_float=lambda digits: round(float(digits), 4))
    return record


def _command() -> str:
    return shlex.join(["python", "-m", "train", *sys.argv[1:]])


def _reader_record(reader: ReaderResults, wrong: Sequence[ReadResult]) -> dict[str, Any]:
    return {
        "parts": {
            name: [
                {"name": each.name, **each.end_to_end.metrics(), **each.crops.metrics("crops_")}
                for each in group
            ]
            for name, group in reader.parts.items()
        },
        "calibration": reader.calibration,
        "temperature": reader.temperature,
        "passes": [
            {"name": each.name, **each.fused.metrics("fused_"), **each.frames.metrics("frame_")}
            for each in reader.passes
        ],
        "confusions": [[*pair, count] for pair, count in reader.confusions.most_common()],
        "worst": [
            {
                "image": each.plate.path,
                "box": each.plate.box,
                "truth": each.plate.text,
                "read": each.reading.plate,
                "confidence": each.reading.confidence,
            }
            for each in wrong
        ],
    }


def page_template(path: Path) -> jinja2.Template:
    """Returns a template of a page, which may extend `page.html.j2` of this folder."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([path.parent, Path(__file__).parent]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["base64"] = lambda data: base64.b64encode(data).decode()
    return environment.get_template(path.name)


def _html(
    evaluation: Evaluation, images: Sequence[ErroneousImage], wrong: Sequence[ReadResult]
) -> str:
    reader = evaluation.reader
    charts = {}
    if evaluation.results:
        charts["Detector"] = Markup(precision_recall(evaluation))  # noqa: S704 - is escaped
    if reader:
        charts["Confidence"] = Markup(reliability(calibrations(reader)))  # noqa: S704 - is escaped
    return page_template(Path(__file__).with_name("report.html.j2")).render(
        charts=charts,
        command=_command(),
        evaluation=evaluation,
        found={each.plate: each.reading for each in (reader.found if reader else ())},
        images=[(each, draw_errors(each, evaluation.threshold)) for each in images],
        tables=list(tables(evaluation)),
        aligned=aligned,
        wrong=[(each, crop_jpeg(each, evaluation.spec.reader)) for each in wrong],
    )


def crop_jpeg(result: ReadResult, spec: ReaderSpec) -> bytes:
    """Returns what the reader saw, as a JPEG of CROP_WIDTH."""
    image = read_image(result.plate.path)
    crop = image.crop(expanded(result.plate.box, x=spec.margin_x, y=spec.margin_y))
    height = min(2 * CROP_WIDTH, max(1, round(crop.shape[0] * CROP_WIDTH / crop.shape[1])))
    scaled: Image = cv2.resize(crop, (CROP_WIDTH, height), interpolation=cv2.INTER_CUBIC)
    return encode_jpeg(scaled, 85)


def precision_recall(evaluation: Evaluation) -> str:
    """Draws the curves of all images and of each source, with a dot at the threshold."""
    sources = evaluation.parts["source"]
    parts = [*(sources if len(sources) > 1 else []), *evaluation.parts["all"]]
    points = [(part.recall or 0, part.precision or 0) for part in parts]
    start = ZOOMED if min(map(min, points)) > ZOOMED else 0.0

    def draw(axes: Axes) -> None:
        for part, point in zip(parts, points, strict=True):
            curve, colour = np.array(part.curve), INK if part is parts[-1] else None
            (line,) = axes.plot(RECALLS[curve > 0], curve[curve > 0], color=colour, label=part.name)
            axes.plot(*point, "o", color=line.get_color(), clip_on=False)
        limits = start, 1 + (1 - start) / 100  # lines along 1 are not clipped
        axes.set(xlabel="recall", ylabel="precision", xlim=limits, ylim=limits)
        axes.legend(loc="lower left", frameon=False)

    return _svg(draw)


def reliability(calibrations: Mapping[str, Calibration]) -> str:
    """Draws the share of correct reads against their confidence. The dashed line is perfect."""

    def draw(axes: Axes) -> None:
        axes.plot((0, 1), (0, 1), "--", color=INK, alpha=0.4, linewidth=1)
        for name, each in calibrations.items():
            points = np.array([(part.confidence, part.correct) for part in each.bins])
            axes.plot(*points.reshape(-1, 2).T, "o-", label=name, clip_on=False)
        axes.set(xlabel="confidence", ylabel="share of correct reads", xlim=(0, 1), ylim=(0, 1))
        axes.legend(loc="upper left", frameon=False)

    return _svg(draw)


def _svg(draw: Callable[[Axes], None]) -> str:
    """Returns what `draw` plots as SVG. matplotlib escapes its text."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7, 4.2), layout="constrained")
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.2)
        draw(axes)
        file = io.StringIO()
        no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=no_metadata)
    _, tag, svg = file.getvalue().partition("<svg")
    return (tag + svg).replace(INK, "currentColor")
