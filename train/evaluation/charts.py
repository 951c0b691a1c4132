"""Charts of a report, as SVGs in the colours of the page."""

import io
from collections.abc import Callable, Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from train.evaluation.coco_metrics import RECALLS
from train.evaluation.confidence_calibration import Calibration
from train.evaluation.evaluate import Evaluation

INK = "#012345"
"""Placeholder for the colour of the page's text."""
COLOURS = ("#2f86c1", "#d9662b", "#1f9e78", "#b5689a", "#b38600", "#7a7fd0")
"""Colours of the curves, readable on light and dark pages."""
ZOOMED = 0.5
"""Start of the axes if every operating point lies above it."""
STYLE: dict[Any, Any] = {
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "grid.color"), INK),
    **dict.fromkeys(("xtick.color", "ytick.color"), INK),
    "svg.fonttype": "none",
    "svg.hashsalt": "plateid",  # the same curves give the same file
    "text.parse_math": False,
}


def precision_recall(evaluation: Evaluation) -> str:
    """Draws the curves of all images and of each source, with a dot at the threshold."""
    sources = evaluation.parts["source"]
    parts = [*(sources if len(sources) > 1 else []), *evaluation.parts["all"]]
    points = [(part.recall or 0, part.precision or 0) for part in parts]
    start = ZOOMED if min(map(min, points)) > ZOOMED else 0.0
    colours = [*(COLOURS[n % len(COLOURS)] for n in range(len(parts) - 1)), INK]

    def draw(axes: Axes) -> None:
        for part, point, colour in zip(parts, points, colours, strict=True):
            curve = np.array(part.curve)
            axes.plot(RECALLS[curve > 0], curve[curve > 0], color=colour, label=part.name)
            axes.plot(*point, "o", color=colour, clip_on=False)
        limits = start, 1 + (1 - start) / 100  # lines along 1 are not clipped
        axes.set(xlabel="recall", ylabel="precision", xlim=limits, ylim=limits)
        axes.legend(loc="lower left", frameon=False)

    return _svg(draw)


def reliability(calibrations: Mapping[str, Calibration]) -> str:
    """Draws the share of correct reads against their confidence. The dashed line is perfect."""

    def draw(axes: Axes) -> None:
        axes.plot((0, 1), (0, 1), "--", color=INK, alpha=0.4, linewidth=1)
        for (name, each), colour in zip(calibrations.items(), COLOURS, strict=False):
            points = np.array([(part.confidence, part.correct) for part in each.bins])
            axes.plot(*points.reshape(-1, 2).T, "o-", color=colour, label=name, clip_on=False)
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
