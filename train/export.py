"""From trained weights to a bundle that a device can use, proved to answer as in training."""

import hashlib
import shutil
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ultralytics import YOLO

from plateid.config import DEFAULT_BUNDLE
from plateid.models.bundle import Bundle
from plateid.models.session import Session
from train import easyocr_reader
from train.errors import TrainError

TOLERANCE = 1e-3
"""Greatest difference of a score or probability between torch and ONNX Runtime."""


def export_detector(weights: Path, out: Path, *, width: int, height: int) -> None:
    """Writes a detector with a fixed input as ONNX.

    Raises:
        TrainError: Its answers differ from those of the weights.
    """
    model = YOLO(str(weights))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copy(weights, folder))
        exported = YOLO(str(copy)).export(
            format="onnx", imgsz=[height, width], simplify=False, opset=17
        )
        shutil.copy(exported, out)
    network = model.model.float().eval().fuse()
    inputs = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = network(inputs)[0].numpy()
    _check_equal(out, inputs.numpy(), expected, scale=max(width, height))


def export_reader(model: easyocr_reader.PlateRecogniser, out: Path) -> None:
    """Writes EasyOCR's recogniser as ONNX.

    Raises:
        TrainError: Its answers differ from those of the weights.
    """
    easyocr_reader.export(model, out)
    shape = (2, 1, easyocr_reader.HEIGHT, easyocr_reader.WIDTH)
    inputs = 255 * torch.rand(shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = model(inputs).numpy()
    _check_equal(out, inputs.numpy(), expected, scale=1.0)


def _check_equal(path: Path, inputs: Any, expected: Any, *, scale: float) -> None:
    got = Session(str(path), path.read_bytes()).run(inputs)
    difference = float(np.abs(got - expected).max()) / scale
    if not difference <= TOLERANCE:
        path.unlink()
        raise TrainError(
            f"{path}: ONNX Runtime differs from torch by {difference:.2g}, more than {TOLERANCE}"
        )


def write_hashes(folder: Path) -> None:
    """Sets each network's `sha256` in `bundle.toml` to that of its file."""
    lines, digest = [], ""
    for line in (folder / "bundle.toml").read_text().splitlines():
        key, _, value = line.partition(" = ")
        if key == "file":
            digest = hashlib.sha256((folder / value.strip('"')).read_bytes()).hexdigest()
        lines.append(f'sha256 = "{digest}"' if key == "sha256" else line)
    temporary = folder / "bundle.toml.tmp"
    temporary.write_text("\n".join(lines) + "\n")
    temporary.replace(folder / "bundle.toml")


def export_bundle(detector: Path, reader: easyocr_reader.PlateRecogniser, out: Path) -> None:
    """Fills the bundle `out` with networks as its `bundle.toml` describes them.

    Args:
        detector: Weights as ultralytics saves them.
        reader: The recogniser.
        out: Folder of the bundle; without `bundle.toml` it gets that of the bundle that ships.

    Raises:
        TrainError: A network's answers differ from those of its weights.
    """
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "bundle.toml").exists():
        shutil.copy(DEFAULT_BUNDLE / "bundle.toml", out)
    spec = tomllib.loads((out / "bundle.toml").read_text())["detector"]
    export_detector(detector, out / "detector.onnx", width=spec["width"], height=spec["height"])
    export_reader(reader, out / "reader.onnx")
    write_hashes(out)
    Bundle(out)
