"""Quantises a reader to INT8, and refuses a loss of accuracy."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx

from plateid.models.onnx_reader import to_reader_input
from plateid.models.session import NetworkSession
from train.export.quantise import Array, Plan, quantise, store_as_float16
from train.reader.held_out_accuracy import correct_reads
from train.reader.reader_weights import KEPT, SPEC
from train.reader.real_plates import RealPlate, augmented, by_source
from train.train_error import TrainError

CROPS = 512
"""Number of crops to calibrate with; each source gives the same number."""
MAX_LOSS, MIN_LOST = 0.01, 1
"""Largest loss of held-out plates: a share of them, or one, whichever is more."""
TwoSides = tuple[Sequence[RealPlate], Sequence[RealPlate]]
"""Plates to calibrate with, and held-out plates."""
OPERATORS = ("Conv", "Relu", "Add")
"""Operators that are quantised."""
RECTIFIER = "/rectifier/"
"""Part of the names of the rectifier's nodes."""
CONVOLUTIONAL = {"Conv", "Relu"}
"""Operators that make both inputs of an Add that is quantised."""


def quantise_reader(path: Path, plates: TwoSides) -> None:
    """Quantises the float32 reader at `path` in place.

    The trained weights stay in the file as well, unused: training goes on from them. Of the plates
    that have a text, those of the first side calibrate and those of the second measure. Raises
    TrainError if there is none to measure, or too many fewer are read.
    """
    training, held_out = ([plate for plate in side if plate.text] for side in plates)
    if not held_out:
        names = ", ".join(sorted({plate.source for plate in training}))
        raise TrainError(f"{names}: no plate with a text is held out to check INT8 with")
    exact = path.with_suffix(".float.onnx")
    path.replace(exact)
    quantise(exact, path, _inputs(training), Plan(OPERATORS, _in_float))
    store_as_float16(path)
    _keep_weights(exact, path)
    before, after = (_count_correct(each, held_out) for each in (exact, path))
    if before - after > max(MIN_LOST, MAX_LOSS * len(held_out)):
        read = f"{after} of {len(held_out)} held-out plates are read correctly"
        raise TrainError(f"{path}: {read} with INT8, {before} with float32")
    exact.unlink()


def _inputs(plates: Sequence[RealPlate]) -> Iterator[Array]:
    rng = np.random.default_rng(0)
    sources = by_source(plates)
    for number in range(CROPS):
        source = sources[number % len(sources)]
        yield to_reader_input(augmented(rng, source[rng.integers(len(source))]).image, SPEC)[None]


def _in_float(graph: onnx.GraphProto) -> Iterator[str]:
    """Yields the rectifier, the first convolution of the stem, and sums outside of convolutions.

    The rectifier must be exact, and the first convolution gains nothing.
    """
    made_by = {output: node.op_type for node in graph.node for output in node.output}
    rectifier = [node.name for node in graph.node if RECTIFIER in node.name]
    yield from rectifier
    yield next(n.name for n in graph.node if n.op_type == "Conv" and n.name not in rectifier)
    for node in graph.node:
        if node.op_type == "Add" and not {made_by.get(x) for x in node.input} <= CONVOLUTIONAL:
            yield node.name


def _count_correct(path: Path, plates: Sequence[RealPlate]) -> int:
    network = NetworkSession(str(path), path.read_bytes())
    return sum(correct_reads(lambda crop: network.run(crop)[0], SPEC, plates))


def _keep_weights(exact: Path, path: Path) -> None:
    """Copies the weights of `exact` into the file, large ones as float16."""
    store_as_float16(exact)
    model = onnx.load(path)
    for weights in onnx.load(exact).graph.initializer:
        weights.name += KEPT
        model.graph.initializer.append(weights)
    onnx.save(model, path)
