"""Writes a detector or a reader as ONNX, in the form that was asked for, and proves it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import torch
from ultralytics.nn.modules.head import Detect

from plateid.models.onnx_detector import to_detector_input
from plateid.models.onnx_reader import to_reader_input
from train.detector.averaging import average_with
from train.detector.training_session import load_fused
from train.export.best_candidates import BestCandidates
from train.export.float16_weights import store_in_half
from train.export.int8_detector import detector_in_8_bits
from train.export.int8_reader import reader_in_8_bits
from train.export.torch_parity import check_candidates, check_equal, run, street
from train.reader.platenet import PlateNet
from train.reader.reader_weights import SPEC, ExportedReader
from train.train_error import TrainError

TOLERANCE = 1e-3
"""Greatest difference of a score or probability between torch and ONNX Runtime."""
HALF_TOLERANCE = 1e-2
"""The same after the weights were rounded to float16."""
BOX_TOLERANCE_PX = 0.5
HALF_BOX_TOLERANCE_PX = 2.0
Precision = Literal["float32", "float16", "int8"]
AS_TRAINED: dict[str, Any] = {
    "training": torch.onnx.TrainingMode.PRESERVE,
    "do_constant_folding": False,
}
"""Keeps weights apart and by their names, so that training can go on from the file; ONNX Runtime
folds them together when it loads it."""
STRIPS = 8
"""Of a picture, that a reader is proved with."""


@dataclass(frozen=True)
class Form:
    """How networks are to be written.

    Attributes:
        width, height: Of the detector's input, in pixels.
        precision: Of the weights: "float32", "float16" (widened when loaded) or "int8" (with
            activations, for CPUs).
    """

    width: int
    height: int
    precision: Precision = "float16"


def export_detector(
    weights: Path, out: Path, form: Form, *, mean: Sequence[Path] = (), data: Sequence[str] = ()
) -> None:
    """Writes a detector with a fixed input as ONNX.

    Args:
        weights: As ultralytics saves them.
        out: The file to write.
        form: How.
        mean: Other weights or bundles; it becomes the mean of all.
        data: Folders of labelled pictures, which "int8" needs.

    Raises:
        TrainError: It has not one class, one of `mean` is another network, or its answers differ
            from those of the weights.
    """
    model = load_fused(str(weights))
    head = model.model[-1]
    if not isinstance(head, Detect) or head.nc != 1:
        raise TrainError(f"{weights}: not a detector of one class")
    step = int(head.stride.max())
    if form.width % step or form.height % step:
        raise TrainError(f"--size: both must be multiples of {step} for {weights}")
    average_with(model, mean)
    network = BestCandidates(model, width=form.width, height=form.height).eval()
    inputs = to_detector_input(street(form.width, form.height))
    with torch.inference_mode():
        expected = network(torch.from_numpy(inputs)).numpy()
    torch.onnx.export(network, torch.from_numpy(inputs), str(out), opset_version=17, dynamo=False)
    strip(out)
    check_candidates(out, run(out, inputs), expected, box=BOX_TOLERANCE_PX, score=TOLERANCE)
    if form.precision == "float16":
        store_in_half(out)
        got = run(out, inputs)
        check_candidates(out, got, expected, box=HALF_BOX_TOLERANCE_PX, score=HALF_TOLERANCE)
    elif form.precision == "int8":
        size = (form.width, form.height)
        detector_in_8_bits(out, data, size, head=f"/model/model.{head.i}/")


def export_reader(
    reader: PlateNet, out: Path, *, precision: Precision, data: Sequence[str] = ()
) -> None:
    """Writes a reader as ONNX; batches may have any size.

    Args:
        reader: The reader.
        out: The file to write.
        precision: See `Form`.
        data: Folders of transcribed plates, which "int8" needs.

    Raises:
        TrainError: Its answers to strips of a picture differ from those of the weights, or it reads
            worse in 8 bits.
    """
    network = ExportedReader(reader).eval()
    strips = np.split(street(SPEC.width, STRIPS * SPEC.height), STRIPS)
    inputs = np.stack([to_reader_input(strip, SPEC) for strip in strips])
    names = ["crops", "probabilities"]
    torch.backends.mha.set_fastpath_enabled(False)  # the exporter does not know it
    with torch.inference_mode():
        expected = network(torch.from_numpy(inputs)).numpy()
        torch.onnx.export(
            network, (torch.from_numpy(inputs[:2]),), str(out), opset_version=17, dynamo=False,
            input_names=names[:1], output_names=names[1:],
            dynamic_axes={name: {0: "batch"} for name in names},
            **AS_TRAINED,
        )  # fmt: skip
    strip(out)
    check_equal(out, run(out, inputs), expected, tolerance=TOLERANCE)
    if precision == "float16":
        store_in_half(out)
        check_equal(out, run(out, inputs), expected, tolerance=HALF_TOLERANCE)
    elif precision == "int8":
        reader_in_8_bits(out, data)


def strip(path: Path) -> None:
    """Takes out what exporters write beside the network: the same weights are the same file."""
    model = onnx.load(path)
    del model.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
    onnx.save(model, path)
