"""Draws plates into an image, and contact sheets of plates; encodes images as JPEG."""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from plateid.core.records import Image, Plate

FONT = cv2.FONT_HERSHEY_SIMPLEX
GREEN = (80, 200, 60)
AMBER = (40, 170, 250)
BLACK = (20, 20, 20)
HIGH_CONFIDENCE = 0.8
"""Minimum confidence (0-1) at which a plate is drawn in green instead of amber."""
CELL, LINE = (200, 72), 18
"""Width and height of a plate on a contact sheet, and height of a line of text, pixels."""
COLUMNS = 8
"""Plates in a row of a contact sheet."""


def encode_jpeg(image: Image, quality: int) -> bytes:
    """Returns a BGR image, shape (H, W, 3), as JPEG of a quality from 0 to 100."""
    return bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])


def draw_plates(image: Image, plates: Iterable[Plate]) -> None:
    """Draws each plate's box and label into `image`."""
    for plate in plates:
        _draw(image, plate)


def _draw(image: Image, plate: Plate) -> None:
    scale = max(0.5, image.shape[1] / 1600)
    stroke = max(1, round(2 * scale))
    colour = GREEN if plate.confidence >= HIGH_CONFIDENCE else AMBER
    x1, y1, x2, y2 = (round(value) for value in plate.box)
    cv2.rectangle(image, (x1, y1), (x2, y2), colour, stroke, cv2.LINE_AA)
    label = f"{plate.text} {plate.confidence:.0%}" if plate.text else "unreadable"
    (width, height), baseline = cv2.getTextSize(label, FONT, scale, stroke)
    bottom = y1 if y1 > height + 2 * baseline else y2 + height + 2 * baseline
    left = max(0, min(x1, image.shape[1] - width))
    top_left, bottom_right = (left, bottom - height - 2 * baseline), (left + width, bottom)
    cv2.rectangle(image, top_left, bottom_right, colour, cv2.FILLED)
    origin = (left, bottom - baseline)
    cv2.putText(image, label, origin, FONT, scale, BLACK, stroke, cv2.LINE_AA)


def contact_sheet(plates: Iterable[tuple[Image, Sequence[str]]]) -> Image:
    """Returns a grid of plates, scaled to fit, with as many lines of text below each of them."""
    cells = [_cell(image, lines) for image, lines in plates]
    cells += [np.zeros_like(cells[0])] * (-len(cells) % COLUMNS)
    return np.vstack([np.hstack(cells[i : i + COLUMNS]) for i in range(0, len(cells), COLUMNS)])


def _cell(image: Image, lines: Sequence[str]) -> Image:
    width, height = CELL
    cell = np.zeros((height + LINE * len(lines), width, 3), np.uint8)
    scale = min(width / image.shape[1], height / image.shape[0])
    size = [max(1, round(side * scale)) for side in (image.shape[1], image.shape[0])]
    cell[: size[1], : size[0]] = cv2.resize(image, size)
    for number, line in enumerate(lines, 1):
        at = (2, height + LINE * number - 5)
        cv2.putText(cell, line, at, FONT, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
    return cell
