"""Paints the side of a car, flattened to (s, h); what is not car is left transparent."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from plateid.core.records import Grey, Image
from train.scene.body import Body
from train.scene.draw import Colour, dim, ellipse, pixel, polygon

PX_PER_M = 200


def paint_flank(body: Body, colour: Colour) -> tuple[Image, Grey]:
    """Paint, and 255 where there is car."""
    tall = max(station[1] for station in body.stations)
    shape = (int(tall * PX_PER_M) + 2, int(body.length * PX_PER_M) + 2)
    shade = np.interp(
        np.linspace(tall, 0, shape[0]),
        [0, 0.2, body.belt * 0.8, body.belt, tall],
        [0.35, 0.5, 0.8, 1.0, 0.9],
    )
    paint = np.clip(pixel(colour) * shade[:, None, None] * np.ones((*shape, 1)), 0, 255).astype(
        np.uint8
    )
    solid = np.zeros(shape, np.uint8)
    polygon(
        solid,
        flat([(0, 0.24), (body.length, 0.24), (body.length, tall + 1), (0, tall + 1)], shape[0]),
        (255,),
    )
    _doors(paint, body, colour)
    _windows(paint, body)
    _rail(paint, body, colour)
    _wheels(paint, solid, body)
    return paint, solid


def flat(spots: list[tuple[float, float]], rows: int) -> NDArray[np.float64]:
    """(s, h) to pixels of a sheet with that many rows."""
    return np.array([(s * PX_PER_M, rows - 1 - h * PX_PER_M) for s, h in spots])


def _doors(paint: Image, body: Body, colour: Colour) -> None:
    start, stop = body.cabin
    rows = paint.shape[0]
    for s in np.linspace(start, stop, 3):
        polygon(
            paint,
            flat([(s, 0.3), (s + 0.02, 0.3), (s + 0.02, body.belt), (s, body.belt)], rows),
            dim(colour, 0.3),
        )
    for s in (start + 0.3, start + 1.5):
        handle = [
            (s, body.belt - 0.16),
            (s + 0.2, body.belt - 0.16),
            (s + 0.2, body.belt - 0.12),
            (s, body.belt - 0.12),
        ]
        polygon(paint, flat(handle, rows), dim(colour, 0.5))
    crease = [(0, 0.52), (body.length, 0.56), (body.length, 0.58), (0, 0.54)]
    polygon(paint, flat(crease, rows), dim(colour, 0.62))


def _windows(paint: Image, body: Body) -> None:
    rows = paint.shape[0]
    tall = max(station[1] for station in body.stations)
    start, stop = body.cabin
    edges = np.linspace(start, stop, 3)
    for near, far in pairwise(edges):
        glass = [
            (near + 0.06, body.belt + 0.02),
            (far - 0.06, body.belt + 0.02),
            (far - 0.06, tall),
            (near + 0.06, tall),
        ]
        polygon(paint, flat(glass, rows), (64, 56, 50))
        shine = [
            (near + 0.3, body.belt + 0.02),
            (near + 0.6, body.belt + 0.02),
            (near + 0.9, tall),
            (near + 0.7, tall),
        ]
        polygon(paint, flat(shine, rows), (104, 94, 86))


def _rail(paint: Image, body: Body, colour: Colour) -> None:
    """The frame above the windows."""
    line = [(float(s), float(h)) for s, h, _ in body.roofline()]
    below = [(s, h - 0.07) for s, h in reversed(line)]
    polygon(paint, flat(line + below, paint.shape[0]), dim(colour, 0.8))


def _wheels(paint: Image, solid: Grey, body: Body) -> None:
    for s in body.wheels:
        centre = flat([(s, body.radius)], paint.shape[0])[0]
        size = body.radius * PX_PER_M
        ellipse(paint, centre, (size * 1.2, size * 1.2), (16, 16, 16))
        ellipse(solid, centre, (size, size), (255,))
        for share, colour in (
            (0.98, (34, 33, 32)),
            (0.68, (150, 148, 146)),
            (0.60, (92, 90, 90)),
            (0.16, (170, 168, 166)),
        ):
            ellipse(paint, centre, (size * share, size * share), colour)
        for turn in np.arange(5) * 2 * np.pi / 5:
            tip = centre + size * 0.6 * np.array([np.cos(turn), np.sin(turn)])
            across = size * 0.08 * np.array([-np.sin(turn), np.cos(turn)])
            polygon(
                paint,
                [centre + across, tip + across, tip - across, centre - across],
                (168, 166, 164),
            )
