"""From trained weights to a bundle that a device can use, proved to answer as in training."""

import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import tomlkit
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from ultralytics.nn.modules.head import Detect

from plateid.capture.pictures import read_picture
from plateid.config import DEFAULT_BUNDLE
from plateid.core.geometry import iou, letterboxed
from plateid.core.records import Image
from plateid.models.bundle import Bundle
from plateid.models.session import Session
from train import easyocr_reader
from train.candidates import BestCandidates
from train.card import card, origin
from train.dataset.checks import checked_pictures
from train.dataset.pictures import split
from train.detector import load_detector
from train.errors import TrainError
from train.quantise import quantise

CLIP = Path(__file__).parent.parent / "plateid" / "demo" / "demo.mp4"
Array = NDArray[np.float32]
TOLERANCE = 1e-3
"""Greatest difference of a score or probability between torch and ONNX Runtime."""
HALF_TOLERANCE = 1e-2
"""The same after the weights were rounded to float16."""
BOX_TOLERANCE_PX = 0.5
HALF_BOX_TOLERANCE_PX = 2.0
UNLIKELY = 0.01
"""Candidates below this score are not compared."""
WORTH_HALVING = 1024
STRIDE = 32
"""Of the coarsest map of a YOLO network, in pixels."""
CALIBRATION = 200
"""Pictures that show the quantiser the range of each activation."""
AGREEMENT = 0.95
"""Share of the float network's plates that the quantised one must find, and the reverse."""


@dataclass(frozen=True)
class Form:
    """How a detector is to be written.

    Attributes:
        width, height: Of its input, in pixels.
        precision: Of its weights: "float32", "float16" (widened when loaded) or "int8" (with
            activations, for CPUs).
    """

    width: int
    height: int
    precision: str = "float16"


def export_detector(weights: Path, out: Path, form: Form, data: Sequence[str] = ()) -> None:
    """Writes a detector with a fixed input as ONNX.

    Raises:
        TrainError: It has not one class, or its answers differ from those of the weights.
    """
    model = load_detector(str(weights)).model.float().eval().fuse()
    head = model.model[-1]
    if not isinstance(head, Detect) or head.nc != 1:
        raise TrainError(f"{weights}: not a detector of one class")
    network = BestCandidates(model, width=form.width, height=form.height).eval()
    inputs = as_input(street(form.width, form.height))
    with torch.inference_mode():
        expected = network(torch.from_numpy(inputs)).numpy()
    torch.onnx.export(network, torch.from_numpy(inputs), str(out), opset_version=17, dynamo=False)
    check_candidates(out, run(out, inputs), expected, box=BOX_TOLERANCE_PX, score=TOLERANCE)
    if form.precision == "float16":
        store_in_half(out)
        got = run(out, inputs)
        check_candidates(out, got, expected, box=HALF_BOX_TOLERANCE_PX, score=HALF_TOLERANCE)
    elif form.precision == "int8":
        _quantise(out, _calibration(data, form), head=f"/model/model.{head.i}/")
    strip(out)


def _quantise(path: Path, inputs: list[Array], *, head: str) -> None:
    """Replaces a network by its quantised form, if that finds the same plates."""
    exact = path.with_suffix(".float.onnx")
    path.replace(exact)
    quantise(exact, path, iter(inputs), head=head)
    pairs = [(run(exact, x), run(path, x)) for x in inputs[:50]]
    exact.unlink()
    for a, b, what in ((0, 1, "misses"), (1, 0, "invents")):
        share = np.mean([found for pair in pairs for found in _found(pair[a], pair[b])])
        if not share >= AGREEMENT:
            raise TrainError(f"{path}: {what} {1 - share:.0%} of the plates once in 8 bits")


def _calibration(data: Sequence[str], form: Form) -> list[Array]:
    if not data:
        raise TrainError("int8 is calibrated with pictures of plates; name their folders: --data")
    pictures = split(checked_pictures(map(Path, data))[0])[0]
    paths = [picture.path for picture in pictures if picture.boxes]
    order = np.random.default_rng(0).permutation(len(paths))
    canvas = np.empty((form.height, form.width, 3), np.uint8)
    inputs = []
    for i in order[:CALIBRATION]:
        letterboxed(read_picture(paths[i]), canvas)
        inputs.append(as_input(canvas))
    return inputs


def _found(wanted: Array, others: Array, *, threshold: float = 0.4) -> list[bool]:
    """For each sure candidate of one network, whether another has a likely one in its place."""
    sure = _xyxy(wanted[0].T[wanted[0, 4] >= threshold])
    likely = _xyxy(others[0].T[others[0, 4] >= threshold / 2])
    return [bool(np.any(row >= 0.6)) for row in iou(sure, likely)]


def _xyxy(rows: Array) -> Array:
    half = rows[:, 2:4] / 2
    return np.hstack([rows[:, :2] - half, rows[:, :2] + half])


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
    check_equal(out, run(out, inputs), expected, tolerance=TOLERANCE)
    store_in_half(out)
    strip(out)
    check_equal(out, run(out, inputs), expected, tolerance=HALF_TOLERANCE)


def run(path: Path, inputs: Array) -> Array:
    """One inference of a file, as the device runs it."""
    return Session(str(path), path.read_bytes()).run(inputs)


def as_input(image: Image) -> Array:
    """BGR (H, W, 3) as the detector's input (1, 3, H, W), RGB, 0 to 1."""
    planes = image[None, :, :, ::-1].transpose(0, 3, 1, 2)
    return np.ascontiguousarray(planes, np.float32) / np.float32(255)


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
    onnx.save(model, path)


def strip(path: Path) -> None:
    """Takes out what exporters write beside the network: the same weights are the same file."""
    model = onnx.load(path)
    del model.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
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


def check_candidates(path: Path, got: Array, expected: Array, *, box: float, score: float) -> None:
    """Raises TrainError unless every likely candidate has its like in the other answer."""
    for wanted, others in ((expected, got), (got, expected)):
        last = wanted[0, 4].min() + 2 * score  # which of them are still among the best is chance
        likely = wanted[0].T[wanted[0, 4] >= max(UNLIKELY, last)]
        differences = np.abs(likely[:, None] - others[0].T[None]) / [box, box, box, box, score]
        worst = differences.max(axis=2).min(axis=1, initial=np.inf).max(initial=0.0)
        if not worst <= 1:
            raise TrainError(f"{path}: ONNX Runtime differs from torch, {worst:.2g} times too much")


def check_equal(path: Path, got: Array, expected: Array, *, tolerance: float) -> None:
    """Raises TrainError unless no value differs by more."""
    difference = float(np.abs(got - expected).max())
    if not difference <= tolerance:
        raise TrainError(f"{path}: ONNX Runtime differs from torch by {difference:.2g}")


def edit_spec(folder: Path, detector: dict[str, Any]) -> None:
    """Sets values of the detector, and the hash of each network, in `bundle.toml`."""
    path = folder / "bundle.toml"
    table: Any = tomlkit.parse(path.read_text())
    table["detector"].update(detector)
    for network in (table["detector"], table["reader"]):
        network["sha256"] = hashlib.sha256((folder / network["file"]).read_bytes()).hexdigest()
    path.write_text(tomlkit.dumps(table))


def _pixels(size: str) -> tuple[int, int]:
    width, times, height = size.partition("x")
    if not (times and width.isdecimal() and height.isdecimal()):
        raise TrainError(f"--size {size}: must be WIDTHxHEIGHT, as 640x384")
    if int(width) % STRIDE or int(height) % STRIDE or not int(width) * int(height):
        raise TrainError(f"--size {size}: both must be multiples of {STRIDE}")
    return int(width), int(height)


def export_bundle(
    detector: Path | None,
    reader: easyocr_reader.PlateRecogniser | None,
    out: Path,
    *,
    size: str | None = None,
    precision: str | None = None,
    data: Sequence[str] = (),
) -> None:
    """Fills the bundle `out` with networks; it is as before, or whole.

    Args:
        detector: Weights as ultralytics saves them; None: the one that the bundle has.
        reader: The recogniser; None: the one that the bundle has.
        out: Folder of the bundle; without `bundle.toml` it starts as a copy of the one that ships.
        size: WIDTHxHEIGHT of the detector's input; None: as `bundle.toml` says.
        precision: Of the detector, see `Form`; None: as `bundle.toml` says.
        data: Folders of labelled pictures; their training part calibrates "int8".

    Raises:
        TrainError: A network's answers differ from those of its weights.
    """
    before = out if (out / "bundle.toml").exists() else DEFAULT_BUNDLE
    spec = Bundle(before).spec.detector
    width, height = _pixels(size) if size else (spec.width, spec.height)
    form = Form(width, height, precision or spec.precision)
    with tempfile.TemporaryDirectory(dir=out.resolve().parent) as folder:
        made = Path(shutil.copytree(before, Path(folder) / "made"))
        if detector:
            export_detector(detector, made / "detector.onnx", form, data)
            edit_spec(made, {**asdict(form), "origin": origin(detector)})
        if reader:
            export_reader(reader, made / "reader.onnx")
            edit_spec(made, {})
        (made / "MODEL_CARD.md").write_text(card(Bundle(made).spec))
        if out.exists():
            out.rename(Path(folder) / "before")
        made.rename(out)
