"""The figures of a bench as one SVG: bars of the stages, lines of how cost grows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, ROW, MARGIN, PLOT = 760, 22, 150, 240
LABELS = 60
BLUE, ORANGE, GREY = "#2f86c1", "#d9662b", "#8a8f98"
STYLE = (
    "text{font-family:system-ui,sans-serif;font-size:13px;fill:#24292f}"
    "@media(prefers-color-scheme:dark){text{fill:#d7dbe0}}"
)


@dataclass(frozen=True)
class Line:
    """One line of a plot.

    Attributes:
        name: Of what.
        points: x and y.
        colour: As SVG has it.
    """

    name: str
    points: Sequence[tuple[float, float]]
    colour: str = BLUE


def bars(title: str, values: Mapping[str, float], *, unit: str) -> list[str]:
    """A bar for each value, 0 to the greatest."""
    most = max(values.values(), default=0) or 1
    rows = [_text(0, 16, title, weight="bold")]
    for n, (name, value) in enumerate(values.items()):
        y = 28 + n * ROW
        length = (WIDTH - MARGIN - 2 * LABELS) * value / most
        rows.append(_text(MARGIN - 8, y + 13, name, anchor="end"))
        rows.append(f'<rect x="{MARGIN}" y="{y}" width="{length:.1f}" height="16" fill="{BLUE}"/>')
        rows.append(_text(MARGIN + length + 6, y + 13, f"{value:.3g} {unit}"))
    return _group(rows, height=40 + len(values) * ROW)


def plot(title: str, lines: Sequence[Line], *, x: str, y: str) -> list[str]:
    """Lines over a common x axis; both axes begin at 0."""
    points = [point for line in lines for point in line.points]
    right, top = (max((point[axis] for point in points), default=0) or 1 for axis in (0, 1))
    width, height = WIDTH - MARGIN - LABELS, PLOT - LABELS

    def place(point: tuple[float, float]) -> tuple[float, float]:
        return MARGIN + width * point[0] / right, 30 + height * (1 - point[1] / top)

    rows = [_text(0, 16, title, weight="bold")]
    for part in (0.0, 0.5, 1.0):
        level = place((0, part * top))[1]
        rows.append(f'<path d="M{MARGIN} {level:.1f}h{width}" stroke="{GREY}" stroke-width=".5"/>')
        rows.append(_text(MARGIN - 8, level + 4, f"{part * top:.3g}", anchor="end"))
    rows += [
        _text(place((tick, 0))[0], 30 + height + 18, f"{tick:g}", anchor="middle")
        for tick in sorted({point[0] for point in points})
    ]
    rows.append(_text(MARGIN + width / 2, 30 + height + 38, x, anchor="middle"))
    rows.append(_text(0, 36, y))
    for n, line in enumerate(lines):
        placed = [place(point) for point in line.points]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in placed)
        rows.append(
            f'<polyline points="{path}" fill="none" stroke="{line.colour}" stroke-width="2"/>'
        )
        rows += [
            f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{line.colour}"/>' for a, b in placed
        ]
        rows.append(_text(MARGIN + 10, 46 + n * 18, line.name, colour=line.colour))
    return _group(rows, height=PLOT + 30)


def svg(parts: Sequence[list[str]]) -> str:
    """The parts below each other."""
    y, placed = 16, []
    for height, *rows in parts:
        placed.append(f'<g transform="translate(16 {y})">{"".join(rows)}</g>')
        y += int(height) + 16
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + 32} {y}" '
        f'width="{WIDTH + 32}"><style>{STYLE}</style>{"".join(placed)}</svg>\n'
    )


def _group(rows: list[str], *, height: int) -> list[str]:
    return [str(height), *rows]


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", weight: str = "", colour: str = ""
) -> str:
    look = (f' font-weight="{weight}"' if weight else "") + (
        f' style="fill:{colour}"' if colour else ""
    )
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{look}>{escape(text)}</text>'
