"""The precision-recall curves as the lines of an SVG."""

from dataclasses import dataclass

from train.evaluation.evaluate import Evaluation
from train.evaluation.figures import Figures
from train.evaluation.metrics import RECALLS

LEFT, TOP, WIDTH, HEIGHT = 68.0, 12.0, 531.0, 325.0
"""Of the plotting area."""
CLOSE_UP = 0.5
"""Where the axes begin when every point of work lies above it."""


@dataclass(frozen=True)
class Line:
    """One curve: `points` as an SVG polyline has them; its point of work, None without boxes."""

    name: str
    points: str
    work: tuple[float, float] | None


@dataclass(frozen=True)
class Chart:
    """Curves, the ticks of both axes as (value, x, y), and the plotting area."""

    lines: tuple[Line, ...]
    ticks: tuple[tuple[float, float, float], ...]
    left: float = LEFT
    top: float = TOP
    width: float = WIDTH
    height: float = HEIGHT


def chart(evaluation: Evaluation) -> Chart:
    """The curves of all pictures and, where there are several, of each source."""
    figures = {each.name: each for each in evaluation.parts["source"]}
    shown = {"all": evaluation.parts["all"][0], **(figures if len(figures) > 1 else {})}
    work = [number for each in shown.values() for number in (each.found, each.precision)]
    start = CLOSE_UP if all(number and number > CLOSE_UP for number in work) else 0.0
    lines = [
        _line(name, evaluation.curves[name], each, start=start) for name, each in shown.items()
    ]
    ticks = (start + (1 - start) * step / 5 for step in range(6))
    return Chart(tuple(lines), tuple((tick, *_place(tick, tick, start)) for tick in ticks))


def _line(name: str, curve: list[float], figures: Figures, *, start: float) -> Line:
    places = (
        _place(recall, precision, start)
        for recall, precision in zip(RECALLS.tolist(), curve, strict=True)
        if precision
    )
    work = None
    if figures.found is not None and figures.precision is not None:
        work = _place(figures.found, figures.precision, start)
    return Line(name, " ".join(f"{x},{y}" for x, y in places), work)


def _place(recall: float, precision: float, start: float) -> tuple[float, float]:
    across, up = ((value - start) / (1 - start) for value in (recall, precision))
    return round(LEFT + across * WIDTH, 1), round(TOP + (1 - up) * HEIGHT, 1)
