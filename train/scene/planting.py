"""Trees, hedges and houses along the road."""

import numpy as np

from plateid.core.records import Grey, Image
from train.scene.camera import Camera, Points
from train.scene.draw import Colour, dim, ellipse, mix, polygon

TREES = (
    (-6.6, 19.0, 4.6), (6.9, 22.0, 5.0), (7.4, 34.0, 5.4), (-7.2, 40.0, 5.2), (6.6, 52.0, 5.0),
    (-6.5, 62.0, 5.6), (6.8, 76.0, 5.4), (-6.8, 88.0, 5.2), (6.4, 105.0, 5.6), (-6.4, 120.0, 5.6),
    (5.8, 150.0, 6.0), (-5.6, 170.0, 6.0),
)  # fmt: skip
"""x, z and height."""
HOUSES = (
    (-9.0, 27.0, 9.0, (150, 188, 214)), (9.4, 40.0, 10.0, (186, 190, 196)),
    (-9.5, 50.0, 10.0, (120, 140, 190)), (9.0, 62.0, 9.0, (160, 200, 216)),
    (-9.0, 74.0, 11.0, (196, 200, 204)), (9.0, 92.0, 12.0, (140, 160, 200)),
    (-8.5, 100.0, 12.0, (150, 176, 190)),
)  # fmt: skip
"""x of the wall along the road, z of its near end, its length, colour."""
AIR = (210, 208, 200)


def plant(picture: Image, windows: Grey, camera: Camera, rng: np.random.Generator) -> None:
    """Draws from far to near; panes that are lit at night are marked in `windows`."""
    things: list[tuple[float, int, int]] = [(z, 0, i) for i, (_, z, _) in enumerate(TREES)]
    things += [(z, 1, i) for i, (_, z, _, _) in enumerate(HOUSES)]
    for _, kind, index in sorted(things, reverse=True):
        if kind:
            _house(picture, windows, camera, HOUSES[index])
        else:
            _tree(picture, windows, camera, TREES[index], rng=rng)
    _hedges(picture, camera, rng)


def _house(
    picture: Image,
    windows: Grey,
    camera: Camera,
    house: tuple[float, float, float, tuple[int, int, int]],
) -> None:
    x, z, length, colour = house
    side, back = np.sign(x), x + np.sign(x) * 7
    eaves, ridge, middle = 4.6, 7.2, x + np.sign(x) * 3.5
    air = 1 - np.exp(-z / 260)
    wall, shade = mix(colour, AIR, air), mix(dim(colour, 0.72), AIR, air)
    front, along = (wall, shade) if side > 0 else (shade, wall)
    gable = [(x, 0, z), (back, 0, z), (back, eaves, z), (middle, ridge, z), (x, eaves, z)]
    polygon(picture, camera.project(gable), front)
    polygon(
        picture,
        camera.project([(x, 0, z), (x, 0, z + length), (x, eaves, z + length), (x, eaves, z)]),
        along,
    )
    out = x - side * 0.35
    roof = [
        (out, eaves - 0.25, z - 0.3),
        (out, eaves - 0.25, z + length),
        (middle, ridge, z + length),
        (middle, ridge, z - 0.3),
    ]
    polygon(picture, camera.project(roof), mix((74, 84, 138), AIR, air))
    _panes(picture, windows, camera, house)


def _panes(
    picture: Image,
    windows: Grey,
    camera: Camera,
    house: tuple[float, float, float, tuple[int, int, int]],
) -> None:
    x, z, length, _ = house
    side = np.sign(x)
    for number, floor in enumerate((0.9, 2.9)):
        for step in range(int(length // 2.4)):
            near = z + 0.8 + step * 2.4
            pane = [
                (x, floor, near),
                (x, floor, near + 1.2),
                (x, floor + 1.3, near + 1.2),
                (x, floor + 1.3, near),
            ]
            _pane(picture, windows, camera.project(pane), lit=(step + number + round(z)) % 3 == 0)
        for step in range(3):
            left = x + side * (0.9 + step * 2.1)
            right = left + side * 1.2
            pane = [
                (left, floor, z),
                (right, floor, z),
                (right, floor + 1.3, z),
                (left, floor + 1.3, z),
            ]
            _pane(picture, windows, camera.project(pane), lit=(step + number + round(z)) % 4 == 1)


def _pane(picture: Image, windows: Grey, corners: Points, *, lit: bool) -> None:
    middle = corners.mean(axis=0)
    polygon(picture, middle + (corners - middle) * 1.18, (226, 228, 230))
    polygon(picture, corners, (116, 100, 88))
    polygon(picture, [corners[0], corners[3], corners[2]], (150, 136, 120))
    if lit:
        polygon(windows, corners, (200,))


def _tree(
    picture: Image,
    windows: Grey,
    camera: Camera,
    tree: tuple[float, float, float],
    *,
    rng: np.random.Generator,
) -> None:
    x, z, tall = tree
    air = 1 - np.exp(-z / 260)
    scale = camera.focal / z
    foot = [
        (x - 0.16, 0, z),
        (x + 0.16, 0, z),
        (x + 0.09, tall * 0.6, z),
        (x - 0.09, tall * 0.6, z),
    ]
    shadow = camera.project((x, 0, z))
    ellipse(picture, shadow, (0.9 * scale, 0.9 * scale * camera.above / z), (50, 88, 68))
    polygon(picture, camera.project(foot), mix((52, 66, 84), AIR, air))
    ellipse(
        windows,
        camera.project((x, tall * 0.72, z)),
        (tall * 0.34 * scale, tall * 0.32 * scale),
        (0,),
    )
    _leaves(picture, camera.project((x, tall * 0.72, z)), tall * 0.36 * scale, (rng, air))


def _leaves(
    picture: Image, centre: Points, radius: float, look: tuple[np.random.Generator, float]
) -> None:
    """A crown: many blobs, those up and left lighter, drawn dark to light."""
    rng, air = look
    hue = rng.uniform(-12, 12)
    for light in np.linspace(0, 1, 7):
        for _ in range(60):
            turn, far = rng.uniform(0, 2 * np.pi), np.sqrt(rng.uniform(0, 1)) * (1 - 0.35 * light)
            shift = (
                np.array([np.cos(turn), np.sin(turn) * 0.92]) * far - np.array([0.16, 0.24]) * light
            )
            tint: Colour = (44 + hue + 26 * light, 78 + 58 * light, 52 + hue + 50 * light)
            size = radius * rng.uniform(0.05, 0.15) * (1.5 - 0.7 * light)
            ellipse(picture, centre + shift * radius, (size, size * 0.86), mix(tint, AIR, air))


def _hedges(picture: Image, camera: Camera, rng: np.random.Generator) -> None:
    """A row of bushes behind each pavement."""
    for z in np.geomspace(160, 7.5, 500):
        for side in (-1, 1):
            x, y = side * (5.5 + rng.uniform(-0.1, 0.15)), rng.uniform(0.15, 0.75)
            size = camera.focal / z * rng.uniform(0.08, 0.22)
            light = y / 0.75 * rng.uniform(0.7, 1.0)
            tint: Colour = (38 + 24 * light, 66 + 56 * light, 46 + 40 * light)
            ellipse(
                picture,
                camera.project((x, y, z)),
                (size, size * 0.8),
                mix(tint, AIR, 1 - np.exp(-z / 260)),
            )
