"""EasyOCR's recogniser, not fine-tuned on plates: slow, and less accurate than the bundle's reader.

It needs the extra `easyocr`, which installs torch.
"""

import os
import statistics
import timeit
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from plateid.config.models import ModelsConfig
from plateid.core.geometry import sharpness
from plateid.core.records import Box, Image, LazyImage, PlateRead
from plateid.core.text import BLANK, CHARSET, ctc_positions
from plateid.errors import ModelError, needs_extra

NAME = "easyocr english_g2"
HEIGHT, MIN_WIDTH, MAX_WIDTH = 64, 64, 1024
"""Input size in pixels; the width follows the crop's aspect ratio within the limits."""


class EasyOcrReader:
    """A plate reader with EasyOCR's `english_g2`; thread-safe."""

    def __init__(self, config: ModelsConfig) -> None:
        """Loads the recogniser on the CPU; raises ModelError without EasyOCR or its weights."""
        folder, cache = config.easyocr_folder, os.environ.get("CACHE_DIRECTORY")
        if folder is not None and not folder.is_dir():
            raise ModelError("models.easyocr_folder", f"{folder}: No such directory")
        try:
            import easyocr  # noqa: PLC0415 - an extra
            import torch  # noqa: PLC0415 - as above
        except ImportError as error:
            reason = f"{needs_extra('easyocr')} ({error})"
            raise ModelError('models.reader = "easyocr"', reason) from error
        own_folder = f"{cache.split(':')[0]}/easyocr" if cache else None
        try:
            reader = easyocr.Reader(
                ["en"],
                gpu=False,
                quantize=False,
                detector=False,
                verbose=False,
                model_storage_directory=str(folder) if folder else own_folder,
                user_network_directory=own_folder,  # EasyOCR creates it though it is not used
                download_enabled=folder is None,
            )
        except (OSError, AssertionError) as error:  # missing, damaged, or not downloaded
            raise ModelError(NAME, f"has no weights: {error}") from error
        torch.set_num_threads(config.threads)
        self._torch = torch
        self._network = reader.recognizer.eval()
        characters = reader.converter.character
        self._allowed = [BLANK, *(characters.index(character) for character in CHARSET)]

    def read(self, image: LazyImage, boxes: Sequence[Box]) -> list[PlateRead]:
        """Returns one read for each box, in order; raises ModelError if the network fails."""
        crops = [image.crop(box) for box in boxes]
        return [
            PlateRead(ctc_positions(self._steps(crop)), sharpness(crop), y2 - y1)
            for crop, (_, y1, _, y2) in zip(crops, boxes, strict=True)
        ]

    def probe(self, *, runs: int = 1) -> float:
        """Reads a black crop; returns the median milliseconds of one inference."""
        black = np.zeros((HEIGHT, 4 * HEIGHT, 3), np.uint8)
        times_s = timeit.repeat(lambda: self._steps(black), number=1, repeat=runs)
        return 1000 * statistics.median(times_s)

    def _steps(self, crop: Image) -> NDArray[np.float32]:
        """Returns CTC probabilities (T, 1 + len(CHARSET)) of the blank and the charset only."""
        inputs = self._torch.from_numpy(_to_input(crop)[None, None])
        try:
            with self._torch.inference_mode():
                logits = self._network(inputs, "")[0]
        except RuntimeError as error:
            raise ModelError(NAME, f"inference failed: {error}") from error
        kept = self._torch.softmax(logits[:, self._allowed], dim=1).numpy()
        if not np.isfinite(kept).all():
            raise ModelError(NAME, "its output has numbers that are not finite")
        return np.asarray(kept, dtype=np.float32)


def _to_input(crop: Image) -> NDArray[np.float32]:
    """Converts a crop to grey float32 (HEIGHT, W) in -1 to 1, keeping its aspect ratio."""
    height, width = crop.shape[:2]
    wanted = min(max(MIN_WIDTH, round(HEIGHT * width / height)), MAX_WIDTH)
    grey = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
    scaled = cv2.resize(grey, (wanted, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return np.asarray(scaled, dtype=np.float32) / 127.5 - 1.0
