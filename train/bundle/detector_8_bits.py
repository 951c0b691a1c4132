"""A detector in 8 bits, calibrated and judged on pictures with plates."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from plateid.capture.pictures import read_picture
from plateid.config.models import DEFAULT_BUNDLE
from plateid.core.geometry import letterboxed
from plateid.models.bundle import Bundle
from plateid.models.detector import OnnxDetector, as_input
from plateid.models.session import Session
from train.bundle.quantise import Array, quantise
from train.dataset.checks import checked_pictures
from train.dataset.pictures import LabelledPicture, split
from train.errors import TrainError
from train.evaluation.metrics import Sample, rank

CALIBRATION = 200
"""Pictures that show the quantiser the range of each activation, and as many to judge it."""
LOSS = 0.01
"""Greatest fall of mAP50 by quantisation."""
LOWEST = 0.01
OPERATORS = [
    "Conv",
    "Relu",
    "Sigmoid",
    "Mul",
    "MaxPool",
    "Concat",
    "Add",
    "Resize",
    "Split",
    "Slice",
]


def detector_in_8_bits(
    path: Path, data: Sequence[str], size: tuple[int, int], *, head: str
) -> None:
    """Replaces a network by its quantised form, if that finds plates as well.

    Args:
        path: A detector in float32.
        data: Folders of labelled pictures: their training part calibrates, the held-out one judges.
        size: Width and height of the input.
        head: Prefix of the names of the head's nodes; its last convolutions and what decodes their
            answers stay in float32.

    Raises:
        TrainError: Its mAP50 falls by more than LOSS.
    """
    train, held_out = split(checked_pictures(map(Path, data))[0])
    exact = path.with_suffix(".float.onnx")
    path.replace(exact)
    quantise(
        exact,
        path,
        _inputs(_some(train), size),
        operators=OPERATORS,
        in_float=lambda graph: [n.name for n in graph.node if sensitive(n.name, head=head)],
    )
    take_bytes(path)
    before, after = (_map50(each, _some(held_out), size) for each in (exact, path))
    exact.unlink()
    if not after >= before - LOSS:
        raise TrainError(f"{path}: mAP50 falls from {before:.3f} to {after:.3f} in 8 bits")


def take_bytes(path: Path) -> None:
    """Gives a quantised network an input of BGR (1, H, W, 3) 0 to 255 in place of RGB 0 to 1.

    Its first step made bytes of the numbers that the device had made of bytes. The weights of the
    first convolution change places with the colours.
    """
    model = onnx.load(path)
    graph = model.graph
    source = graph.input[0]
    _, colours, height, width = (axis.dim_value for axis in source.type.tensor_type.shape.dim)
    (quantise_it,) = (node for node in graph.node if source.name in node.input)
    (widen,) = (node for node in graph.node if quantise_it.output[0] in node.input)
    weights = {weight.name: weight for weight in graph.initializer}
    _, scale, zero = quantise_it.input
    weights[scale].CopyFrom(numpy_helper.from_array(np.float32(1 / 255), scale))
    weights[zero].CopyFrom(numpy_helper.from_array(np.uint8(0), zero))
    for convolution in [node for node in graph.node if widen.output[0] in node.input]:
        (kernel,) = (node for node in graph.node if convolution.input[1] in node.output)
        name = kernel.input[0]
        turned = numpy_helper.to_array(weights[name])[:, ::-1]
        weights[name].CopyFrom(numpy_helper.from_array(np.ascontiguousarray(turned), name))
    shape = [1, height, width, colours]
    source.CopyFrom(onnx.helper.make_tensor_value_info(source.name, TensorProto.UINT8, shape))
    planes = onnx.helper.make_node(
        "Transpose", [source.name], [quantise_it.output[0]], perm=[0, 3, 1, 2]
    )
    graph.node.remove(quantise_it)
    graph.node.insert(0, planes)
    onnx.save(model, path)


def sensitive(node: str, *, head: str) -> bool:
    """Whether a node of the head gives an answer or decodes it, by its name in ultralytics' graph.

    `cv2` and `cv3` are the towers of boxes and scores; the last of their three steps answers.
    """
    if not node.startswith(head):
        return "/model." not in node
    tower = node.removeprefix(head).split("/")
    return not tower[0].startswith(("cv2", "cv3")) or tower[1].endswith(".2")


def _some(pictures: Sequence[LabelledPicture]) -> list[LabelledPicture]:
    with_plates = [picture for picture in pictures if picture.boxes]
    order = np.random.default_rng(0).permutation(len(with_plates))
    return [with_plates[i] for i in order[:CALIBRATION]]


def _inputs(pictures: Sequence[LabelledPicture], size: tuple[int, int]) -> Iterator[Array]:
    canvas = np.empty((size[1], size[0], 3), np.uint8)
    for picture in pictures:
        letterboxed(read_picture(picture.path), canvas)
        yield as_input(canvas)


def _map50(path: Path, pictures: Sequence[LabelledPicture], size: tuple[int, int]) -> float:
    """Of a file, on pictures of a validation part."""
    network = Session(str(path), path.read_bytes())
    spec = Bundle(DEFAULT_BUNDLE).spec.detector.model_copy(
        update={"width": size[0], "height": size[1]}
    )
    detector = OnnxDetector(network, spec, threshold=LOWEST)
    return rank([_sample(detector, picture) for picture in pictures], 0.5).average_precision()


def _sample(detector: OnnxDetector, picture: LabelledPicture) -> Sample:
    found = detector.detect(read_picture(picture.path))
    boxes = np.array([each.box for each in found], np.float32).reshape(-1, 4)
    truths = np.array(picture.boxes, np.float32).reshape(-1, 4)
    return Sample(boxes, np.array([each.score for each in found], np.float32), truths)
