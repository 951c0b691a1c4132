"""A car on the road: its textures for day and night, and how they are drawn at a place."""

from dataclasses import dataclass

import cv2
import numpy as np

from plateid.core.records import Image
from train.scene.body import Body
from train.scene.camera import Camera, Points
from train.scene.draw import Colour, dim, ellipse, lit, polygon
from train.scene.flank import PX_PER_M as FLANK_PX_PER_M
from train.scene.flank import paint_flank
from train.scene.plate import PlateStyle, plate_texture
from train.scene.skin import paint_skin
from train.scene.warp import Texture, facing, paste, texture

NIGHT = (0.34, 0.27, 0.24)
"""What is left of blue, green and red light on a car at night, under the lamps."""
PLATE_NIGHT = 0.72
"""Plates throw light back, or are lit."""


@dataclass(frozen=True)
class Pose:
    """Where the middle of a car's end with the plate is, and how far it is turned (radians)."""

    x: float
    z: float
    yaw: float

    def world(self, points: Points) -> Points:
        """Car coordinates (x, h, s) to world coordinates (x, y, z)."""
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        across, height, along = points[..., 0], points[..., 1], points[..., 2]
        return np.stack(
            [self.x + across * cos + along * sin, height, self.z - across * sin + along * cos],
            axis=-1,
        )


@dataclass(frozen=True, eq=False)
class Dress:
    """The textures under one light."""

    skin: Texture
    flank: Texture
    plate: Texture


@dataclass(frozen=True, eq=False)
class Vehicle:
    """One car with its plate."""

    body: Body
    colour: Colour
    plate_size: tuple[float, float]
    corners: Points
    day: Dress
    night: Dress

    def plate_corners(self) -> Points:
        """Lower left, lower right, upper right, upper left in car coordinates, shape (4, 3)."""
        half, tall = self.plate_size[0] / 2, self.plate_size[1] / 2
        middle, lean = self.body.plate, 0.012
        front = min(self.body.depth_at(middle - tall), self.body.depth_at(middle + tall)) - 0.015
        low, high = middle - tall, middle + tall
        back = front + lean
        return np.array(
            [(-half, low, front), (half, low, front), (half, high, back), (-half, high, back)]
        )

    def lamps(self) -> Points:
        """Middles of the two lamps in car coordinates, shape (2, 3)."""
        x = self.body.half_width * (0.80 if self.body.end == "front" else 0.84)
        return np.array([(side * x, self.body.lamps + 0.01, 0.05) for side in (-1, 1)])


def build_vehicle(body: Body, colour: Colour, style: PlateStyle, plate: str) -> Vehicle:
    """Paints all textures of a car."""
    sheet = paint_skin(body, colour)
    flank, solid = paint_flank(body, colour)
    metal = plate_texture(style, plate)
    daylight = 0.25 if body.end == "front" else 0.0  # cars run with dipped lamps by day
    daytime = np.asarray(cv2.addWeighted(sheet.paint, 1.0, sheet.light, daylight, 0), np.uint8)
    lamps_on = np.asarray(cv2.add(lit(sheet.paint, NIGHT), sheet.light), np.uint8)
    day = Dress(texture(daytime), texture(flank, solid), texture(metal))
    night = Dress(
        texture(lamps_on), texture(lit(flank, NIGHT), solid), texture(lit(metal, PLATE_NIGHT))
    )
    return Vehicle(body, colour, style.size, sheet.corners(), day, night)


def draw_vehicle(
    picture: Image, camera: Camera, vehicle: Vehicle, pose: Pose, *, night: bool
) -> None:
    """Draws the car and its shadow, in place."""
    dress, gain = (vehicle.night, 0.3) if night else (vehicle.day, 1.0)
    _shadow(picture, camera, vehicle.body, pose, strength=0.5 if night else 0.65)
    _underside(picture, camera, vehicle.body, pose, gain=gain)
    _flanks(picture, camera, vehicle, pose, dress=dress)
    _mirrors(picture, camera, vehicle, pose, gain=gain)
    mesh = camera.project(pose.world(vehicle.body.skin()))
    for row in reversed(range(mesh.shape[0] - 1)):
        for column in (0, 5, 1, 4, 2, 3):
            _cell(picture, dress.skin, vehicle.corners, mesh, at=(row, column))
    target = camera.project(pose.world(vehicle.plate_corners()))
    paste(picture, dress.plate, _whole(dress.plate), target)


def _cell(
    picture: Image, face: Texture, source: Points, target: Points, *, at: tuple[int, int]
) -> None:
    row, column = at
    index = (
        np.array([row, row, row + 1, row + 1]),
        np.array([column, column + 1, column + 1, column]),
    )
    if facing(target[index]):
        paste(picture, face, source[index], target[index])


def _whole(face: Texture) -> Points:
    height, width = face.sizes[0].shape[:2]
    return np.array(
        [(-0.5, height - 0.5), (width - 0.5, height - 0.5), (width - 0.5, -0.5), (-0.5, -0.5)]
    )


def _shadow(picture: Image, camera: Camera, body: Body, pose: Pose, *, strength: float) -> None:
    """Darkens the road under and beside the car, softly."""
    half, length = body.half_width, body.length
    outline = [
        (-half - 0.1, 0, -0.05),
        (half + 0.35, 0, 0.0),
        (half + 0.45, 0, length),
        (-half, 0, length),
    ]
    corners = camera.project(pose.world(np.array(outline)))
    reach = camera.focal / max(pose.z, 3.0) * 0.10
    edge = (camera.width, camera.height)
    low = np.clip(corners.min(axis=0) - 2 * reach, 0, edge).astype(int)
    high = np.clip(corners.max(axis=0) + 2 * reach + 1, 0, edge).astype(int)
    if (high - low < 2).any():
        return
    view = picture[low[1] : high[1], low[0] : high[0]]
    small = ((high - low + 3) // 4).astype(int)
    mask = np.zeros((small[1], small[0]), np.uint8)
    polygon(mask, (corners - low) / 4, (255,))
    soft = cv2.GaussianBlur(mask, (0, 0), max(reach / 4 * 0.5, 0.5))
    share = cv2.resize(soft, (view.shape[1], view.shape[0])).astype(np.float32) * (strength / 255)
    view[:] = (view * (1 - share[..., None])).astype(np.uint8)


def _underside(picture: Image, camera: Camera, body: Body, pose: Pose, *, gain: float) -> None:
    """Tyres and the dark below the bumper."""
    half, radius = body.half_width, body.radius
    for side in (-1, 1):
        for axle in reversed(body.wheels):
            depth = axle - radius * 0.6
            inner, outer = side * (half - 0.26), side * (half - 0.05)
            tyre = [
                (inner, 0.0, depth),
                (outer, 0.0, depth),
                (outer, radius, depth),
                (inner, radius, depth),
            ]
            polygon(picture, camera.project(pose.world(np.array(tyre))), dim((20, 20, 20), gain))
    wide, deep = half - 0.15, 0.35
    dark = [(-wide, 0.13, deep), (wide, 0.13, deep), (wide, 0.35, deep), (-wide, 0.35, deep)]
    polygon(picture, camera.project(pose.world(np.array(dark))), dim((14, 14, 14), gain))


def _flanks(picture: Image, camera: Camera, vehicle: Vehicle, pose: Pose, *, dress: Dress) -> None:
    rows = dress.flank.sizes[0].shape[0]
    for side in (-1, 1):
        mesh, flat = vehicle.body.flank(side)
        source = np.stack(
            [flat[..., 0] * FLANK_PX_PER_M, rows - 1 - flat[..., 1] * FLANK_PX_PER_M], axis=-1
        )
        target = camera.project(pose.world(mesh))
        for row in range(mesh.shape[0] - 1):
            for column in range(mesh.shape[1] - 1):
                _cell(picture, dress.flank, source, target, at=(row, column))


def _mirrors(picture: Image, camera: Camera, vehicle: Vehicle, pose: Pose, *, gain: float) -> None:
    body = vehicle.body
    along = body.cabin[0] + 0.1 if body.end == "front" else body.cabin[1] - 0.2
    for side in (-1, 1):
        middle = np.array((side * (body.half_width + 0.05), body.belt + 0.08, along))
        centre = camera.project(pose.world(middle))
        scale = camera.focal / max(float(pose.world(middle)[2]), 1.0)
        for rise, radii, light in ((0.0, (0.10, 0.075), 0.62), (0.015, (0.09, 0.055), 0.85)):
            at, size = centre - (0, rise * scale), np.array(radii) * scale
            ellipse(picture, at, size, dim(vehicle.colour, light * gain))
