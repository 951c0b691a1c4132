"""A vehicle with its plate, ready to be drawn at any place on the road."""

from dataclasses import dataclass

import cv2
import numpy as np

from plateid.core.records import Box, Image
from train.street.body import Body, read_body, vehicle_faces
from train.street.projection import Colour, Points, Projection, fill, scaled
from train.street.scenario import StreetVehicle
from train.synth.flat_plate import draw_plate, layout_of

CAP_PX, GAP_M = 80.0, 0.015
"""Height of a plate's characters: enough for 1920 x 1080; distance of a plate from the skin."""
DAYTIME_LAMPS, PLATE_NIGHT, NIGHT = 0.25, 0.72, (0.34, 0.27, 0.24)
"""Share of the light that headlamps give by day, and that is left at night on a plate and a car."""

SHADOW = (58, 55, 54), (14, 11, 10)
"""Colours of the road under a vehicle, by day and at night."""


@dataclass(frozen=True, eq=False)
class VehicleModel:
    """The corners of a vehicle's faces, shape (N, 3), and of its plate, shape (2, 3).

    `starts` has the first corner of each face but the first; `colours` are by day and at night.
    """

    vehicle: StreetVehicle
    body: Body
    points: Points
    starts: list[int]
    colours: list[tuple[Colour, Colour]]
    plate: Image
    corners: Points

    def draw(self, image: Image, projection: Projection, place: Points, *, night: bool) -> None:
        """Draws the vehicle and its shadow, in place; its facing end stands at `place`."""
        half, end = self.body.half_width, self.body.length
        ground = [(-half, 0, 0), (half + 0.4, 0, 0), (half + 0.4, 0, end), (-half, 0, end)]
        fill(image, projection.project(np.array(ground) + place), SHADOW[night])
        faces = np.split(projection.project(self.points + place), self.starts)
        for corners, colours in zip(faces, self.colours, strict=True):
            fill(image, corners, colours[night])
        plate = cv2.convertScaleAbs(self.plate, alpha=PLATE_NIGHT if night else 1.0)
        _paste(image, np.asarray(plate, np.uint8), self.boxes(projection, place)[0])

    def boxes(self, projection: Projection, place: Points) -> tuple[Box, Box]:
        """Returns the boxes around the plate and around the vehicle, pixels."""
        plate, whole = (projection.project(each + place) for each in (self.corners, self.points))
        return _bounds(plate), _bounds(whole)


def build_model(vehicle: StreetVehicle, rng: np.random.Generator) -> VehicleModel:
    """Builds a vehicle and draws its plate."""
    front = vehicle.direction == "towards"
    body = read_body(vehicle.body, front=front)
    red, green, blue = bytes.fromhex(vehicle.colour[1:])
    faces = vehicle_faces(body, (blue, green, red), front=front)
    layout = layout_of(rng, vehicle.region, vehicle.plate)
    plate = draw_plate(rng, layout, vehicle.region, cap=CAP_PX, text=vehicle.plate)
    x, half = layout.size[0] / 2000, layout.size[1] / 2000  # mm to half of it in metres
    low, high = body.plate - half, body.plate + half
    z = float(body.on_skin(np.array([(0, low), (0, high)]))[:, 2].min()) - GAP_M
    day = [scaled(np.add(f.colour, scaled(f.light, DAYTIME_LAMPS * front)), 1) for f in faces]
    night = [scaled(np.multiply(f.colour, NIGHT) + f.light, 1) for f in faces]
    return VehicleModel(
        vehicle,
        body,
        points=np.vstack([face.points for face in faces]),
        starts=np.cumsum([len(face.points) for face in faces])[:-1].tolist(),
        colours=list(zip(day, night, strict=True)),
        plate=plate.image,
        corners=np.array([(-x, low, z), (x, high, z)]),
    )


def _bounds(points: Points) -> Box:
    (x1, y1), (x2, y2) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return x1, y1, x2, y2


def _paste(image: Image, plate: Image, box: Box) -> None:
    """Scales a flat image into a box of the image, in place, with sub-pixel precision."""
    low, high = np.array(box[:2]), np.array(box[2:])
    size = np.clip(high - low, (4, 2), plate.shape[1::-1]).astype(int)
    small = cv2.resize(plate, size.tolist(), interpolation=cv2.INTER_AREA)
    first = np.maximum(low, 0).astype(int)
    part = image[first[1] : int(high[1]) + 1, first[0] : max(0, int(high[0]) + 1)]
    if part.size:
        warp = np.column_stack([np.diag((high - low) / size), low - first])
        size = part.shape[1::-1]
        cv2.warpAffine(small, warp, size, part, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT)
