"""Quantises a detector to INT8, and refuses a loss of accuracy."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from plateid.capture.images import read_image
from plateid.config.models import DEFAULT_BUNDLE
from plateid.core.geometry import letterboxed
from plateid.models.bundle import read_spec
from plateid.models.onnx_detector import OnnxDetector
from plateid.models.session import NetworkSession
from train.dataset.grouping import Split
from train.dataset.labelled_image import LabelledImage
from train.evaluation.coco_metrics import rank
from train.evaluation.predictor import detected_in
from train.export.int8_layout import take_bytes
from train.export.quantise import Array, Plan, quantise
from train.train_error import TrainError

IMAGES = 200
"""Maximum number of images to calibrate with, and to measure the accuracy on."""
MAX_LOSS = 0.01
"""Largest loss of mAP50 by quantisation."""
MIN_SCORE = 0.01
"""Score (0-1) from which detections count for mAP50."""
OPERATORS = (
    *("Conv", "Relu", "Sigmoid", "Mul", "MaxPool", "Concat", "Add", "Resize", "Split", "Slice"),
    *("Reshape", "Transpose"),
)
"""What is quantised. A ReLU that is missing here would be computed in float between conversions."""


def quantise_detector(
    path: Path, exact: Path, images: Split, *, size: tuple[int, int], head: str
) -> None:
    """Quantises the detector at `path` in place; TrainError if mAP50 falls by more than MAX_LOSS.

    The file is an `Int8Candidates`; `exact` is the same detector as it is exported in float32. Of
    the images, the training part calibrates and the held-out part measures. `head` is the
    name prefix of the head's nodes: its last convolutions and what follows stay in float32.
    """
    quantise(path, path, _inputs(_sample(images.training), size), detector_plan(head))
    take_bytes(path)
    held_out = _sample(images.validation)
    before, after = (_map50(each, held_out, size) for each in (exact, path))
    if not after >= before - MAX_LOSS:
        raise TrainError(f"{path}: mAP50 falls from {before:.3f} to {after:.3f} with INT8")


def detector_plan(head: str) -> Plan:
    """Returns what is quantised of a detector whose head has this name prefix."""
    return Plan(
        OPERATORS,
        lambda graph: [n.name for n in graph.node if stays_in_float(n.name, head=head)],
        of_pixels=True,
    )


def stays_in_float(node: str, *, head: str) -> bool:
    """Whether a node is an output convolution of the head or follows one, by ultralytics' names.

    `cv2` and `cv3` are the branches of boxes and scores; the last of three steps gives the output.
    """
    if not node.startswith(head):
        return "/model." not in node
    branch = node.removeprefix(head).split("/")
    return not branch[0].startswith(("cv2", "cv3")) or branch[1].endswith(".2")


def _sample(images: Sequence[LabelledImage]) -> list[LabelledImage]:
    with_plates = [image for image in images if image.boxes]
    order = np.random.default_rng(0).permutation(len(with_plates))
    return [with_plates[i] for i in order[:IMAGES]]


def _inputs(images: Sequence[LabelledImage], size: tuple[int, int]) -> Iterator[Array]:
    canvas = np.empty((size[1], size[0], 3), np.uint8)
    for image in images:
        letterboxed(read_image(image.path), canvas)
        yield canvas[None].astype(np.float32) / np.float32(255)


def _map50(path: Path, images: Sequence[LabelledImage], size: tuple[int, int]) -> float:
    network = NetworkSession(str(path), path.read_bytes())
    form = dict(zip(("width", "height"), size, strict=True))
    spec = read_spec(DEFAULT_BUNDLE).detector.model_copy(update=form)
    detector = OnnxDetector(network, spec, threshold=MIN_SCORE)
    found = [detected_in(detector, image).of_height() for image in images]
    precision = rank(found, 0.5).average_precision()
    assert precision is not None, "the images show plates"
    return precision
