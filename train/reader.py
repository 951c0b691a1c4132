"""Fine-tune EasyOCR's `english_g2` recogniser on plates: real crops, and synthetic ones."""

import csv
import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from plateid.core.records import Image
from plateid.core.text import CHARSET, ctc_slots, normalise, slots_text
from plateid.models.bundle import BundleSpec
from plateid.models.reader import fitted
from train import easyocr_reader
from train.errors import TrainError
from train.synth import Crop, camera, jittered, render_crop

LEGIBLE = {"clear", "hard", ""}
ILLEGIBLE = {"unreadable", "notplate"}
"""These have no text to read, and the reader learns to say so."""
BACKGROUND = 0.05
"""Share of crops that show anything but a plate."""
VALIDATION = 6
"""One group of crops in so many is held out, by a hash of its name."""
CLIP_NORM = 5.0


@dataclass(frozen=True)
class ReaderRun:
    """Configuration, command line and record of one fine-tuning run."""

    data: tuple[str, ...]
    easyocr: str | None
    out: str
    minutes: float = 60.0
    batch: int = 32
    lr: float = 5e-4
    real: float = 0.4
    seed: int = 0


@dataclass(frozen=True)
class Plate:
    """A transcribed plate in a picture: the picture, the box in it, the text, and the group it belongs to."""

    image: Image
    box: tuple[float, float, float, float]
    text: str
    source: str
    group: str


def read_plates(folder: Path) -> list[Plate]:
    """The one-line plates of a folder that have a text, and what is illegible, with an empty one.

    Raises:
        TrainError: No labels, or a picture is missing.
    """
    labels = next((folder / n for n in ("texts.csv", "labels.csv") if (folder / n).is_file()), None)
    if labels is None:
        raise TrainError(f"{folder}: neither texts.csv nor labels.csv")
    with labels.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("lines", "1") != "2"]
    return [_plate(folder, row) for row in rows if _usable(row)]


def _usable(row: dict[str, str]) -> bool:
    legibility = row.get("legibility", "")
    boxed = bool(row.get("x1", "whole"))
    return boxed and (legibility in LEGIBLE if row["text"] else legibility in ILLEGIBLE)


def background(rng: np.random.Generator, plate: Plate) -> Crop:
    """A strip above or below a plate, of about its shape."""
    height = plate.image.shape[0]
    x1, y1, x2, y2 = (round(value) for value in plate.box)
    above, below = plate.image[: max(1, y1), x1:x2], plate.image[min(height - 1, y2) :, x1:x2]
    return Crop(camera(rng, above if rng.random() < 0.5 else below), "")


def _plate(folder: Path, row: dict[str, str]) -> Plate:
    path = folder / "images" / row["image"]
    image = cv2.imread(str(path))
    if image is None:
        raise TrainError(f"{path}: not a readable picture")
    height, width = image.shape[:2]
    box = tuple(float(row[k]) for k in ("x1", "y1", "x2", "y2")) if "x1" in row else None
    around, box = _surroundings(image, box or (0.0, 0.0, float(width), float(height)))
    group = f"{row['video']}/{int(float(row['t'])) // 60}" if "video" in row else row["image"]
    return Plate(around, box, normalise(row["text"]), folder.name, f"{folder.name}/{group}")


def _surroundings(image: Image, box: tuple[float, ...]) -> tuple[Image, Any]:
    """Half a plate of picture around the box; the rest of a picture need not be kept."""
    x1, y1, x2, y2 = box
    left, top = max(0, int(x1 - (x2 - x1) / 4)), max(0, int(y1 - (y2 - y1) / 2))
    right, bottom = int(x2 + (x2 - x1) / 4), int(y2 + (y2 - y1) / 2)
    part = image[top : bottom + 1, left : right + 1].copy()
    return part, (x1 - left, y1 - top, x2 - left, y2 - top)


def augmented(rng: np.random.Generator, plate: Plate) -> Crop:
    """A real plate, cut out a little differently, tilted, and seen by a worse camera half of the time."""
    height, width = plate.image.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), rng.normal(0, 2.5), rng.uniform(0.95, 1.05))
    turn[0, 1] += rng.normal(0, 0.05)
    seen = cv2.warpAffine(plate.image, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
    crop = jittered(rng, np.asarray(seen, np.uint8), plate.box)
    return Crop(camera(rng, crop) if rng.random() < 0.5 else crop, plate.text)


def batches(run: ReaderRun, plates: list[Plate], spec: Any) -> Iterator[tuple[Tensor, list[str]]]:
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


def fold(text: str) -> str:
    """O and I as the digits that they cannot be told from."""
    return text.replace("O", "0").replace("I", "1")


def evaluate(model: nn.Module, plates: list[Plate], spec: Any) -> dict[str, float]:
    """Share of plates read exactly (folded), by source, on truth boxes with the bundle's margins."""
    model.eval()
    right: dict[str, list[bool]] = {}
    with torch.inference_mode():
        for plate in plates:
            x1, y1, x2, y2 = plate.box
            dx, dy = spec.margin_x * (x2 - x1), spec.margin_y * (y2 - y1)
            rows = slice(max(0, round(y1 - dy)), max(1, round(y2 + dy)))
            columns = slice(max(0, round(x1 - dx)), max(1, round(x2 + dx)))
            inputs = torch.from_numpy(fitted(plate.image[rows, columns], spec)[None])
            text = slots_text(ctc_slots(model(inputs)[0].numpy()))
            right.setdefault(plate.source, []).append(fold(text) == fold(plate.text))
    return {source: round(float(np.mean(answers)), 4) for source, answers in sorted(right.items())}


def train_reader(run: ReaderRun, spec: BundleSpec) -> dict[str, Any]:
    """Trains for a time, from the last checkpoint if there is one; keeps the best weights.

    Raises:
        TrainError: The data cannot be read, or the loss is no longer a number.
    """
    out = Path(run.out)
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(run.seed)
    plates = [plate for folder in run.data for plate in read_plates(Path(folder))]
    held_out = [p for p in plates if hashlib.sha256(p.group.encode()).digest()[0] % VALIDATION == 0]
    kept = [p for p in plates if hashlib.sha256(p.group.encode()).digest()[0] % VALIDATION]
    model = easyocr_reader.load(run.easyocr and Path(run.easyocr))
    optimiser = torch.optim.AdamW(model.parameters(), lr=run.lr, weight_decay=0.01)
    done = _resume(out / "last.pt", model, optimiser)
    started, best = time.monotonic(), done.get("best", 0.0)
    spent, step = done.get("minutes", 0.0), done.get("step", 0)
    for inputs, texts in batches(run, kept, spec.reader):
        minutes = spent + (time.monotonic() - started) / 60
        progress = min(1.0, minutes / run.minutes)
        for group in optimiser.param_groups:
            group["lr"] = run.lr * min(1.0, (step + 1) / 100) * (0.02 + 0.98 * (1 + np.cos(np.pi * progress)) / 2)
        model.train()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            probabilities = model(inputs)
        loss = ctc_loss(probabilities, texts)
        if not torch.isfinite(loss):
            raise TrainError(f"{out}: loss is {loss.item()} at step {step}")
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
        optimiser.step()
        step += 1
        if step % 100 == 0 or progress >= 1:
            scores = evaluate(model, held_out, spec.reader)
            mean = float(np.mean(list(scores.values())))
            print(f"{minutes:.1f} min, step {step}, loss {loss.item():.3f}, {scores}", flush=True)
            if mean >= best:
                best = mean
                _save(out / "best.pt", {"model": model.state_dict(), "scores": scores})
            state = {"model": model.state_dict(), "optimiser": optimiser.state_dict()}
            _save(out / "last.pt", {**state, "minutes": minutes, "step": step, "best": best})
        if progress >= 1:
            break
    record = {**asdict(run), "steps": step, "crops": {"train": len(kept), "val": len(held_out)}}
    record["metrics"] = torch.load(out / "best.pt", weights_only=True)["scores"]
    (out / "run.json").write_text(json.dumps(record, indent=2))
    return record


def _resume(path: Path, model: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    if not path.is_file():
        return {}
    state: dict[str, Any] = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    return state


def _save(path: Path, state: dict[str, Any]) -> None:
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    temporary.replace(path)
