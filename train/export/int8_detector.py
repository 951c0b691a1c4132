"""A detector in 8 bits, calibrated and judged on pictures with plates."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx

from plateid.capture.images import read_image
from plateid.config.models import DEFAULT_BUNDLE
from plateid.core.geometry import letterboxed
from plateid.models.bundle import read_spec
from plateid.models.onnx_detector import OnnxDetector, to_detector_input
from plateid.models.session import NetworkSession
from train.dataset.labelled_images import LabelledImage, split
from train.dataset.splits import checked_pictures
from train.evaluation.metrics import Sample, rank
from train.export.int8_layout import take_bytes
from train.export.quantise import Array, quantise
from train.train_error import TrainError

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
    model = onnx.load(path)
    rearrange(model)
    onnx.save(model, path)
    before, after = (_map50(each, _some(held_out), size) for each in (exact, path))
    exact.unlink()
    if not after >= before - LOSS:
        raise TrainError(f"{path}: mAP50 falls from {before:.3f} to {after:.3f} in 8 bits")


def sensitive(node: str, *, head: str) -> bool:
    """Whether a node of the head gives an answer or decodes it, by its name in ultralytics' graph.

    `cv2` and `cv3` are the towers of boxes and scores; the last of their three steps answers.
    """
    if not node.startswith(head):
        return "/model." not in node
    tower = node.removeprefix(head).split("/")
    return not tower[0].startswith(("cv2", "cv3")) or tower[1].endswith(".2")


def _some(pictures: Sequence[LabelledImage]) -> list[LabelledImage]:
    with_plates = [picture for picture in pictures if picture.boxes]
    order = np.random.default_rng(0).permutation(len(with_plates))
    return [with_plates[i] for i in order[:CALIBRATION]]


def _inputs(pictures: Sequence[LabelledImage], size: tuple[int, int]) -> Iterator[Array]:
    canvas = np.empty((size[1], size[0], 3), np.uint8)
    for picture in pictures:
        letterboxed(read_image(picture.path), canvas)
        yield to_detector_input(canvas)


def _map50(path: Path, pictures: Sequence[LabelledImage], size: tuple[int, int]) -> float:
    """Of a file, on pictures of a validation part."""
    network = NetworkSession(str(path), path.read_bytes())
    spec = read_spec(DEFAULT_BUNDLE).detector.model_copy(
        update={"width": size[0], "height": size[1]}
    )
    detector = OnnxDetector(network, spec, threshold=LOWEST)
    return rank([_sample(detector, picture) for picture in pictures], 0.5).average_precision()


def _sample(detector: OnnxDetector, picture: LabelledImage) -> Sample:
    found = detector.detect(read_image(picture.path))
    boxes = np.array([each.box for each in found], np.float32).reshape(-1, 4)
    truths = np.array(picture.boxes, np.float32).reshape(-1, 4)
    return Sample(boxes, np.array([each.score for each in found], np.float32), truths)
