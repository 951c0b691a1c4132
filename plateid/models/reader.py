"""Reads the text of plate crops with a CTC network."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from plateid.core.geometry import expanded, sharpness
from plateid.core.records import Box, Image, LazyImage, PlateRead
from plateid.core.text import ctc_slots, tempered
from plateid.models.bundle import ReaderSpec
from plateid.models.session import Session


class OnnxReader:
    """Reads the boxes of one picture in one inference; may be shared between threads."""

    def __init__(self, session: Session, spec: ReaderSpec) -> None:
        """Checks that the network is what the bundle says."""
        channels = 1 if spec.colour == "grey" else 3
        regions = [[None, len(spec.regions)]] if spec.regions else []
        session.check_shapes(
            [None, channels, spec.height, spec.width],
            [None, None, 1 + len(spec.charset)],
            *regions,
        )
        self._session = session
        self._spec = spec

    def read(self, image: LazyImage, boxes: Sequence[Box]) -> list[PlateRead]:
        """One read for each box, in order; where nothing is legible its slots hold no text.

        Raises:
            ModelError: The network failed.
        """
        if not boxes:
            return []
        margins = {"x": self._spec.margin_x, "y": self._spec.margin_y}
        crops = [image.crop(expanded(box, **margins)) for box in boxes]
        outputs = self._session.outputs(np.stack([fitted(crop, self._spec) for crop in crops]))
        slots = [tempered(ctc_slots(steps), self._spec.temperature) for steps in outputs[0]]
        regions = outputs[1] if self._spec.regions else np.empty((len(boxes), 0), np.float32)
        return [
            PlateRead(read, sharpness(crop), y2 - y1, self._by_code(row))
            for read, row, crop, (_, y1, _, y2) in zip(slots, regions, crops, boxes, strict=True)
        ]

    def _by_code(self, row: NDArray[np.float32]) -> dict[str, float]:
        return dict(zip(self._spec.regions, row.tolist(), strict=True))


def fitted(crop: Image, spec: ReaderSpec) -> NDArray[np.float32]:
    """The crop as input, shape (C, H, W); "pad" repeats the last column, as EasyOCR does."""
    pixels: NDArray[np.uint8] = crop
    if spec.colour == "grey":
        pixels = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)[:, :, None]
    filled = spec.width
    if spec.fit == "pad":
        filled = min(spec.width, max(1, round(pixels.shape[1] * spec.height / pixels.shape[0])))
    scaled = cv2.resize(pixels, (filled, spec.height), interpolation=cv2.INTER_CUBIC)
    columns: NDArray[np.uint8] = scaled.reshape(spec.height, filled, -1)
    if filled < spec.width:
        columns = np.pad(columns, ((0, 0), (0, spec.width - filled), (0, 0)), mode="edge")
    return columns.transpose(2, 0, 1).astype(np.float32)
