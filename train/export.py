"""From trained weights to a bundle that a device can use, proved to answer as in training."""

import hashlib
import shutil
import tempfile
import tomllib
from pathlib import Path

import cv2
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from ultralytics import YOLO

from plateid.config import DEFAULT_BUNDLE
from plateid.core.records import Image
from plateid.models.bundle import Bundle
from plateid.models.session import Session
from train import easyocr_reader
from train.errors import TrainError

CLIP = Path(__file__).parent.parent / "plateid" / "demo" / "demo.mp4"
Array = NDArray[np.float32]
TOLERANCE = 1e-3
"""Greatest difference of a score or probability between torch and ONNX Runtime."""
HALF_TOLERANCE = 1e-2
"""The same after the weights were rounded to float16."""
BOX_TOLERANCE_PX = 0.5
HALF_BOX_TOLERANCE_PX = 2.0
WORTH_HALVING = 1024


def export_detector(weights: Path, out: Path, *, width: int, height: int) -> None:
    """Writes a detector with a fixed input as ONNX.

    Raises:
        TrainError: Its answers to a picture of a street differ from those of the weights.
    """
    model = YOLO(str(weights))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copy(weights, folder))
        exported = YOLO(str(copy)).export(
            format="onnx", imgsz=[height, width], simplify=False, opset=17
        )
        shutil.copy(exported, out)
    inputs = np.ascontiguousarray(street(width, height)[None, :, :, ::-1].transpose(0, 3, 1, 2))
    inputs = inputs.astype(np.float32) / 255
    with torch.inference_mode():
        expected = model.model.float().eval().fuse()(torch.from_numpy(inputs))[0].numpy()
    got = Session(str(out), out.read_bytes()).run(inputs)
    check_equal(out, got[:, :4], expected[:, :4], tolerance=BOX_TOLERANCE_PX)
    check_equal(out, got[:, 4:], expected[:, 4:], tolerance=TOLERANCE)
    store_in_half(out)
    got = Session(str(out), out.read_bytes()).run(inputs)
    check_equal(out, got[:, :4], expected[:, :4], tolerance=HALF_BOX_TOLERANCE_PX)
    check_equal(out, got[:, 4:], expected[:, 4:], tolerance=HALF_TOLERANCE)


def export_reader(model: easyocr_reader.PlateRecogniser, out: Path) -> None:
    """Writes EasyOCR's recogniser as ONNX.

    Raises:
        TrainError: Its answers to strips of a picture differ from those of the weights.
    """
    easyocr_reader.export(model, out)
    height, width = easyocr_reader.HEIGHT, easyocr_reader.WIDTH
    inputs = cv2.cvtColor(street(width, 8 * height), cv2.COLOR_BGR2GRAY)
    inputs = inputs.reshape(8, 1, height, width).astype(np.float32)
    with torch.inference_mode():
        expected = model(torch.from_numpy(inputs)).numpy()
    got = Session(str(out), out.read_bytes()).run(inputs)
    check_equal(out, got, expected, tolerance=TOLERANCE)
    store_in_half(out)
    got = Session(str(out), out.read_bytes()).run(inputs)
    check_equal(out, got, expected, tolerance=HALF_TOLERANCE)


def store_in_half(path: Path) -> None:
    """Stores a network's large weights in float16, to be widened when it is loaded.

    Half the bytes to ship; ONNX Runtime folds the widening into the weights and computes as before.
    """
    model = onnx.load(path)
    for weights in [w for w in model.graph.initializer if w.data_type == onnx.TensorProto.FLOAT]:
        values = numpy_helper.to_array(weights)
        if values.size >= WORTH_HALVING:
            half = f"{weights.name}_half"
            to_float = onnx.TensorProto.FLOAT
            widen = onnx.helper.make_node("Cast", [half], [weights.name], to=to_float)
            model.graph.node.insert(0, widen)
            weights.CopyFrom(numpy_helper.from_array(values.astype(np.float16), half))
    del model.metadata_props[:]  # the exporter's date and paths: the same weights are the same file
    onnx.save(model, path)


def street(width: int, height: int) -> Image:
    """A picture with plates: one of the demo's, scaled."""
    clip = cv2.VideoCapture(str(CLIP))
    clip.set(cv2.CAP_PROP_POS_FRAMES, 125)
    read, image = clip.read()
    clip.release()
    if not read:
        raise TrainError(f"{CLIP}: cannot be read")
    return np.asarray(cv2.resize(image, (width, height)), np.uint8)


def check_equal(path: Path, got: Array, expected: Array, *, tolerance: float) -> None:
    """Raises TrainError unless no value differs by more."""
    difference = float(np.abs(got - expected).max())
    if not difference <= tolerance:
        raise TrainError(f"{path}: ONNX Runtime differs from torch by {difference:.2g}")


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
    template = out if (out / "bundle.toml").exists() else DEFAULT_BUNDLE
    spec = tomllib.loads((template / "bundle.toml").read_text())["detector"]
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder)
        shutil.copy(template / "bundle.toml", made)
        export_detector(
            detector, made / "detector.onnx", width=spec["width"], height=spec["height"]
        )
        export_reader(reader, made / "reader.onnx")
        write_hashes(made)
        Bundle(made)
        out.mkdir(parents=True, exist_ok=True)
        for file in made.iterdir():
            shutil.copy(file, out)
