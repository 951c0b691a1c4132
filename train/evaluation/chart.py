"""The precision-recall curves as an SVG for the page, light or dark."""

import io
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from train.evaluation.evaluate import Evaluation
from train.evaluation.metrics import RECALLS

INK = "#012345"
"""Stands for the colour of the page's text."""
COLOURS = ("#2f86c1", "#d9662b", "#1f9e78", "#b5689a", "#b38600", "#7a7fd0")
CLOSE_UP = 0.5
"""Where the axes begin when every operating point lies above it."""
STYLE: dict[Any, Any] = {
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "grid.color"), INK),
    **dict.fromkeys(("xtick.color", "ytick.color"), INK),
    "svg.fonttype": "none",
    "svg.hashsalt": "plateid",  # the same curves are the same text
    "text.parse_math": False,
}


def chart(evaluation: Evaluation) -> str:
    """The curves of all pictures and, where there are several, of each source.

    A dot is the operating point: precision and recall at the threshold.
    """
    sources = evaluation.parts["source"]
    parts = [*(sources if len(sources) > 1 else []), *evaluation.parts["all"]]
    points = [(part.recall or 0, part.precision or 0) for part in parts]
    start = CLOSE_UP if min(map(min, points)) > CLOSE_UP else 0.0
    colours = [*(COLOURS[n % len(COLOURS)] for n in range(len(parts) - 1)), INK]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7, 4.2), layout="constrained")
        axes = figure.subplots()
        for part, point, colour in zip(parts, points, colours, strict=True):
            curve = np.array(part.curve)
            axes.plot(RECALLS[curve > 0], curve[curve > 0], color=colour, label=part.name)
            axes.plot(*point, "o", color=colour, clip_on=False)
        limits = start, 1 + (1 - start) / 100  # lines along 1 are whole
        axes.set(xlabel="recall", ylabel="precision", xlim=limits, ylim=limits)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.2)
        axes.legend(loc="lower left", frameon=False)
        file = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    _, tag, svg = file.getvalue().partition("<svg")
    return (tag + svg).replace(INK, "currentColor")
