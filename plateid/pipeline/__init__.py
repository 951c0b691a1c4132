"""The way of a plate: from a camera's frame to the two events of a vehicle's pass."""

from plateid.pipeline.camera_pipeline import CameraPipeline, Detector
from plateid.pipeline.stills import PlateReader, read_detections
from plateid.pipeline.traffic import Origin, Sink

__all__ = [
    "CameraPipeline",
    "Detector",
    "Origin",
    "PlateReader",
    "Sink",
    "read_detections",
]
