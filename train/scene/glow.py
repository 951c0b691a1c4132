"""What the lamps of cars do at night: light on the road, and halos in the lens."""

import cv2
import numpy as np
from numpy.typing import NDArray

from plateid.core.records import Image
from train.scene.camera import Camera
from train.scene.draw import pixel, polygon
from train.scene.vehicle import Pose, Vehicle

_COARSE = 8
"""Light is soft: it is computed on this many times fewer rows and columns."""
HEADLAMP, TAIL_LAMP = (225, 245, 255), (15, 12, 128)


def light_road(
    picture: Image, day: Image, camera: Camera, cars: list[tuple[Vehicle, Pose]]
) -> None:
    """Adds the headlamps' light on the road, in place.

    Args:
        picture: The night scene without cars.
        day: The same by day: what the light falls on.
        camera: That both were painted for.
        cars: All whose lamps are on.
    """
    mask = np.zeros((camera.height // _COARSE, camera.width // _COARSE), np.uint8)
    for vehicle, pose in cars:
        _beam(mask, camera, vehicle, pose)
    first = int(camera.horizon)
    soft = cv2.GaussianBlur(mask, (0, 0), 40 / _COARSE)
    share = cv2.resize(soft, (camera.width, camera.height))[first:, :, None]
    gain = cv2.multiply(day[first:], np.repeat(share, 3, axis=2), scale=0.55 / 255)
    picture[first:] = cv2.add(picture[first:], gain)


def _beam(mask: NDArray[np.uint8], camera: Camera, vehicle: Vehicle, pose: Pose) -> None:
    """From the lamps outwards, weaker with distance."""
    front = vehicle.body.end == "front"
    start = -0.4 if front else vehicle.body.length + 0.4
    layer = np.zeros_like(mask)
    for reach, bright in ((9.0, 50), (6.5, 90), (4.5, 140), (3.0, 200), (1.8, 250)):
        stop = max(start - reach, 0.8 - pose.z) if front else start + 2 * reach
        wide = 0.75 + 0.1 * reach
        outline = [(-0.75, 0, start), (0.75, 0, start), (wide, 0, stop), (-wide, 0, stop)]
        polygon(layer, camera.project(pose.world(np.array(outline))) / _COARSE, (bright,))
    np.maximum(mask, layer, out=mask)


def halos(camera: Camera, cars: list[tuple[Vehicle, Pose]]) -> NDArray[np.float32]:
    """Light that lamps spill over the picture, shape (H, W, 3), 0 upwards."""
    rows, columns = np.ogrid[: camera.height // _COARSE, : camera.width // _COARSE]
    total = np.zeros((camera.height // _COARSE, camera.width // _COARSE, 3), np.float32)
    for vehicle, pose in cars:
        front = vehicle.body.end == "front"
        for lamp in pose.world(vehicle.lamps()):
            if lamp[2] < 2.0:
                continue
            column, row = camera.project(lamp) / _COARSE
            core = max(camera.focal / _COARSE / float(lamp[2]) * (0.10 if front else 0.07), 0.35)
            squared = ((columns - column) ** 2 + (rows - row) ** 2) / core**2
            light = 0.9 / (1 + squared) ** 1.5 + 0.05 / (1 + squared / 30)
            total += light[..., None].astype(np.float32) * pixel(HEADLAMP if front else TAIL_LAMP)
    return np.asarray(
        cv2.resize(total, (camera.width, camera.height), interpolation=cv2.INTER_CUBIC), np.float32
    )
