"""EasyOCR's `english_g2` recogniser as a plate reader in ONNX, without any plate training.

The exported graph takes grey crops and gives CTC steps over plateid's charset: lower case is folded
into upper case, every other character is left out, and what remains is brought back to a sum of 1,
as EasyOCR's allow-list does.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from plateid.core.text import CHARSET
from plateid.models.easyocr import load_english_g2
from train.train_error import TrainError

HEIGHT, WIDTH = 64, 256


class MeanOfLast(nn.Module):
    """What EasyOCR's `AdaptiveAvgPool2d((None, 1))` does, in a form that ONNX knows."""

    def forward(self, features: Tensor) -> Tensor:
        """Averages over the last axis and keeps it."""
        return features.mean(dim=-1, keepdim=True)


class PlateRecogniser(nn.Module):
    """Shape (N, 1, HEIGHT, WIDTH), 0 to 255, to probabilities, shape (N, T, 1 + len(CHARSET))."""

    def __init__(self, recogniser: nn.Module, characters: list[str]) -> None:
        """Takes a recogniser whose class 0 is the CTC blank and class i `characters[i]`."""
        super().__init__()
        recogniser.AdaptiveAvgPool = MeanOfLast()
        self.recogniser = recogniser
        fold = torch.zeros(len(characters), 1 + len(CHARSET))
        fold[0, 0] = 1.0
        for row, character in enumerate(characters[1:], 1):
            if character.upper() in CHARSET:
                fold[row, 1 + CHARSET.index(character.upper())] = 1.0
        self.register_buffer("fold", fold)

    def forward(self, crops: Tensor) -> Tensor:
        """Reads crops."""
        logits = self.recogniser(crops / 127.5 - 1.0, "")
        kept = torch.softmax(logits, dim=2) @ self.fold
        return kept / kept.sum(dim=2, keepdim=True)


def load(folder: Path | None) -> PlateRecogniser:
    """The pretrained recogniser.

    Args:
        folder: Where `english_g2.pth` lies; None: EasyOCR's own folder and download.

    Raises:
        TrainError: There is no such folder, which EasyOCR would make.
        ModelError: It is not there, altered, or cannot be fetched.
    """
    if folder is not None and not folder.is_dir():
        raise TrainError(f"--easyocr {folder}: No such directory")
    reader = load_english_g2(folder)
    return PlateRecogniser(reader.recognizer, reader.converter.character).eval()
