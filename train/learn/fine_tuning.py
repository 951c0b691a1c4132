"""Fine-tunes the layers behind the convolutions, on your plates and on rendered ones.

On rendered plates of all formats the network must answer as the base does (Li and Hoiem, Learning
without Forgetting, ECCV 2016).
"""

import io
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from plateid.files import write_whole
from train.learn.features import Features, Weights, network_of
from train.learn.material import Material
from train.progress import timed
from train.reader.platenet import PlateNet
from train.reader.reader_weights import MODEL, read_checkpoint
from train.reader.training_loop import CLIP_NORM, WEIGHT_DECAY, ctc_loss
from train.train_error import TrainError

TRAINABLE = ("encoder.", "position", "characters.")
"""Prefixes of the weights behind the convolutions."""
LR, WARM_UP, LAST_RATE = 7e-4, 0.1, 0.01
"""Peak learning rate, share (0-1) of the training in which it rises, and its end, of the peak."""
STEPS = 100
"""Steps of a training. It is fixed: held-out plates must not choose it (see the training log)."""
OWN, KEPT, SIMILAR, REPLAY = 12, 6, 14, 22
"""Crops of each kind in a step."""
CHARACTERS = 7.0
"""Usual length of a text: the distance from the base counts per character, as CTC's loss does."""
EMA_DECAY, EMA_START = 0.99, 10
"""Decay of the moving average of the weights, and the steps after which it is .5."""


def fine_tune(
    start: Weights, material: Material, plates: Sequence[int], *, title: str, minutes: float
) -> Weights:
    """Trains on the plates with these numbers, for STEPS, or fewer if the minutes do not suffice.

    Raises TrainError if the loss is not finite.
    """
    network, rng = network_of(start), np.random.default_rng(0)
    chosen = {name: w for name, w in network.named_parameters() if name.startswith(TRAINABLE)}
    optimiser = torch.optim.AdamW(chosen.values(), weight_decay=WEIGHT_DECAY)
    average = {name: weight.detach().clone() for name, weight in chosen.items()}
    wanted = set(plates)
    own = [number for number, plate in enumerate(material.plates) if plate in wanted]
    steps = enumerate(timed(_progress(minutes), title, 60 * minutes, least=1), 1)
    for step, done in steps:
        for group in optimiser.param_groups:
            group["lr"] = LR * _rate(done)
        loss = _loss(network, material, own, rng)
        if not math.isfinite(loss.item()):
            raise TrainError(f"{title}: the loss is {loss.item()} at step {step}")
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(chosen.values(), CLIP_NORM)
        optimiser.step()
        decay = min(EMA_DECAY, step / (step - 1 + EMA_START))
        for name, weight in chosen.items():
            average[name].lerp_(weight.detach(), 1 - decay)
    return {**start, **average}


def save_weights(path: Path, weights: Weights) -> None:
    """Writes a checkpoint."""
    content = io.BytesIO()  # torch.save raises no OSError when the disk is full
    torch.save({MODEL: weights}, content)
    write_whole(path, content.getvalue())


def saved_weights(path: Path) -> Weights:
    """Reads a checkpoint."""
    weights: Weights = read_checkpoint(path)[MODEL]
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


def _progress(minutes: float) -> Iterator[float]:
    """Yields the share (0-1) of the steps, or of the time if that is greater."""
    began = time.monotonic()
    for step in range(STEPS):
        yield max(step / STEPS, (time.monotonic() - began) / 60 / minutes)


def _rate(done: float) -> float:
    cosine = LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * min(1, done))) / 2
    return min(1.0, 0.1 + done / WARM_UP) * cosine


def _loss(
    network: PlateNet, material: Material, own: Sequence[int], rng: np.random.Generator
) -> Tensor:
    """Returns CTC's loss of labelled crops, plus the distance from the base on replayed ones."""
    replayed = rng.integers(len(material.replay.texts), size=REPLAY).tolist()
    labelled = [
        material.own.part(rng.choice(own, OWN).tolist()),
        _drawn(material.similar, SIMILAR, rng),
    ]
    if material.kept.texts:
        labelled.append(_drawn(material.kept, KEPT, rng))
    values = [each.values for each in (*labelled, material.replay.part(replayed))]
    logs = network.classify(torch.cat(values).float()).log_softmax(dim=2)
    texts = [text for each in labelled for text in each.texts]
    taught = material.taught[replayed]
    distance = (taught.exp() * (taught - logs[len(texts) :])).sum(dim=(1, 2)).mean() / CHARACTERS
    share = REPLAY / len(logs)
    return (1 - share) * ctc_loss(logs[: len(texts)], texts) + share * distance


def _drawn(features: Features, count: int, rng: np.random.Generator) -> Features:
    return features.part(rng.integers(len(features.texts), size=count).tolist())
