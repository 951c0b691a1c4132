"""Measures inference time on one core, relative to YOLOv8n at 640 x 640."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ultralytics import YOLO

from plateid.models.bundle import Bundle
from plateid.models.session import NetworkSession

REFERENCE = "yolov8n.yaml"
"""Network that others are compared with."""
REFERENCE_PX = 640
"""Side of the reference's input, pixels."""


@dataclass(frozen=True)
class Latency:
    """The median inference time of a network in ONNX Runtime: batch 1, one thread.

    `name` is the bundle's folder and the kind of network; `ratio` is to the reference's median.
    """

    name: str
    size: str
    median_ms: float
    ratio: float


def measure(bundles: list[Path], *, rounds: int = 40) -> list[Latency]:
    """Measures the reference and each bundle's networks by turns, under the same load."""
    sessions = {"YOLOv8n, one class": (reference_session(), (REFERENCE_PX, REFERENCE_PX))}
    for folder in bundles:
        bundle = Bundle(folder)
        for kind in ("detector", "reader"):
            spec = getattr(bundle.spec, kind)
            network = NetworkSession(spec.name, getattr(bundle, kind))
            sessions[f"{folder} {kind}"] = network, (spec.width, spec.height)
    times: dict[str, list[float]] = {name: [] for name in sessions}
    for _ in range(rounds):
        for name, (session, _size) in sessions.items():
            times[name].append(session.probe())
    medians = {name: float(np.median(values)) for name, values in times.items()}
    reference = next(iter(medians.values()))
    return [
        Latency(name, f"{width}x{height}", medians[name], medians[name] / reference)
        for name, (_, (width, height)) in sessions.items()
    ]


def reference_session() -> NetworkSession:
    """Returns an untrained YOLOv8n as ultralytics exports it: weights do not change its speed."""
    model = YOLO(REFERENCE, verbose=False)
    model.model = type(model.model)(REFERENCE, nc=1, verbose=False)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "reference.pt"
        model.save(weights)
        YOLO(weights).export(format="onnx", imgsz=REFERENCE_PX, simplify=False, opset=17)
        path = weights.with_suffix(".onnx")
        return NetworkSession(path.name, path.read_bytes())
