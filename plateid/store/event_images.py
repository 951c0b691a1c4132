"""Reads the snapshot of an event, and locates the event's plate in it."""

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from plateid.core.geometry import clipped, scaled
from plateid.core.records import Box, Image
from plateid.store.snapshot_files import SnapshotFiles

NAME = re.compile(r"\d{4}/\d\d/\d\d/[0-9a-f-]{36}(?P<hidden>-hidden)?\.jpg")
"""Relative path of a snapshot; `-hidden` marks one whose plate is blurred."""


def snapshot_file(store: Path, event: dict[str, Any], *, legible: bool = False) -> Path | None:
    """Returns the snapshot file of an event; None if it was deleted or the event has none.

    With `legible`, snapshots with a blurred plate count as none. The name comes from the event's
    JSON: names of another form are ignored, so that an altered store cannot name other files.
    """
    match = NAME.fullmatch(str((event.get("snapshot") or {}).get("file", "")))
    if match is None or (legible and match["hidden"]):
        return None
    file = SnapshotFiles(store).folder / match[0]
    return file if file.is_file() else None


def read_image(file: Path) -> Image | None:
    """Returns the image of a file; None if it is gone or damaged."""
    try:
        data = np.frombuffer(file.read_bytes(), np.uint8)
    except OSError:
        return None
    image: Image | None = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    return image


def plate_box(image: Image, event: dict[str, Any]) -> Box:
    """Returns the event's box in pixels of its snapshot, which may be smaller than the frame."""
    height, width = image.shape[:2]
    frame = event["snapshot"].get("frame") or (width, height)
    return clipped(scaled(event["box"], width / frame[0], height / frame[1]), image)
