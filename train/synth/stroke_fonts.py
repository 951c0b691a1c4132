"""Fonts drawn from skeletons in glyphs.toml, with random proportions, corners and variants.

Hardly any typeface of plates exists as an open font. A few dozen random fonts that resemble it
train a reader better than a single one.
"""

import functools
from collections.abc import Iterator
from importlib import resources

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from plateid.config.section import Section
from train.toml_reading import read_toml

CAP = 64
"""Height of a capital in a mask, pixels."""
OVERSAMPLING = 3
"""Factor by which masks are drawn larger before they are averaged."""
OVERHANG = 0.2
"""Room below and beside the box, in heights of a capital, for the tail of a Q."""
TAILED = "Q"
"""The character that has a tail."""
CURVE = np.linspace(0.0, 1.0, 9)[:, None]
"""Parameters of the points of a Bezier curve, shape (9, 1)."""
Range = tuple[float, float]
Points = NDArray[np.float64]
"""Shape (N, 2), x and y in boxes (0-1) or pixels."""


class StrokeStyle(Section):
    """The ranges of the fonts of a style; see glyphs.toml."""

    count: int = Field(ge=1)
    aspect: Range
    weight: Range
    radius: Range
    oval: Range
    round: float = Field(ge=0, le=1)
    sharp: float = Field(ge=0, le=1)
    variants: dict[str, tuple[int, ...]] = Field(default_factory=dict)


class GlyphTable(Section):
    """The skeletons of each glyph and the styles, by name."""

    glyphs: dict[str, tuple[str, ...]]
    styles: dict[str, StrokeStyle]


@functools.cache
def glyph_table() -> GlyphTable:
    """Returns the content of glyphs.toml."""
    return read_toml(resources.files("train.synth").joinpath("glyphs.toml"), GlyphTable)


class StrokeFont:
    """One font of a style; its number determines all its glyphs."""

    def __init__(self, style: str, number: int) -> None:
        spec = glyph_table().styles[style]
        rng = np.random.default_rng([number, *style.encode()])
        self._height = CAP * OVERSAMPLING
        self._width = rng.uniform(*spec.aspect) * self._height
        self._stroke = rng.uniform(*spec.weight) * self._height
        self._radius = rng.uniform(*spec.radius) * self._width
        self._oval = rng.uniform(*spec.oval)
        self._round_ends = bool(rng.random() < spec.round)
        self._sharp = bool(rng.random() < spec.sharp)
        self._chosen = {
            glyph: lines[rng.choice(spec.variants.get(glyph, range(len(lines))))]
            for glyph, lines in glyph_table().glyphs.items()
        }

    def mask(self, character: str) -> NDArray[np.uint8]:
        """Returns the opacity of a glyph; the first CAP rows are its box, the others its tail."""
        before, _, path = self._chosen[character].rpartition(":")
        inner = max(0.0, float(before or 1) * self._width - self._stroke)
        size = (round(inner + self._stroke), round(self._height * (1 + OVERHANG)))
        canvas = np.zeros((size[1], size[0] + round(OVERHANG * self._height)), np.uint8)
        box = max(1.0, self._width - self._stroke), self._height - self._stroke
        radii = np.array([self._radius, self._radius * self._oval]) / box
        for points, closed in _parsed(path, radii):
            self._draw(canvas, points * (inner, self._height - self._stroke), closed=closed)
        if character != TAILED:
            canvas = canvas[: self._height, : size[0]]
        used = np.flatnonzero(canvas.any(axis=0))
        canvas = canvas[:, used[0] : used[-1] + 1]
        height, width = (max(1, round(side / OVERSAMPLING)) for side in canvas.shape)
        small = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
        return np.asarray(small, np.uint8)

    def _draw(self, canvas: NDArray[np.uint8], points: Points, *, closed: bool) -> None:
        half = self._stroke / 2
        points = points + half
        if closed:
            points = np.vstack([points, points[:1]])
        steps = np.diff(points, axis=0)
        ways = steps / np.maximum(np.linalg.norm(steps, axis=1, keepdims=True), 1e-6)
        for number, way in enumerate(ways):
            ends = points[number : number + 2].copy()
            ends[0] -= way * half * self._reach(ways, number - 1, closed=closed)
            ends[1] += way * half * self._reach(ways, number, closed=closed)
            side = half * np.array([-way[1], way[0]])
            quad = np.vstack([ends + side, ends[::-1] - side])
            cv2.fillPoly(canvas, [np.round(quad).astype(np.int32)], 255)
        for joint in points if closed or self._round_ends else points[1:-1]:
            x, y = (round(float(value)) for value in joint)
            cv2.circle(canvas, (x, y), round(half), 255, -1)

    def _reach(self, ways: Points, joint: int, *, closed: bool) -> float:
        """Returns how far a segment reaches beyond a joint, in half strokes."""
        if not 0 <= joint < len(ways) - 1:
            return 0.0 if closed or self._round_ends else 1.0
        turn = abs(float(np.dot(ways[joint], ways[joint + 1])))
        return 1.0 if self._sharp and turn < 0.15 else 0.0


def _parsed(path: str, radii: Points) -> Iterator[tuple[Points, bool]]:
    for stroke in path.split("|"):
        words = stroke.split()
        closed = words[-1] == "z"
        words = words[: len(words) - closed]
        points = np.array([[float(v) for v in word.lstrip("r").split(",")] for word in words])
        rounded = [word.startswith("r") for word in words]
        yield _rounded(points, rounded, radii, closed=closed), closed


def _rounded(points: Points, rounded: list[bool], radii: Points, *, closed: bool) -> Points:
    result = []
    for number, (corner, is_round) in enumerate(zip(points, rounded, strict=True)):
        if not is_round or (not closed and number in (0, len(points) - 1)):
            result.append(corner[None])
            continue
        start, end = (
            corner + _towards(corner, points[at % len(points)], radii, rounded[at % len(points)])
            for at in (number - 1, number + 1)
        )
        near, far = start + 0.5523 * (corner - start), end + 0.5523 * (corner - end)
        t, u = CURVE, 1 - CURVE
        result.append(u**3 * start + 3 * u**2 * t * near + 3 * u * t**2 * far + t**3 * end)
    return np.vstack(result)


def _towards(corner: Points, other: Points, radii: Points, shared: bool) -> Points:  # noqa: FBT001
    """Returns the offset from a corner to the start of its arc, along one of its sides."""
    side = other - corner
    wanted = 1.0 / max(1e-6, float(np.linalg.norm(side / radii)))
    return side * min(0.5 if shared else 1.0, wanted)
