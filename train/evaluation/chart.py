"""Charts as SVGs for the page, light or dark."""

import io
from collections.abc import Callable, Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from train.evaluation.calibration import Calibration
from train.evaluation.confusion import SYMBOLS, Confusion
from train.evaluation.evaluate import Evaluation
from train.evaluation.metrics import RECALLS

INK = "#012345"
"""Stands for the colour of the page's text."""
COLOURS = ("#2f86c1", "#d9662b", "#1f9e78", "#b5689a", "#b38600", "#7a7fd0")
CLOSE_UP = 0.5
"""Where the axes begin when every operating point lies above it."""
FAINTEST = 0.15
"""Of a confusion that is there at all."""
STYLE: dict[Any, Any] = {
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "grid.color"), INK),
    **dict.fromkeys(("xtick.color", "ytick.color"), INK),
    "svg.fonttype": "none",
    "svg.hashsalt": "plateid",  # the same curves are the same text
    "text.parse_math": False,
}


def precision_recall(evaluation: Evaluation) -> str:
    """The precision-recall curves of all pictures and, where there are several, of each source.

    A dot is the operating point: precision and recall at the threshold.
    """
    sources = evaluation.parts["source"]
    parts = [*(sources if len(sources) > 1 else []), *evaluation.parts["all"]]
    points = [(part.recall or 0, part.precision or 0) for part in parts]
    start = CLOSE_UP if min(map(min, points)) > CLOSE_UP else 0.0
    colours = [*(COLOURS[n % len(COLOURS)] for n in range(len(parts) - 1)), INK]

    def draw(axes: Axes) -> None:
        for part, point, colour in zip(parts, points, colours, strict=True):
            curve = np.array(part.curve)
            axes.plot(RECALLS[curve > 0], curve[curve > 0], color=colour, label=part.name)
            axes.plot(*point, "o", color=colour, clip_on=False)
        limits = start, 1 + (1 - start) / 100  # lines along 1 are whole
        axes.set(xlabel="recall", ylabel="precision", xlim=limits, ylim=limits)
        axes.grid(alpha=0.2)
        axes.legend(loc="lower left", frameon=False)

    return _svg(draw, size=(7, 4.2))


def reliability(calibrations: Mapping[str, Calibration]) -> str:
    """The share of reads that are right against their confidence; on the dashed line they agree."""

    def draw(axes: Axes) -> None:
        axes.plot((0, 1), (0, 1), "--", color=INK, alpha=0.4, linewidth=1)
        for (name, each), colour in zip(calibrations.items(), COLOURS, strict=False):
            points = np.array([(part.confidence, part.right) for part in each.bins])
            axes.plot(*points.reshape(-1, 2).T, "o-", color=colour, label=name, clip_on=False)
        axes.set(xlabel="confidence", ylabel="right", xlim=(0, 1), ylim=(0, 1))
        axes.grid(alpha=0.2)
        axes.legend(loc="upper left", frameon=False)

    return _svg(draw, size=(7, 4.2))


def heat_map(confusion: Confusion) -> str:
    """What was read (across) for what is there (down): the more often, the darker."""
    sides = len(SYMBOLS)
    wrong = confusion.wrong
    depth = FAINTEST + (1 - FAINTEST) * wrong / max(1, int(wrong.max()))

    def cell(place: int, across: int, colour: str, alpha: float) -> Rectangle:
        return Rectangle((across, place), 1, 1, facecolor=colour, alpha=alpha, linewidth=0)

    def draw(axes: Axes) -> None:
        for place in range(sides):
            axes.add_patch(cell(place, place, INK, 0.07))
        for row, column in np.argwhere(wrong).tolist():
            axes.add_patch(cell(row, column, COLOURS[1], float(depth[row, column])))
        names = [symbol or "–" for symbol in SYMBOLS]  # noqa: RUF001 - it is a dash
        places = np.arange(sides) + 0.5
        axes.set_xticks(places, names, fontsize=7)
        axes.set_yticks(places, names, fontsize=7)
        axes.tick_params(length=0)
        axes.set(xlabel="read", ylabel="there", xlim=(0, sides), ylim=(sides, 0))
        axes.set_aspect("equal")

    return _svg(draw, size=(7, 6.6))


def _svg(draw: Callable[[Axes], None], *, size: tuple[float, float]) -> str:
    """What `draw` puts on axes, in the colours of the page; its text is escaped.

    Args:
        draw: INK is the colour of the page's text.
        size: Width and height in inches, as matplotlib wants them.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes)
        file = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    _, tag, drawn = file.getvalue().partition("<svg")
    return (tag + drawn).replace(INK, "currentColor")
