"""The pictures of events, as the page and the labels use them."""

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from plateid.core.geometry import expanded
from plateid.core.records import Box, Image
from plateid.web.live import jpeg

NAME = re.compile(r"\d{4}/\d\d/\d\d/[0-9a-f-]{36}\.jpg")
HIDDEN = re.compile(r"\d{4}/\d\d/\d\d/[0-9a-f-]{36}-hidden\.jpg")
"""Of one that shows no plate."""
MARGIN_X, MARGIN_Y = 0.25, 0.6
CROP_HEIGHT = 160


def folder(store: Path) -> Path:
    """Where they are: beside the store."""
    return store.with_name(f"{store.stem}-snapshots")


def file_of(store: Path, event: dict[str, Any], *, legible: bool = False) -> Path | None:
    """The picture of an event, if it is still there; with `legible`, only one that shows plates.

    What an event says is no path before it looks like one of ours.
    """
    name = str((event.get("snapshot") or {}).get("file", ""))
    if not (NAME.fullmatch(name) or (not legible and HIDDEN.fullmatch(name))):
        return None
    file = folder(store) / name
    return file if file.is_file() else None


def read_image(file: Path) -> Image | None:
    """None where it is gone or damaged."""
    try:
        data = np.frombuffer(file.read_bytes(), np.uint8)
    except OSError:
        return None
    image: Image | None = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    return image


def box_in(image: Image, event: dict[str, Any]) -> Box:
    """The event's box in pixels of its picture, which may be smaller than the camera's frame."""
    height, width = image.shape[:2]
    frame = (event["snapshot"] or {}).get("frame") or (width, height)
    sx, sy = width / frame[0], height / frame[1]
    x1, y1, x2, y2 = event["box"]
    return clipped((x1 * sx, y1 * sy, x2 * sx, y2 * sy), image)


def clipped(box: Box, image: Image) -> Box:
    """The part of a box that is in the picture; at least one pixel."""
    height, width = image.shape[:2]
    x1, x2 = sorted(min(max(x, 0.0), float(width)) for x in (box[0], box[2]))
    y1, y2 = sorted(min(max(y, 0.0), float(height)) for y in (box[1], box[3]))
    x1, y1 = min(x1, width - 1.0), min(y1, height - 1.0)
    return x1, y1, max(x2, x1 + 1.0), max(y2, y1 + 1.0)


def crop_jpeg(image: Image, box: Box) -> bytes:
    """The plate with some of what is around it, enlarged."""
    x1, y1, x2, y2 = (round(v) for v in clipped(expanded(box, x=MARGIN_X, y=MARGIN_Y), image))
    crop = image[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)]
    scale = max(1.0, CROP_HEIGHT / crop.shape[0])
    return jpeg(cv2.resize(crop, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), 90)
