"""Loads PlateNet's weights from checkpoints and bundles, and averages them."""

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from plateid.core.text import CHARSET
from plateid.models.bundle import Bundle, ReaderSpec
from train.reader.platenet import HEIGHT, WIDTH, PlateNet
from train.train_error import TrainError

MARGIN = 0.03
"""Margin of a crop, as a fraction of the box. The rectifier removes it where the box is too wide.
Tuned on held-out plates in the boxes of `default` and `accurate`."""
SPEC = ReaderSpec(
    file="reader.onnx", sha256="0" * 64, name="platenet", width=WIDTH, height=HEIGHT,
    colour="bgr", fit="stretch", margin_x=MARGIN, margin_y=MARGIN, charset=CHARSET,
)  # fmt: skip
"""How PlateNet takes its crops. The hash is a placeholder until a bundle has the file."""
SECTION = SPEC.model_dump(exclude={"file", "sha256", "name", "origin", "syntax"})
"""The same for `bundle.toml`. A bundle keeps the syntax that its labels taught."""
MODEL = "platenet"
"""Key of the averaged weights in a checkpoint."""
TRAINING_ONLY = "num_batches_tracked"
"""Suffix of batch-norm counters, which no bundle holds."""
RECTIFIER = "network.rectifier."
"""Prefix of weights that older bundles lack: their readers take each crop as it is."""
HALF = "_half"
"""Suffix of weights that a bundle stores in float16."""
KEPT = "_trained"
"""Suffix of the float weights in an INT8 reader. Inference ignores them; training starts there."""


class ExportedReader(nn.Module):
    """The network as it is exported: with probabilities instead of logits."""

    def __init__(self, network: PlateNet) -> None:
        """Wraps a network. The attribute's name is part of the weights' names in bundles."""
        super().__init__()
        self.network = network

    def forward(self, crops: Tensor) -> Tensor:
        """Returns probabilities, shape (N, steps, classes)."""
        logits, _ = self.network(crops)
        probabilities: Tensor = logits.softmax(dim=-1)
        return probabilities


def load_base(network: PlateNet, base: Path) -> None:
    """Loads a run's checkpoint or a bundle's reader; raises TrainError for another network."""
    if base.is_dir():
        _load_bundle(network, base)
    else:
        load_checkpoint(network, base)


def _load_bundle(network: PlateNet, folder: Path) -> None:
    bundle = Bundle(folder)
    stored = {w.name: w for w in onnx.load_from_string(bundle.reader).graph.initializer}
    kept = {name.removesuffix(KEPT): w for name, w in stored.items() if name.endswith(KEPT)}
    weights = {
        name.removesuffix(HALF): torch.from_numpy(numpy_helper.to_array(weight).copy())
        for name, weight in (kept or stored).items()
    }
    try:
        missing, _ = ExportedReader(network).load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise TrainError(f"{folder}: holds another network: {error}") from error
    if not all(n.endswith(TRAINING_ONLY) or n.startswith(RECTIFIER) for n in missing):
        raise TrainError(f"{folder}: its reader {bundle.spec.reader.name} is another network")


def load_checkpoint(network: nn.Module, checkpoint: Path) -> None:
    """Loads the weights that a run saved; raises TrainError if they are of another network."""
    try:
        network.load_state_dict(read_checkpoint(checkpoint)[MODEL])
    except RuntimeError as error:
        raise TrainError(f"{checkpoint}: holds another network: {error}") from error


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Reads what a run saved; raises TrainError if the file is missing, truncated or other."""
    try:
        saved: dict[str, Any] = torch.load(path, weights_only=True)
        if MODEL in saved:
            return saved
    except (OSError, RuntimeError, AttributeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0].partition(". ")[0]  # torch appends advice
        raise TrainError(f"{path}: not a checkpoint of a reader: {reason}") from error
    raise TrainError(f"{path}: not a checkpoint of a reader")


def average_with(network: PlateNet, others: Sequence[Path]) -> None:
    """Averages the network's weights with those of checkpoints or bundles, all counted equally.

    After a long training, the average with the weights before it may be better than either
    (Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022).
    """
    for count, other in enumerate(others, 1):
        average = {name: weight.clone() for name, weight in network.state_dict().items()}
        load_base(network, other)
        for name, weight in network.state_dict().items():
            if weight.is_floating_point():
                weight.lerp_(average[name], count / (count + 1))


def trained_reader(checkpoint: Path) -> PlateNet:
    """Returns the network that a run saved; raises TrainError as `load_checkpoint`."""
    network = PlateNet()
    load_checkpoint(network, checkpoint)
    return network
