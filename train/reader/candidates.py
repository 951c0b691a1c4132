"""The networks that may become the reader, and how each wants its crops."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from plateid.core.text import CHARSET
from plateid.models.bundle import Bundle, ReaderSpec
from train.reader import easyocr_reader, network
from train.reader.fit import load_weights, loaded
from train.synth.layouts import regions
from train.train_error import TrainError

Name = Literal["plateid", "english_g2"]
SMALLEST = 1e-8
COUNTER = "num_batches_tracked"
"""Of training only: no bundle holds it."""
OF_REGIONS = "network.regions."
"""Begins the names of weights that a bundle lacks which tells no countries."""
HALF = "_half"
"""Ends the names of weights that a bundle stores in float16."""
KEPT = "_trained"
"""Ends the names of weights that a reader in 8 bits keeps, unused: training goes on from them."""


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
    """What is exported: probabilities in place of logits; those of the regions where wanted."""

    def __init__(self, network: nn.Module, *, regions: bool = True) -> None:
        """Wraps a `Candidate.network`."""
        super().__init__()
        self.network = network
        self.count = 2 if regions else 1

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """Reads crops."""
        logits = self.network(crops)[: self.count]
        return tuple(each.softmax(dim=-1) for each in logits if each is not None)


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


def load_base(chosen: Candidate, base: Path) -> None:
    """Starts from what another run kept, or from the reader of a bundle.

    Raises:
        TrainError: It is neither, or of another network.
        BundleError: The bundle is broken.
    """
    if not base.is_dir():
        load_weights(chosen.network, base)
        return
    bundle = Bundle(base)
    stored = {w.name: w for w in onnx.load_from_string(bundle.reader).graph.initializer}
    kept = {name.removesuffix(KEPT): w for name, w in stored.items() if name.endswith(KEPT)}
    weights = {
        name.removesuffix(HALF): torch.from_numpy(numpy_helper.to_array(weight).copy())
        for name, weight in (kept or stored).items()
    }
    network = Probabilities(chosen.network)
    wanted = {name for name in network.state_dict() if not name.endswith(COUNTER)}
    wanted -= {name for name in wanted - weights.keys() if name.startswith(OF_REGIONS)}
    if not wanted <= weights.keys():
        raise TrainError(f"{base}: its reader {bundle.spec.reader.name} is another network")
    try:
        network.load_state_dict({name: weights[name] for name in wanted}, strict=False)
    except RuntimeError as error:
        raise TrainError(f"{base}: of another network: {error}") from error


def average_with(chosen: Candidate, bases: Sequence[Path]) -> None:
    """Takes the mean of its weights and of what `load_base` would put there.

    After a long training, the mean with the weights that it began with may be better than either
    (Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022).
    """
    for count, base in enumerate(bases, 1):
        mean = {name: weight.clone() for name, weight in chosen.network.state_dict().items()}
        load_base(chosen, base)
        for name, weight in chosen.network.state_dict().items():
            if weight.is_floating_point():
                weight.lerp_(mean[name], count / (count + 1))


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
