"""What lens, sensor and codec do to a picture of a plate."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from plateid.core.records import Image

Light = NDArray[np.float32]
"""BGR, shape (H, W, 3); 0 to 255 is what the sensor can hold."""
Look = Callable[[np.random.Generator, Light], Light]


@dataclass(frozen=True)
class CropGeometry:
    """What is simulate_camera.

    Attributes:
        shrink: How many times smaller it is on the sensor.
        cap: Height of its characters on the sensor, pixels.
        box: Where its characters are, xyxy from 0 to 1.
    """

    shrink: float
    cap: float
    box: tuple[float, float, float, float] = (0.15, 0.25, 0.85, 0.75)

    def part(self, light: Light) -> Light:
        """The characters' part of a picture, never empty."""
        height, width = light.shape[:2]
        x1, y1 = (
            min(int(self.box[0] * width), width - 2),
            min(int(self.box[1] * height), height - 2),
        )
        x2, y2 = round(self.box[2] * width), round(self.box[3] * height)
        return light[y1 : max(y2, y1 + 2), x1 : max(x2, x1 + 2)]


def simulate_camera(rng: np.random.Generator, image: Image, subject: CropGeometry) -> Image:
    """The picture as a camera gives it: blurred, smaller, lit, noisy, compressed."""
    light = _blurred(rng, image, subject).astype(np.float32)
    light = _legible(rng, _look(rng)(rng, _lit(rng, light)), subject)
    if rng.random() < 0.25:
        light = _sharpened(rng, light)
    return _compressed(rng, _noisy(rng, light))


def _look(rng: np.random.Generator) -> Look:
    return LOOKS[np.searchsorted(np.cumsum(CHANCES), rng.random())]


def _legible(rng: np.random.Generator, light: Light, subject: CropGeometry) -> Light:
    """Enough contrast between the characters and the paper for a person, if with effort."""
    inside = subject.part(light)
    dark, bright = (float(value) for value in np.percentile(inside.mean(axis=2), (10, 82)))
    brightest = rng.uniform(110, 205)
    low = float(np.clip(dark, 0, brightest))
    high = max(low + rng.uniform(14, 50), min(bright, 340.0))
    gain = min(8.0, (high - low) / max(bright - dark, 4.0))
    inside = (inside.max(axis=2) - dark) * gain + low
    over = max(0.0, float(np.percentile(inside, 10)) - brightest)
    return (light - np.float32(dark)) * np.float32(gain) + np.float32(low - over)


def _blurred(rng: np.random.Generator, image: Image, subject: CropGeometry) -> Image:
    """Out of focus and moving, then at the size of the sensor; now and then enlarged from less."""
    picture, shrink, cap = image, subject.shrink, subject.cap
    hazy, moving = rng.random(2) < (0.6, 0.25)
    if hazy:
        most = cap * (0.07 if moving else 0.11)
        sigma = shrink * min(2.4, most, float(rng.exponential(0.055)) * cap)
        if sigma > 0.3:
            picture = cv2.GaussianBlur(picture, (0, 0), sigma)
    if moving:
        picture = _moving(rng, picture, shrink * rng.uniform(0.08, 0.3) * cap)
    height, width = picture.shape[:2]
    size = (max(10, round(width / shrink)), max(6, round(height / shrink)))
    if rng.random() < 0.2:
        less = rng.uniform(0.5, 0.9)
        low = (max(8, round(size[0] * less)), max(6, round(size[1] * less)))
        picture = cv2.resize(picture, low, interpolation=cv2.INTER_AREA)
        kinds = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_NEAREST)
        kind = kinds[rng.choice(3, p=[0.5, 0.42, 0.08])]
        return np.asarray(cv2.resize(picture, size, interpolation=kind), np.uint8)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _moving(rng: np.random.Generator, picture: Image, length: float) -> Image:
    """Motion, mostly sideways."""
    side = int(2 * np.ceil(length / 2) + 1)
    turn = rng.normal(0, 0.35) if rng.random() < 0.75 else rng.uniform(0, np.pi)
    half = np.array([np.cos(turn), np.sin(turn)]) * length / 2
    kernel = np.zeros((side, side), np.float32)
    ends = np.round((side // 2 + np.array([-half, half])) * 16).astype(int).tolist()
    cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_8, 4)
    return np.asarray(cv2.filter2D(picture, -1, kernel / kernel.sum()), np.uint8)


def _lit(rng: np.random.Generator, light: Light) -> Light:
    """Light that is not even: a slope, a lamp above the plate, glare."""
    height, width = light.shape[:2]
    if rng.random() < 0.45:
        ends = rng.uniform(0.55, 1.3, (2, 2)).astype(np.float32)
        light = (
            light * cv2.resize(ends, (width, height), interpolation=cv2.INTER_LINEAR)[:, :, None]
        )
    if rng.random() < 0.1:
        lamps = rng.uniform(0.1, 0.9, int(rng.integers(1, 4)))
        for x in lamps:
            spot = (x * width, rng.uniform(-0.15, 0.15) * height)
            light = light + _spot(spot, rng.uniform(0.1, 0.4) * height, light.shape) * rng.uniform(
                60, 400
            )
    if rng.random() < 0.07:
        spot = (rng.uniform(0, 1) * width, rng.uniform(0, 1) * height)
        light = light + _spot(spot, rng.uniform(0.2, 1.5) * height, light.shape) * rng.uniform(
            20, 110
        )
    return light


def _spot(centre: tuple[float, float], radius: float, shape: tuple[int, ...]) -> Light:
    """A round light that fades, 1 in its middle; shape (H, W, 1)."""
    xs = np.exp(-(((np.arange(shape[1], dtype=np.float32) - centre[0]) / radius) ** 2))
    ys = np.exp(-(((np.arange(shape[0], dtype=np.float32) - centre[1]) / radius) ** 2))
    return (ys[:, None] * xs)[:, :, None]


def _day(rng: np.random.Generator, light: Light) -> Light:
    return light * rng.uniform(0.5, 1.15) * rng.uniform(0.92, 1.08, 3).astype(
        np.float32
    ) + rng.uniform(-8, 25)


def _dim(rng: np.random.Generator, light: Light) -> Light:
    """Dusk or shade: little light, little contrast."""
    cast = rng.uniform(0.8, 1.2, 3).astype(np.float32)
    return light * rng.uniform(0.1, 0.5) * cast + rng.uniform(0, 40)


def _haze(rng: np.random.Generator, light: Light) -> Light:
    """A windscreen's reflection or fog: everything is drawn towards one colour."""
    veil = (rng.uniform(60, 225) + rng.normal(0, 14, 3)).astype(np.float32)
    return veil + (light - light.mean()) * rng.uniform(0.12, 0.5)


def _pink(rng: np.random.Generator, light: Light) -> Light:
    """A dashcam without an infra-red filter at dusk: pink to purple, soft, often too bright."""
    grey = light @ np.array([0.2, 0.5, 0.3], np.float32)
    mixed = light + (grey[:, :, None] - light) * rng.uniform(0.3, 0.95)
    cast = np.array(
        [rng.uniform(0.6, 1.05), rng.uniform(0.45, 0.8), rng.uniform(0.85, 1.1)], np.float32
    )
    lift = np.array([rng.uniform(0, 60), rng.uniform(0, 25), rng.uniform(10, 90)], np.float32)
    contrast = rng.uniform(0.15, 1.1)
    return _bloomed(
        rng, mixed * contrast * cast + lift + (1 - min(1.0, contrast)) * rng.uniform(10, 110) * cast
    )


def _bright(rng: np.random.Generator, light: Light) -> Light:
    """Too much light: the paper is white and eats into the characters; a dark band stays."""
    paper = float(np.percentile(light, 80))
    gain = rng.uniform(235, 420) / max(60.0, paper)
    cast = rng.uniform(0.94, 1.06, 3).astype(np.float32)
    return _bloomed(rng, light * gain * cast + rng.uniform(0, 70))


def _bloomed(rng: np.random.Generator, light: Light) -> Light:
    """Light above what the sensor holds spills over to its neighbours."""
    if rng.random() < 0.4:
        return light
    spill = cv2.GaussianBlur(np.maximum(light - 150, 0), (0, 0), rng.uniform(0.8, 3.5))
    return np.asarray(light + spill * rng.uniform(0.2, 0.9), np.float32)


def _night(rng: np.random.Generator, light: Light) -> Light:
    """Head lamps or a plate lamp: dark around, the paper throws the light back."""
    curve = 255 * (np.clip(light, 0, 255) / 255) ** rng.uniform(1.2, 2.4)
    cast = np.array([rng.uniform(0.5, 1.1), rng.uniform(0.7, 1.05), 1.0], np.float32)
    return _bloomed(
        rng, (curve * rng.uniform(0.25, 1.3) * cast + rng.uniform(0, 25)).astype(np.float32)
    )


def _infrared(rng: np.random.Generator, light: Light) -> Light:
    """A grey picture in infra-red: red and yellow are as bright as white, blue fades or darkens."""
    weights = rng.dirichlet([0.7, 1.0, 2.5]).astype(np.float32)
    grey = light @ weights
    low, high = np.percentile(grey, (3, 97))
    spread = np.clip((grey - low) / max(10.0, high - low), 0, 1.4)
    lit = spread ** rng.uniform(0.6, 1.8) * rng.uniform(50, 260) + rng.uniform(0, 60)
    tint = rng.uniform(0.93, 1.07, 3) if rng.random() < 0.25 else np.ones(3)
    return _bloomed(rng, (lit[:, :, None] * tint).astype(np.float32))


def _grey(rng: np.random.Generator, light: Light) -> Light:
    grey = light @ np.array([0.114, 0.587, 0.299], np.float32)
    return np.repeat(_day(rng, grey[:, :, None]).mean(axis=2, keepdims=True), 3, axis=2)


def _cast(rng: np.random.Generator, light: Light) -> Light:
    """A white balance that failed: any tint, any saturation."""
    grey = light.mean(axis=2, keepdims=True)
    vivid = grey + (light - grey) * rng.uniform(0.2, 1.8)
    return vivid * rng.uniform(0.5, 1.25, 3).astype(np.float32) * rng.uniform(
        0.4, 1.1
    ) + rng.uniform(-5, 40, 3).astype(np.float32)


LOOKS: tuple[Look, ...] = (_day, _dim, _haze, _pink, _bright, _night, _infrared, _grey, _cast)
CHANCES = (0.34, 0.1, 0.07, 0.11, 0.1, 0.08, 0.07, 0.04, 0.09)


def _sharpened(rng: np.random.Generator, light: Light) -> Light:
    """The halo that cheap cameras put around edges."""
    soft = cv2.GaussianBlur(light, (0, 0), rng.uniform(0.7, 1.6))
    return np.asarray(light + (np.clip(light, -20, 275) - soft) * rng.uniform(0.2, 1.2), np.float32)


def _noisy(rng: np.random.Generator, light: Light) -> Light:
    """Grain of the sensor, some of it coloured; coarse where the codec smoothed it."""
    height, width = light.shape[:2]
    contrast = float(light[height // 4 : height - height // 4].std())
    strength = min(18.0, 0.3 * contrast, float(rng.exponential(4.0)))
    grain = rng.standard_normal((height, width, 1), np.float32) * strength
    if rng.random() < 0.4:
        grain = grain + rng.standard_normal(
            (height, width, 3), np.float32
        ) * strength * rng.uniform(0.2, 0.8)
    if rng.random() < 0.3:
        grain = 1.6 * np.asarray(cv2.GaussianBlur(grain, (0, 0), 0.8)).reshape(height, width, -1)
    return light + grain


def _compressed(rng: np.random.Generator, light: Light) -> Image:
    image = np.clip(light, 0, 255).astype(np.uint8)
    if rng.random() < 0.2:
        return image
    quality = int(np.clip(100 - rng.gamma(2.0, 14.0), 18, 97))
    coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
