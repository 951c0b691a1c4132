"""The mean of some detectors' weights, which may be better than any of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn

from plateid.models.bundle import Bundle
from train.detector.restore import Weights, before_silu, weights
from train.detector.ultralytics_training import load_fused
from train.train_error import TrainError


def average_with(network: nn.Module, others: Sequence[Path]) -> None:
    """Makes the weights of a fused network the mean of its own and of others'.

    After a training, the mean with what it began with may be better than either (Wortsman et al.,
    Robust fine-tuning of zero-shot models, CVPR 2022).

    Args:
        network: A detector of ultralytics, fused.
        others: Weights, or folders of bundles.

    Raises:
        TrainError: One is no detector, or another network.
        PlateidError: A bundle is broken.
    """
    modules = _convolutions(network)
    ours = {name: tuple(module.weight.shape) for name, module in modules.items()}, _silu(network)
    for count, other in enumerate(others, 1):
        found, silu = _of_bundle(other) if other.is_dir() else _of_file(other)
        if ours != ({name: kernel.shape for name, (kernel, _) in found.items()}, silu):
            raise TrainError(f"--mean {other}: its detector is another network")
        for name, module in modules.items():
            for mine, theirs in zip((module.weight, module.bias), found[name], strict=True):
                mine.data.lerp_(torch.from_numpy(theirs.copy()), 1 / (count + 1))


def _convolutions(network: nn.Module) -> dict[str, Any]:
    """Those that have a bias; the one that has none sums up the DFL."""
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and module.bias is not None
    }


def _silu(network: nn.Module) -> set[str]:
    """Which of them a SiLU follows."""
    blocks = network.named_modules()
    return {f"{n}.conv" for n, block in blocks if isinstance(getattr(block, "act", None), nn.SiLU)}


def _of_bundle(folder: Path) -> tuple[Weights, set[str]]:
    graph = onnx.load_from_string(Bundle(folder).detector).graph
    return weights(graph), set(before_silu(graph))


def _of_file(path: Path) -> tuple[Weights, set[str]]:
    network = load_fused(str(path))
    found = {
        name: (module.weight.detach().numpy(), module.bias.detach().numpy())
        for name, module in _convolutions(network).items()
    }
    return found, _silu(network)
