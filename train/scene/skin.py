"""Paints the skin of a car: bumper, lamps, grille or tailgate, and glass."""

import cv2
import numpy as np

from train.scene.body import Body
from train.scene.draw import Colour, dim, ellipse
from train.scene.sheet import DARK, GLASS, PX_PER_M, Sheet, band, blank_sheet


def paint_skin(body: Body, colour: Colour) -> Sheet:
    """The whole sheet of a car."""
    sheet = blank_sheet(body, colour)
    _glass(sheet, colour)
    if body.end == "front":
        _front(sheet, colour)
    else:
        _rear(sheet, colour)
    return sheet


def _glass(sheet: Sheet, colour: Colour) -> None:
    """Windscreen or rear window with pillars, reflections and whoever sits behind it."""
    low, high = sheet.body.glass
    tall = high - low
    sheet.fill(band(0.985, low - 0.02, high + 0.015), dim(colour, 0.42))
    sheet.fill(band(0.95, low, high), GLASS)
    for step in np.linspace(0, 1, 24):
        sheet.fill(band(0.95, low + tall * step, high), dim(GLASS, 0.75 + 1.15 * step**1.6))
    for across in (-0.46, 0.46):
        sheet.fill(
            [
                (across - 0.24, low),
                (across + 0.24, low),
                (across + 0.2, low + tall * 0.42),
                (across - 0.2, low + tall * 0.42),
            ],
            (40, 36, 33),
        )
        head = sheet.place([(across, low + tall * 0.56)])[0]
        ellipse(sheet.paint, head, (0.085 * PX_PER_M, 0.13 * PX_PER_M), (42, 38, 36))
    for left in (-0.72, -0.5, 0.22):
        sheet.fill(
            [(left, low), (left + 0.1, low), (left + 0.36, high), (left + 0.26, high)], (92, 82, 74)
        )
    sheet.fill(band(0.95, low, low + 0.02), DARK)


def _front(sheet: Sheet, colour: Colour) -> None:
    body, hood = sheet.body, sheet.body.lamps + 0.10
    edge = body.glass[0] - 0.03
    sheet.both([(0.58, hood), (0.61, hood), (0.70, edge), (0.68, edge)], dim(colour, 0.8))
    sheet.fill(band(0.80, hood - 0.008, hood + 0.004), dim(colour, 0.3))
    _grille(sheet, body.lamps)
    _headlamps(sheet, body.lamps)
    _intake(sheet, body.stations[0][1])
    sheet.fill(band(0.97, body.stations[0][1], body.stations[0][1] + 0.016), dim(colour, 0.25))
    _wipers(sheet)


def _headlamps(sheet: Sheet, top: float) -> None:
    glass = [(0.50, top - 0.045), (0.98, top - 0.01), (0.985, top + 0.085), (0.60, top + 0.05)]
    sheet.both(glass, (52, 50, 50))
    sheet.spot((0.80, top + 0.018), 0.055, paint=(236, 236, 232), light=(250, 252, 255))
    sheet.spot((0.63, top + 0.003), 0.038, paint=(206, 206, 202), light=(170, 180, 190))
    strip = [(0.53, top - 0.04), (0.97, top - 0.005), (0.97, top + 0.008), (0.53, top - 0.026)]
    sheet.both(strip, (236, 236, 236))


def _intake(sheet: Sheet, low: float) -> None:
    """The opening in the bumper and the fog lamps beside it."""
    sheet.fill(band(0.66, low + 0.02, low + 0.13, 0.06), DARK)
    for step in (0.045, 0.075, 0.105):
        sheet.fill(band(0.62, low + step, low + step + 0.008), (62, 60, 58))
    sheet.both(
        [(0.70, low + 0.08), (0.93, low + 0.10), (0.93, low + 0.19), (0.74, low + 0.17)], DARK
    )
    sheet.spot((0.82, low + 0.135), 0.035, paint=(170, 170, 168), light=(0, 0, 0))


def _grille(sheet: Sheet, top: float) -> None:
    """Chrome frame, slats and a badge."""
    low, high = max(top - 0.15, sheet.body.plate + 0.075), top + 0.07
    sheet.fill(band(0.49, low, high, -0.02), (176, 174, 172))
    sheet.fill(band(0.475, low + 0.012, high - 0.012, -0.02), DARK)
    for height in np.arange(low + 0.03, high - 0.02, 0.03):
        sheet.fill(band(0.47, float(height), float(height) + 0.009, -0.004), (84, 82, 80))
    badge = sheet.place([(0.0, (low + high) / 2 + 0.01)])[0]
    ellipse(sheet.paint, badge, (24, 24), (196, 194, 192))
    ellipse(sheet.paint, badge, (18, 18), (70, 62, 58))
    ellipse(sheet.paint, badge, (8, 18), (190, 188, 186))


def _wipers(sheet: Sheet) -> None:
    low = sheet.body.glass[0]
    for left in (-0.62, 0.02):
        ends = sheet.place([(left, low + 0.01), (left + 0.62, low + 0.05)])
        cv2.line(
            sheet.paint,
            ends[0].astype(int).tolist(),
            ends[1].astype(int).tolist(),
            (20, 20, 20),
            4,
            cv2.LINE_AA,
        )


def _rear(sheet: Sheet, colour: Colour) -> None:
    body = sheet.body
    low, step, shelf = body.stations[0][1], body.stations[2][1], body.glass[0] - 0.02
    sheet.fill(band(0.80, step + 0.035, step + 0.045), dim(colour, 0.3))
    gap = [(0.78, step + 0.04), (0.795, step + 0.04), (0.80, shelf), (0.785, shelf)]
    sheet.both(gap, dim(colour, 0.35))
    _tail_lamps(sheet, body.lamps)
    sheet.fill(_recess(body), dim(colour, 0.55))
    badge = sheet.place([(0.0, body.plate + 0.14)])[0]
    ellipse(sheet.paint, badge, (22, 22), (200, 198, 196))
    ellipse(sheet.paint, badge, (15, 15), (84, 78, 74))
    sheet.fill(band(0.90, low, low + 0.085), DARK)
    reflector = [(0.72, low + 0.12), (0.92, low + 0.12), (0.92, low + 0.15), (0.72, low + 0.15)]
    sheet.both(reflector, (30, 24, 150))
    sheet.fill(band(0.93, step - 0.02, step - 0.012), dim(colour, 1.2))
    _heater(sheet)


def _tail_lamps(sheet: Sheet, at: float) -> None:
    glass = [(0.66, at - 0.085), (0.985, at - 0.06), (0.99, at + 0.13), (0.72, at + 0.11)]
    sheet.both(glass, (24, 18, 130), light=(16, 12, 110))
    bulb = [(0.74, at - 0.05), (0.95, at - 0.035), (0.95, at + 0.03), (0.76, at + 0.02)]
    sheet.both(bulb, (48, 36, 206), light=(60, 50, 255))
    white = [(0.77, at + 0.045), (0.95, at + 0.055), (0.95, at + 0.09), (0.78, at + 0.08)]
    sheet.both(white, (196, 200, 226))


def _recess(body: Body) -> list[tuple[float, float]]:
    half = 0.30 / body.half_width
    return [
        (-half, body.plate - 0.085),
        (half, body.plate - 0.085),
        (half * 0.94, body.plate + 0.085),
        (-half * 0.94, body.plate + 0.085),
    ]


def _heater(sheet: Sheet) -> None:
    """The wires in the rear window, its wiper and the brake lamp above it."""
    low, high = sheet.body.glass
    for share in np.linspace(0.15, 0.85, 8):
        height = low + (high - low) * float(share)
        sheet.fill(band(0.86, height, height + 0.004), (70, 62, 58))
    sheet.fill([(-0.03, low), (0.03, low), (0.50, low + 0.05), (0.49, low + 0.065)], (22, 22, 22))
    lamp = band(0.2, high + 0.025, high + 0.045)
    sheet.fill(lamp, (36, 28, 150), light=(40, 34, 200))
