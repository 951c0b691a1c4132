"""Averages the weights of detectors (model soup): the result may be better than each of them.

After fine-tuning, an average with the weights before it is more robust
(Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from ultralytics.nn.modules.head import Detect

from train.detector.onnx_weights import read_detector
from train.detector.yolo_weights import load_fused
from train.train_error import TrainError


def trained_detector(weights: Path, others: Sequence[Path] = ()) -> Any:
    """Loads a detector for inference, averaged with other weights or bundles.

    Raises TrainError if it has several classes, or one of `others` is another network.
    """
    model = load_fused(str(weights))
    head = model.model[-1]
    if not isinstance(head, Detect) or head.nc != 1:
        raise TrainError(f"{weights}: not a detector of one class")
    average_weights(model, others)
    return model


def average_weights(network: nn.Module, others: Sequence[Path]) -> None:
    """Replaces the weights of a fused detector by the average of its own and the others'.

    `others` are weights, or folders of bundles. Raises TrainError if one is another network.
    """
    modules = _convolutions(network)
    shapes = {name: tuple(module.weight.shape) for name, module in modules.items()}
    for count, other in enumerate(others, 1):
        if other.is_dir():
            weights, silu = read_detector(other)
        else:
            loaded = load_fused(str(other))
            weights, silu = {}, _names_before_silu(loaded)
            for name, module in _convolutions(loaded).items():
                weights[name] = module.weight.detach().numpy(), module.bias.detach().numpy()
        found = {name: kernel.shape for name, (kernel, _) in weights.items()}
        if (found, silu) != (shapes, _names_before_silu(network)):
            raise TrainError(f"--average-with {other}: its detector is another network")
        for name, module in modules.items():
            for ours, theirs in zip((module.weight, module.bias), weights[name], strict=True):
                ours.data.lerp_(torch.from_numpy(theirs.copy()), 1 / (count + 1))


def _convolutions(network: nn.Module) -> dict[str, Any]:
    """Returns all convolutions by name, except the sum of the DFL, which has no bias."""
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and module.bias is not None
    }


def _names_before_silu(network: nn.Module) -> set[str]:
    blocks = network.named_modules()
    return {f"{n}.conv" for n, block in blocks if isinstance(getattr(block, "act", None), nn.SiLU)}
