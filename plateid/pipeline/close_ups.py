"""Finds plates of a sub-stream's frame in the image of the main stream."""

from collections.abc import Callable, Sequence

from plateid.core.close_up import CloseUp
from plateid.core.geometry import centre, expanded, moved
from plateid.core.records import Box, Detection

SEARCH_X, SEARCH_Y = 3.0, 8.0
"""Margins around the expected place that are searched, plate widths and heights: the vehicle moves
on while the offset of the clocks is not exact."""
MAX_RATIO = 1.8
"""Maximum ratio between the expected width and that found; a sub-stream's box is a few pixels."""


def find_plate(
    detect: Callable[..., list[Detection]], close_up: CloseUp, boxes: Sequence[Box]
) -> Box | None:
    """Returns the box in the close-up of the first of `boxes`, all plates of the frame, or None."""
    expected = close_up.place(boxes[0])
    x1, y1, x2, y2 = expanded(expected, x=SEARCH_X, y=SEARCH_Y)
    left, top = (max(0, int(at)) & ~1 for at in (x1, y1))
    right, bottom = (
        min(int(x2), close_up.image.width) & ~1,
        min(int(y2), close_up.image.height) & ~1,
    )
    if right <= left or bottom <= top:
        return None
    found = detect(close_up.image.part((left, top, right, bottom)), enlarges=True)
    places = [close_up.place(box) for box in boxes]
    alike = []
    for each in found:
        box = moved(each.box, left, top)
        ratio = (box[2] - box[0]) / (expected[2] - expected[0])
        if 1 / MAX_RATIO < ratio < MAX_RATIO and _nearest(box, places) == expected:
            alike.append(box)
    return _nearest(expected, alike) if alike else None


def _nearest(box: Box, boxes: Sequence[Box]) -> Box:
    x, y = centre(box)
    return min(boxes, key=lambda each: (centre(each)[0] - x) ** 2 + (centre(each)[1] - y) ** 2)
