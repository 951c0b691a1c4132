"""Fine-tune EasyOCR's `english_g2` recogniser on plates: real crops, and synthetic ones."""

import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from plateid.core.text import CHARSET, ctc_slots, slots_text
from plateid.models.bundle import ReaderSpec
from plateid.models.reader import fitted
from train.errors import TrainError
from train.reader import easyocr_reader
from train.reader.crops import Plate, augmented, background, framed, read_plates
from train.reader.synth import render_crop
from train.text import fold

BACKGROUND = 0.05
"""Share of crops that show anything but a plate."""
CLIP_NORM = 5.0
WARM_UP_STEPS = 100
EVALUATE_EVERY = 100


@dataclass(frozen=True)
class ReaderRun:
    """Configuration, command line and record of one fine-tuning run."""

    data: tuple[str, ...]
    easyocr: Path | None
    out: str
    minutes: float = 60.0
    batch: int = 32
    lr: float = 5e-4
    real: float = 0.4


def batches(
    run: ReaderRun, plates: list[Plate], spec: ReaderSpec
) -> Iterator[tuple[Tensor, list[str]]]:
    """Endless batches; each source of real crops counts the same."""
    rng = np.random.default_rng()
    sources = sorted({plate.source for plate in plates})
    by_source = [[plate for plate in plates if plate.source == source] for source in sources]
    while True:
        crops = []
        for _ in range(run.batch):
            own = by_source[rng.integers(len(by_source))]
            plate = own[rng.integers(len(own))]
            if rng.random() < BACKGROUND:
                crops.append(background(rng, plate))
            elif rng.random() < run.real:
                crops.append(augmented(rng, plate))
            else:
                crops.append(render_crop(rng))
        inputs = np.stack([fitted(crop.image, spec) for crop in crops])
        yield torch.from_numpy(inputs), [crop.text for crop in crops]


def ctc_loss(probabilities: Tensor, texts: list[str]) -> Tensor:
    """CTC loss of probabilities, shape (N, T, 1 + charset)."""
    logs = torch.log(probabilities.float().clamp_min(1e-8)).transpose(0, 1)
    targets = torch.tensor([1 + CHARSET.index(c) for text in texts for c in text])
    lengths = torch.tensor([len(text) for text in texts])
    steps = torch.full((len(texts),), logs.shape[0])
    return nn.functional.ctc_loss(logs, targets, steps, lengths, zero_infinity=True)


def evaluate(model: nn.Module, plates: list[Plate], spec: ReaderSpec) -> dict[str, float]:
    """Share of plates read exactly (folded), by source, on true boxes with their margins."""
    model.eval()
    right: dict[str, list[bool]] = {}
    with torch.inference_mode():
        for plate in plates:
            crop = framed(plate, margin_x=spec.margin_x, margin_y=spec.margin_y)
            inputs = torch.from_numpy(fitted(crop, spec)[None])
            text = slots_text(ctc_slots(model(inputs)[0].numpy()))
            right.setdefault(plate.source, []).append(fold(text) == fold(plate.text))
    return {source: round(float(np.mean(answers)), 4) for source, answers in sorted(right.items())}


def train_reader(run: ReaderRun, spec: ReaderSpec) -> dict[str, Any]:
    """Trains for a time, from the last checkpoint if there is one.

    The weights are those of the end of the cosine: a pick by so few held-out plates is mostly luck.

    Raises:
        TrainError: The data cannot be read, or the loss is no longer a number.
    """
    out = Path(run.out)
    out.mkdir(parents=True, exist_ok=True)
    train, val = read_plates([Path(folder) for folder in run.data])
    model = easyocr_reader.load(run.easyocr)
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=0.01)
    state = _resumed(out / "last.pt", model, optimiser)
    began = time.monotonic() - 60 * state["minutes"]
    for inputs, texts in batches(run, train, spec):
        state["minutes"] = (time.monotonic() - began) / 60
        progress = min(1.0, state["minutes"] / run.minutes)
        set_learning_rate(optimiser, run.lr, step=state["step"], progress=progress)
        loss = train_step(model, optimiser, inputs, texts)
        state["step"] += 1
        if not math.isfinite(loss):
            raise TrainError(f"{out}: the loss is {loss} at step {state['step']}")
        if progress == 1 or state["step"] % EVALUATE_EVERY == 0:
            scores = evaluate(model, val, spec)
            print(f"{state['minutes']:.1f} min, {state['step']} steps, loss {loss:.3f}, {scores}")
            _checkpoint(out, model, optimiser, state=state, scores=scores)
        if progress == 1:
            break
    counts = {"train": len(train), "val": len(val)}
    record = {**asdict(run), **state, "crops": counts, "easyocr": str(run.easyocr)}
    (out / "run.json").write_text(json.dumps(record, indent=2))
    return record


def set_learning_rate(
    optimiser: torch.optim.Optimizer, peak: float, *, step: int, progress: float
) -> None:
    """A short warm-up by steps, then half a cosine by time, down to a fiftieth."""
    cosine = 0.02 + 0.98 * (1 + math.cos(math.pi * progress)) / 2
    for group in optimiser.param_groups:
        group["lr"] = peak * min(1.0, (step + 1) / WARM_UP_STEPS) * cosine


def train_step(
    model: nn.Module, optimiser: torch.optim.Optimizer, inputs: Tensor, texts: list[str]
) -> float:
    """One update in bfloat16; gives the loss."""
    model.train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        probabilities = model(inputs)
    loss = ctc_loss(probabilities, texts)
    optimiser.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
    optimiser.step()
    return loss.item()


def _resumed(path: Path, model: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    if not path.is_file():
        return {"minutes": 0.0, "step": 0, "metrics": {}}
    saved = torch.load(path, weights_only=True)
    model.load_state_dict(saved["model"])
    optimiser.load_state_dict(saved["optimiser"])
    state: dict[str, Any] = saved["state"]
    return state


def _checkpoint(
    out: Path,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    *,
    state: dict[str, Any],
    scores: dict[str, float],
) -> None:
    state.update(metrics=scores)
    saved = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "state": state}
    torch.save(saved, out / "last.tmp")
    (out / "last.tmp").replace(out / "last.pt")
