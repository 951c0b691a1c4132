"""Renders test videos of a street with vehicles whose plates, boxes and times are known.

`read_street` or `Street(vehicles=(StreetVehicle(...), ...))` describes a street, `render` yields
its frames with their plates, and `write_video` writes a video file and its ground truth as JSON.
"""

from train.street.frames import StreetFrame, VisiblePlate, render, write_video
from train.street.scenario import Street, StreetVehicle, random_street, read_street

__all__ = ["Street", "StreetFrame", "StreetVehicle", "VisiblePlate"]
__all__ += ["random_street", "read_street", "render", "write_video"]
