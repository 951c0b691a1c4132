"""Drop-in detectors of ultralytics: the boxes and scores of its own `predict` on a real image."""

import numpy as np
import pytest
import torch
from ultralytics import YOLO

from plateid.capture.images import ArrayImage
from plateid.config.models import ModelsConfig
from plateid.core.geometry import iou
from plateid.models.networks import Networks
from plateid.models.onnx_detector import to_detector_input
from train.export.torch_parity import demo_frame

pytestmark = pytest.mark.filterwarnings("ignore")
SIZE, SCORE, NMS_IOU = 160, 0.4, 0.7
CLASSES = {0: "car", 1: "license_plate", 2: "person"}


def export(folder, name: str, classes: int, **options: object):
    """Exports an untrained network, with weights of the head that give scores of all sizes."""
    torch.manual_seed(1)
    network = YOLO(f"{name}.yaml", verbose=False)
    names = {n: CLASSES[n] for n in range(classes)}
    network.model = type(network.model)(f"{name}.yaml", nc=classes, verbose=False)
    network.model.names = names
    head = network.model.model[-1]
    for kind, std, bias in (("cv2", 0.02, 2.0), ("cv3", 0.1, -1.0)):
        for branch in (*getattr(head, kind), *getattr(head, f"one2one_{kind}", [])):
            torch.nn.init.normal_(branch[-1].weight, std=std)
            torch.nn.init.constant_(branch[-1].bias, bias)
    network.model.train()
    for layer in network.model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
    network.model(torch.from_numpy(to_detector_input(demo_frame(SIZE, SIZE))))
    network.model.eval()
    weights = folder / f"{name}.pt"
    network.save(weights)
    options = {"imgsz": SIZE, "simplify": False, "verbose": False} | options
    return YOLO(weights).export(format="onnx", **options)


@pytest.mark.parametrize(
    ("name", "classes", "options"),
    [
        ("yolov8n", 1, {}),
        ("yolov8n", 3, {"nms": True, "conf": SCORE, "iou": NMS_IOU}),
        ("yolo11n", 3, {}),
        ("yolo26n", 3, {}),
    ],
)
def test_boxes_and_scores_are_those_of_predict(tmp_path, name, classes, options):
    path = export(tmp_path, name, classes, **options)
    frame = demo_frame(320, 240)
    number = min(1, classes - 1)
    predict = {"imgsz": SIZE, "conf": SCORE, "iou": NMS_IOU, "classes": [number], "verbose": False}
    (expected,) = YOLO(path, task="detect").predict(frame, **predict)
    networks = Networks(ModelsConfig(detector=str(path)))
    found = networks.detector(threshold=SCORE).detect(ArrayImage(frame))
    boxes, scores = expected.boxes.xyxy.numpy(), expected.boxes.conf.numpy()
    has_area = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)  # not outside of the image
    boxes, scores = boxes[has_area], scores[has_area]
    assert len(boxes) > 3
    assert len(found) == len(boxes)
    assert [each.score for each in found] == pytest.approx(scores.tolist(), abs=0.01)
    got = np.array([each.box for each in found], np.float32)
    assert iou(got, boxes).max(axis=0).min() > 0.9
