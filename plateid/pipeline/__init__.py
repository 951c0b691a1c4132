"""From a camera's frames to the two events of each vehicle pass."""

from plateid.pipeline.camera_pipeline import CameraPipeline, Detector
from plateid.pipeline.event_builder import EventServices, Origin
from plateid.pipeline.settings import PipelineSettings
from plateid.pipeline.stills import PlateReader, read_detections
from plateid.pipeline.traffic import EventSink

__all__ = [
    "CameraPipeline",
    "Detector",
    "EventServices",
    "EventSink",
    "Origin",
    "PipelineSettings",
    "PlateReader",
    "read_detections",
]
