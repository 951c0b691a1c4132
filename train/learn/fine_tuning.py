"""Fine-tunes the reader on your plates and on rendered ones.

On rendered plates of all formats the network must answer as the base does (Li and Hoiem, Learning
without Forgetting, ECCV 2016). The rectifier stays: a new country has other glyphs, but its plates
have the same shape.
"""

import io
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from plateid.files import write_whole
from train.learn.inputs import Inputs, Weights, network_of
from train.machine import computes_bfloat16
from train.progress import timed
from train.reader.batches import BACKGROUND
from train.reader.platenet import PlateNet
from train.reader.reader_weights import MODEL, read_checkpoint
from train.reader.real_plates import RealPlate, augmented, background
from train.reader.training_loop import CLIP_NORM, WEIGHT_DECAY, ctc_loss
from train.synth.rendering import LabelledCrop
from train.train_error import TrainError

LR, WARM_UP, LAST_RATE = 5e-4, 0.1, 0.01
"""Peak learning rate, share (0-1) of the training in which it rises, and its end, of the peak."""
STEPS = 100
"""Steps of a training. It is fixed: held-out plates must not choose it (see the training log)."""
CROPS = {"own": 12, "similar": 14, "kept": 6, "replay": 22}
"""Crops of each kind in a step: your plates, rendered ones of their formats, those of --keep (there
may be none), and rendered ones of all formats."""
AUGMENTED, PER_PLATE = 1500, 40
"""Augmented crops of plates in all, and of one plate at most."""
CHARACTERS = 7.0
"""Usual length of a text: the distance from the base counts per character, as CTC's loss does."""
EMA_DECAY, EMA_START = 0.99, 10
"""Decay of the moving average of the weights, and the steps after which it is .5."""


@dataclass(frozen=True, eq=False)
class Material:
    """What is trained on: inputs of the kinds of CROPS."""

    inputs: Mapping[str, Inputs]
    plates: Sequence[int]  # the number of the plate of each of your crops
    taught: Tensor  # log-probabilities of the base for "replay", shape (N, steps, classes)


def augmented_crops(
    rng: np.random.Generator, plates: Sequence[RealPlate]
) -> Iterator[LabelledCrop]:
    """Yields crops that differ in geometry and camera, or show the surroundings of the plate."""
    for plate in plates:
        draw = background if rng.random() < BACKGROUND else augmented
        yield draw(rng, plate)


def copies(plates: Sequence[object]) -> int:
    """Returns the number of augmented crops of each plate."""
    return max(1, min(PER_PLATE, AUGMENTED // max(1, len(plates))))


def fine_tune(
    start: Weights,
    material: Material,
    plates: Sequence[int],
    *,
    seed: int,
    title: str,
    minutes: float,
) -> Weights:
    """Trains on the plates with these numbers, for STEPS, or fewer if the minutes do not suffice.

    `seed` draws the crops of each step. Raises TrainError if the loss is not finite.
    """
    network, rng = network_of(start), np.random.default_rng(seed)
    network.rectifier.requires_grad_(requires_grad=False)
    parameters = {name: each for name, each in network.named_parameters() if each.requires_grad}
    optimiser = torch.optim.AdamW(parameters.values(), weight_decay=WEIGHT_DECAY)
    average = {name: weight.detach().clone() for name, weight in parameters.items()}
    wanted = set(plates)
    own = [number for number, plate in enumerate(material.plates) if plate in wanted]
    began_s, seconds = time.monotonic(), 60 * minutes
    for step in timed(range(1, STEPS + 1), title, seconds, least=1):
        done = min(1.0, max(step / STEPS, (time.monotonic() - began_s) / seconds))
        for group in optimiser.param_groups:
            group["lr"] = LR * _rate(done)
        loss = _loss(network, material, own, rng)
        if not math.isfinite(loss.item()):
            raise TrainError(f"{title}: the loss is {loss.item()} at step {step}")
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters.values(), CLIP_NORM)
        optimiser.step()
        decay = min(EMA_DECAY, step / (step - 1 + EMA_START))
        for name, weight in parameters.items():
            average[name].lerp_(weight.detach(), 1 - decay)
    return {**start, **average}


def trained_once(checkpoint: Path, train: Callable[[], Weights]) -> Weights:
    """Returns what a checkpoint holds; trains first if there is none."""
    if not checkpoint.is_file():
        content = io.BytesIO()  # torch.save raises no OSError when the disk is full
        torch.save({MODEL: train()}, content)
        write_whole(checkpoint, content.getvalue())
    weights: Weights = read_checkpoint(checkpoint)[MODEL]
    return weights


def on_line(before: Weights, after: Weights, share: float) -> Weights:
    """Returns the weights that are this share (0-1) of the way from one network to another."""
    return {
        name: weight.lerp(after[name], share) if weight.is_floating_point() else weight
        for name, weight in before.items()
    }


def mean_of(networks: Sequence[Weights]) -> Weights:
    """Returns the mean of networks that were trained from the same one (model soup)."""
    mean = networks[0]
    for count, weights in enumerate(networks[1:], 2):
        mean = on_line(mean, weights, 1 / count)
    return mean


def _rate(done: float) -> float:
    cosine = LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * done)) / 2
    return min(1.0, 0.1 + done / WARM_UP) * cosine


def _loss(
    network: PlateNet, material: Material, own: Sequence[int], rng: np.random.Generator
) -> Tensor:
    """Returns CTC's loss of labelled crops, plus the distance from the base on replayed ones."""
    drawn = {
        kind: rng.choice(own if kind == "own" else len(inputs.texts), CROPS[kind]).tolist()
        for kind, inputs in material.inputs.items()
    }
    parts = [material.inputs[kind].part(numbers) for kind, numbers in drawn.items()]
    with torch.autocast("cpu", torch.bfloat16, enabled=computes_bfloat16()):
        logits, _ = network(torch.cat([each.values for each in parts]).float())
    logs = logits.float().log_softmax(dim=2)
    *labelled, _ = parts
    texts = [text for each in labelled for text in each.texts]
    taught = material.taught[drawn["replay"]]
    distance = (taught.exp() * (taught - logs[len(texts) :])).sum(dim=(1, 2)).mean() / CHARACTERS
    share = CROPS["replay"] / len(logs)
    return (1 - share) * ctc_loss(logs[: len(texts)], texts) + share * distance
