"""The networks that may become the reader, and how each wants its crops."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor, nn

from plateid.core.text import CHARSET
from plateid.models.bundle import ReaderSpec
from train.errors import TrainError
from train.reader import easyocr_reader, network
from train.reader.fit import load_weights, loaded
from train.synth.layouts import regions

Name = Literal["plateid", "english_g2"]
SMALLEST = 1e-8


@dataclass(frozen=True, eq=False)
class Candidate:
    """A network and what belongs to it.

    Attributes:
        network: Crops to logits of the steps, and to those of the regions or None.
        spec: How crops are cut out and fitted in; its file and hash are those of no bundle.
        regions: Countries that it tells apart; the first is any other.
        two_lines: Whether it reads plates of two lines.
    """

    network: nn.Module
    spec: ReaderSpec
    regions: tuple[str, ...]
    two_lines: bool


class Logits(nn.Module):
    """EasyOCR's recogniser, seen as `Candidate.network`."""

    def __init__(self, recogniser: easyocr_reader.PlateRecogniser) -> None:
        """Wraps it."""
        super().__init__()
        self.recogniser = recogniser

    def forward(self, crops: Tensor) -> tuple[Tensor, None]:
        """Logarithms of its probabilities."""
        return self.recogniser(crops).float().clamp_min(SMALLEST).log(), None


class Probabilities(nn.Module):
    """What is exported: probabilities in place of logits; those of the regions where there are."""

    def __init__(self, network: nn.Module) -> None:
        """Wraps a `Candidate.network`."""
        super().__init__()
        self.network = network

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """Reads crops."""
        return tuple(each.softmax(dim=-1) for each in self.network(crops) if each is not None)


def candidate(name: Name, easyocr: Path | None) -> Candidate:
    """The untrained network of plateid, or EasyOCR's with its own weights.

    Args:
        name: Which.
        easyocr: Folder of EasyOCR's weights; None: its own download.
    """
    if name == "english_g2":
        spec = _spec(name, easyocr_reader.WIDTH, easyocr_reader.HEIGHT, colour="grey", fit="pad")
        return Candidate(Logits(easyocr_reader.load(easyocr)), spec, (), two_lines=False)
    countries = ("", *regions())
    spec = _spec(name, network.WIDTH, network.HEIGHT, colour="bgr", fit="stretch")
    return Candidate(network.PlateNet(len(countries)), spec, countries, two_lines=True)


def trained(checkpoint: Path, easyocr: Path | None) -> Candidate:
    """The network of a run, with the weights that it kept.

    Raises:
        TrainError: The file is no checkpoint of a reader.
    """
    about = loaded(checkpoint)["about"]
    chosen = candidate(about["network"], easyocr)
    if list(chosen.regions) != about["regions"]:
        raise TrainError(f"{checkpoint}: tells other countries apart than this version of plateid")
    load_weights(chosen.network, checkpoint)
    return chosen


def _spec(
    name: str,
    width: int,
    height: int,
    *,
    colour: Literal["grey", "bgr"],
    fit: Literal["pad", "stretch"],
) -> ReaderSpec:
    return ReaderSpec(
        file="reader.onnx", sha256="0" * 64, name=name, width=width, height=height,
        colour=colour, fit=fit, margin_x=0, margin_y=0, charset=CHARSET,
    )  # fmt: skip
