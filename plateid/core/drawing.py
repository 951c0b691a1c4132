"""Boxes and texts on a picture, for people."""

import cv2

from plateid.core.records import Box, Image

FONT = cv2.FONT_HERSHEY_SIMPLEX
GREEN = (80, 200, 60)
AMBER = (40, 170, 250)
BLACK = (20, 20, 20)
SURE = 0.8


def draw_plate(image: Image, box: Box, plate: str, confidence: float) -> None:
    """Draws a box and its label: green for a sure reading, amber for a doubtful one."""
    size = max(0.5, image.shape[1] / 1600)
    colour = GREEN if confidence >= SURE else AMBER
    x1, y1, x2, y2 = (round(value) for value in box)
    cv2.rectangle(image, (x1, y1), (x2, y2), colour, max(1, round(2 * size)), cv2.LINE_AA)
    label = f"{plate} {confidence:.0%}" if plate else "unreadable"
    (width, height), baseline = cv2.getTextSize(label, FONT, size, max(1, round(2 * size)))
    bottom = y1 if y1 > height + 2 * baseline else y2 + height + 2 * baseline
    left = max(0, min(x1, image.shape[1] - width))
    cv2.rectangle(
        image, (left, bottom - height - 2 * baseline), (left + width, bottom), colour, cv2.FILLED
    )
    cv2.putText(
        image,
        label,
        (left, bottom - baseline),
        FONT,
        size,
        BLACK,
        max(1, round(2 * size)),
        cv2.LINE_AA,
    )
