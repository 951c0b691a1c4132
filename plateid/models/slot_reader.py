"""Reads plates with a network of fast-plate-ocr: a softmax for each character position (slot)."""

from collections.abc import Sequence
from typing import Annotated, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from plateid.config.section import Section
from plateid.core.geometry import PADDING, Letterbox, sharpness
from plateid.core.records import Box, Image, LazyImage, PlateRead
from plateid.core.text import BLANK, CHARSET, tempered
from plateid.models.bundle import Pixels, ReaderSpec
from plateid.models.session import NetworkSession

Level = Annotated[int, Field(ge=0, le=255)]


class PlateConfig(Section):
    """The content of a `*_config.yaml` of fast-plate-ocr 1.1, with its defaults."""

    max_plate_slots: int = Field(ge=1, le=64)
    alphabet: str
    pad_char: str
    img_height: Pixels
    img_width: Pixels
    keep_aspect_ratio: bool = False
    interpolation: Literal["nearest", "linear", "cubic", "area", "lanczos4"] = "linear"
    image_color_mode: Literal["grayscale", "rgb"] = "grayscale"
    padding_color: tuple[Level, Level, Level] | Level = PADDING
    plate_regions: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _check_alphabet(self) -> "PlateConfig":
        if other := " ".join(sorted(set(self.alphabet) - set(CHARSET) - {self.pad_char})):
            raise ValueError(f"alphabet: plateid publishes A-Z and 0-9 only, not {other}")
        if len(set(self.alphabet)) < len(self.alphabet) or self.pad_char not in self.alphabet:
            raise ValueError("alphabet: must have pad_char, and each character once")
        return self

    @property
    def channels(self) -> int:
        """Number of colours of the input."""
        return 3 if self.image_color_mode == "rgb" else 1

    def to_input(self, crop: Image) -> NDArray[np.uint8]:
        """Resizes a BGR crop to uint8 (H, W, channels) as fast-plate-ocr does."""
        size, colours = (self.img_width, self.img_height), self.channels
        at = Letterbox(1.0, 0, 0, *size)
        if self.keep_aspect_ratio:
            at = Letterbox.fit((crop.shape[1], crop.shape[0]), size, enlarges=True)
        pixels = cv2.cvtColor(crop, cv2.COLOR_BGR2RGB if colours > 1 else cv2.COLOR_BGR2GRAY)
        method = getattr(cv2, f"INTER_{self.interpolation.upper()}")
        scaled = cv2.resize(pixels, (at.width, at.height), interpolation=method)
        canvas = np.empty((*size[::-1], colours), np.uint8)
        canvas[:] = np.ravel(self.padding_color)[:colours]
        placed = scaled.reshape(at.height, at.width, colours)
        canvas[at.top : at.top + at.height, at.left : at.left + at.width] = placed
        return canvas


class SlotSpec(ReaderSpec):
    """A reader of fast-plate-ocr; `output` is the number of the output with its slots."""

    plate: PlateConfig
    output: int


class SlotReader:
    """A plate reader with a network of fast-plate-ocr; thread-safe."""

    def __init__(self, session: NetworkSession, spec: SlotSpec) -> None:
        session.output = spec.output
        self._session = session
        self._spec = spec

    def read(self, image: LazyImage, boxes: Sequence[Box]) -> list[PlateRead]:
        """Returns a read for each box, with a position for each slot; raises ModelError."""
        crops = [image.crop(box) for box in boxes]
        return [
            PlateRead(tempered(positions, self._spec.temperature), sharpness(crop), y2 - y1)
            for positions, crop, (_, y1, _, y2) in zip(
                self._positions(crops), crops, boxes, strict=True
            )
        ]

    def _positions(self, crops: Sequence[Image]) -> NDArray[np.float32]:
        """Returns probabilities (N, slots, 1 + len(CHARSET)); the pad character is the blank."""
        plate = self._spec.plate
        positions = np.zeros((len(crops), plate.max_plate_slots, 1 + len(CHARSET)), np.float32)
        columns = [BLANK if c == plate.pad_char else 1 + CHARSET.index(c) for c in plate.alphabet]
        if crops:
            output = self._session.run(np.stack([plate.to_input(crop) for crop in crops]))
            positions[:, :, columns] = output.reshape(*positions.shape[:2], len(columns))
        return positions
