"""Reads the text of plate crops with a CTC network."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from plateid.core.geometry import expanded, sharpness
from plateid.core.records import Box, Image, LazyImage, PlateRead
from plateid.core.taught_syntax import TaughtSyntax
from plateid.core.text import ctc_margins, ctc_positions, tempered
from plateid.models.bundle import ReaderSpec
from plateid.models.session import NetworkSession


class OnnxReader:
    """A plate reader that reads all boxes of an image in one inference; thread-safe."""

    def __init__(self, session: NetworkSession, spec: ReaderSpec) -> None:
        channels = 1 if spec.colour == "grey" else 3
        session.check_shapes(
            [None, channels, spec.height, spec.width], [None, None, 1 + len(spec.charset)]
        )
        self._session = session
        self._spec = spec
        self._syntax = TaughtSyntax(tuple(spec.syntax.items()))

    def read(self, image: LazyImage, boxes: Sequence[Box]) -> list[PlateRead]:
        """Returns a read for each box, without text if illegible; raises ModelError."""
        if not boxes:
            return []
        margins = {"x": self._spec.margin_x, "y": self._spec.margin_y}
        crops = [image.crop(expanded(box, **margins)) for box in boxes]
        batch = np.stack([to_reader_input(crop, self._spec) for crop in crops])
        return [
            PlateRead(
                tempered(ctc_positions(steps), self._spec.temperature),
                sharpness(crop),
                y2 - y1,
                ctc_margins(steps),
                self._syntax,
            )
            for steps, crop, (_, y1, _, y2) in zip(
                self._session.run(batch), crops, boxes, strict=True
            )
        ]


def to_reader_input(crop: Image, spec: ReaderSpec) -> NDArray[np.float32]:
    """Resizes a crop to float32 (C, H, W) in 0-255; "pad" repeats the last column like EasyOCR."""
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
