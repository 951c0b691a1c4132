"""A reader in 8 bits, calibrated and judged on plates."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx

from plateid.models.onnx_reader import to_reader_input
from plateid.models.session import NetworkSession
from train.export.float16_weights import store_in_half
from train.export.quantise import Array, quantise
from train.reader.held_out_accuracy import correct_reads
from train.reader.reader_weights import KEPT, SPEC
from train.reader.real_plates import Plate, augmented, by_source, read_plates
from train.train_error import TrainError

CALIBRATION = 512
"""Crops that show the quantiser the range of each activation; each source counts the same."""
LOSS, CHANCE = 0.01, 1
"""Greatest part of the held-out plates that may be lost, or else so many of them."""
OPERATORS = ["Conv", "Relu", "Add"]
OF_CONVOLUTIONS = {"Conv", "Relu"}


def reader_in_8_bits(path: Path, data: Sequence[str]) -> None:
    """Replaces a network by its quantised form, if that reads plates as well.

    The weights as they were trained stay in the file, unused: training goes on from them.

    Args:
        path: A reader in float32.
        data: Folders of transcribed plates: the training part calibrates, the held-out one judges.

    Raises:
        TrainError: None of the plates is held out, or it reads fewer of them.
    """
    train, held_out = (
        [plate for plate in side if plate.text]
        for side in read_plates([Path(folder) for folder in data])
    )
    if not held_out:
        raise TrainError(f"{', '.join(data)}: no plate with a text is held out to judge 8 bits by")
    exact = path.with_suffix(".float.onnx")
    path.replace(exact)
    inputs = _inputs(train)
    quantise(exact, path, inputs, operators=OPERATORS, in_float=_in_float)
    store_in_half(path)
    _keep(exact, path)
    before, after = (_right(each, held_out) for each in (exact, path))
    if before - after > max(CHANCE, LOSS * len(held_out)):
        of = f"of {len(held_out)} held-out plates it reads {after}"
        raise TrainError(f"{path}: {of} in 8 bits, and {before} in float")
    exact.unlink()


def _inputs(plates: Sequence[Plate]) -> Iterator[Array]:
    rng = np.random.default_rng(0)
    sources = by_source(plates)
    for number in range(CALIBRATION):
        ours = sources[number % len(sources)]
        yield to_reader_input(augmented(rng, ours[rng.integers(len(ours))]).image, SPEC)[None]


def _in_float(graph: onnx.GraphProto) -> Iterator[str]:
    """The first convolution, which gains nothing; and what does not add what convolutions made."""
    made_by = {output: node.op_type for node in graph.node for output in node.output}
    yield next(node.name for node in graph.node if node.op_type == "Conv")
    for node in graph.node:
        if node.op_type == "Add" and not {made_by.get(x) for x in node.input} <= OF_CONVOLUTIONS:
            yield node.name


def _right(path: Path, plates: Sequence[Plate]) -> int:
    """How many plates a file reads."""
    network = NetworkSession(str(path), path.read_bytes())
    return sum(correct_reads(lambda crop: network.run(crop)[0], SPEC, plates))


def _keep(exact: Path, path: Path) -> None:
    """Adds the weights of `exact`, the large ones in float16."""
    store_in_half(exact)
    model = onnx.load(path)
    for weights in onnx.load(exact).graph.initializer:
        weights.name += KEPT
        model.graph.initializer.append(weights)
    onnx.save(model, path)
