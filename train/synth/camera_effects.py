"""Simulates what lens, light, sensor and video codec do to the image of a plate."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from plateid.core.records import Image

Light = NDArray[np.float32]
"""BGR, shape (H, W, 3); the sensor holds values from 0 to 255."""


@dataclass(frozen=True)
class CropGeometry:
    """The size of a crop on the sensor."""

    shrink: float  # size of the rendered crop divided by its size on the sensor
    cap: float  # height of its characters on the sensor, pixels
    box: tuple[float, float, float, float] = (0.15, 0.25, 0.85, 0.75)  # of its characters, 0 to 1

    def characters(self, light: Light) -> Light:
        """Returns the area of the characters, at least 2 x 2 pixels."""
        height, width = light.shape[:2]
        x1 = min(int(self.box[0] * width), width - 2)
        y1 = min(int(self.box[1] * height), height - 2)
        x2, y2 = round(self.box[2] * width), round(self.box[3] * height)
        return light[y1 : max(y2, y1 + 2), x1 : max(x2, x1 + 2)]


def simulate_camera(
    rng: np.random.Generator,
    image: Image,
    geometry: CropGeometry,
    *,
    noise: np.random.Generator | None = None,
) -> Image:
    """Returns the image as a camera records it: blurred, reduced, lit, noisy, compressed.

    With `noise`, only the grain is drawn from it: frames of one camera and scene share the rest,
    also the strength of the noise and of the compression.
    """
    light = _blur_and_reduce(rng, image, geometry).astype(np.float32)
    lighting = list(LIGHTINGS)[np.searchsorted(np.cumsum(list(LIGHTINGS.values())), rng.random())]
    light = lighting(rng, _light_unevenly(rng, light))
    light = _keep_legible(rng, light, geometry)
    if rng.random() < 0.25:
        light = _sharpen(rng, light)
    return _compress(rng, _add_noise(rng, light, noise or rng))


def _keep_legible(rng: np.random.Generator, light: Light, geometry: CropGeometry) -> Light:
    """Returns the light with enough contrast for a person to read the characters with effort."""
    inside = geometry.characters(light)
    dark, bright = (float(value) for value in np.percentile(inside.mean(axis=2), (10, 82)))
    brightest = rng.uniform(110, 205)
    low = float(np.clip(dark, 0, brightest))
    high = max(low + rng.uniform(14, 50), min(bright, 340.0))
    gain = min(8.0, (high - low) / max(bright - dark, 4.0))
    inside = (inside.max(axis=2) - dark) * gain + low
    excess = max(0.0, float(np.percentile(inside, 10)) - brightest)
    return (light - np.float32(dark)) * np.float32(gain) + np.float32(low - excess)


def _blur_and_reduce(rng: np.random.Generator, image: Image, geometry: CropGeometry) -> Image:
    """Returns the image at its size on the sensor, blurred; a fifth after digital zoom."""
    shrink, cap = geometry.shrink, geometry.cap
    unfocused, moving = rng.random(2) < (0.6, 0.25)
    if unfocused:
        most = cap * (0.07 if moving else 0.11)
        sigma = shrink * min(2.4, most, float(rng.exponential(0.055)) * cap)
        if sigma > 0.3:
            image = np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)
    if moving:
        image = _blur_by_motion(rng, image, shrink * rng.uniform(0.08, 0.3) * cap)
    height, width = image.shape[:2]
    size = (max(10, round(width / shrink)), max(6, round(height / shrink)))
    if rng.random() < 0.2:
        less = rng.uniform(0.5, 0.9)
        low = (max(8, round(size[0] * less)), max(6, round(size[1] * less)))
        small = cv2.resize(image, low, interpolation=cv2.INTER_AREA)
        kinds = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_NEAREST)
        kind = kinds[rng.choice(3, p=[0.5, 0.42, 0.08])]
        return np.asarray(cv2.resize(small, size, interpolation=kind), np.uint8)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _blur_by_motion(rng: np.random.Generator, image: Image, length: float) -> Image:
    side = int(2 * np.ceil(length / 2) + 1)
    turn = rng.normal(0, 0.35) if rng.random() < 0.75 else rng.uniform(0, np.pi)
    half = np.array([np.cos(turn), np.sin(turn)]) * length / 2
    kernel = np.zeros((side, side), np.float32)
    ends = np.round((side // 2 + np.array([-half, half])) * 16).astype(int).tolist()
    cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_8, 4)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)


def _light_unevenly(rng: np.random.Generator, light: Light) -> Light:
    height, width = light.shape[:2]
    if rng.random() < 0.45:
        ends = rng.uniform(0.55, 1.3, (2, 2)).astype(np.float32)
        gradient = cv2.resize(ends, (width, height), interpolation=cv2.INTER_LINEAR)
        light = light * gradient[:, :, None]
    if rng.random() < 0.1:
        for x in rng.uniform(0.1, 0.9, int(rng.integers(1, 4))):
            at = (x * width, rng.uniform(-0.15, 0.15) * height)
            lamp = _spot(at, rng.uniform(0.1, 0.4) * height, light.shape)
            light = light + lamp * rng.uniform(60, 400)
    if rng.random() < 0.07:
        at = (rng.uniform(0, 1) * width, rng.uniform(0, 1) * height)
        glare = _spot(at, rng.uniform(0.2, 1.5) * height, light.shape)
        light = light + glare * rng.uniform(20, 110)
    return light


def _spot(centre: tuple[float, float], radius: float, shape: tuple[int, ...]) -> Light:
    """Returns a Gaussian spot of light, 1 at its centre; shape (H, W, 1)."""
    xs = np.exp(-(((np.arange(shape[1], dtype=np.float32) - centre[0]) / radius) ** 2))
    ys = np.exp(-(((np.arange(shape[0], dtype=np.float32) - centre[1]) / radius) ** 2))
    return np.asarray((ys[:, None] * xs)[:, :, None])


def _day(rng: np.random.Generator, light: Light) -> Light:
    cast = rng.uniform(0.5, 1.15), rng.uniform(0.92, 1.08, 3).astype(np.float32)
    return light * cast[0] * cast[1] + rng.uniform(-8, 25)


def _dim(rng: np.random.Generator, light: Light) -> Light:
    """Returns the light at dusk or in shade: dark, with little contrast."""
    cast = rng.uniform(0.8, 1.2, 3).astype(np.float32)
    return light * rng.uniform(0.1, 0.5) * cast + rng.uniform(0, 40)


def _haze(rng: np.random.Generator, light: Light) -> Light:
    """Returns the light through fog or a reflecting windscreen: everything tends to one colour."""
    veil = (rng.uniform(60, 225) + rng.normal(0, 14, 3)).astype(np.float32)
    return np.asarray(veil + (light - light.mean()) * rng.uniform(0.12, 0.5))


def _pink(rng: np.random.Generator, light: Light) -> Light:
    """Returns what a dashcam without infrared filter records at dusk: pink, soft, often bright."""
    grey = light @ np.array([0.2, 0.5, 0.3], np.float32)
    mixed = light + (grey[:, :, None] - light) * rng.uniform(0.3, 0.95)
    cast = rng.uniform((0.6, 0.45, 0.85), (1.05, 0.8, 1.1)).astype(np.float32)
    lift = rng.uniform((0, 0, 10), (60, 25, 90)).astype(np.float32)
    contrast = rng.uniform(0.15, 1.1)
    veil = (1 - min(1.0, contrast)) * rng.uniform(10, 110) * cast
    return _bloom(rng, mixed * contrast * cast + lift + veil)


def _bright(rng: np.random.Generator, light: Light) -> Light:
    """Returns overexposed light: the white background eats into the characters."""
    background = float(np.percentile(light, 80))
    gain = rng.uniform(235, 420) / max(60.0, background)
    cast = rng.uniform(0.94, 1.06, 3).astype(np.float32)
    return _bloom(rng, light * gain * cast + rng.uniform(0, 70))


def _bloom(rng: np.random.Generator, light: Light) -> Light:
    """Returns the light, often with bright pixels that spill over to their neighbours."""
    if rng.random() < 0.4:
        return light
    spill = cv2.GaussianBlur(np.maximum(light - 150, 0), (0, 0), rng.uniform(0.8, 3.5))
    return np.asarray(light + spill * rng.uniform(0.2, 0.9), np.float32)


def _night(rng: np.random.Generator, light: Light) -> Light:
    """Returns the light of headlamps or a plate lamp: only the retroreflective plate is bright."""
    curve = 255 * (np.clip(light, 0, 255) / 255) ** rng.uniform(1.2, 2.4)
    cast = np.array([rng.uniform(0.5, 1.1), rng.uniform(0.7, 1.05), 1.0], np.float32)
    lit = curve * rng.uniform(0.25, 1.3) * cast + rng.uniform(0, 25)
    return _bloom(rng, lit.astype(np.float32))


def _infrared(rng: np.random.Generator, light: Light) -> Light:
    """Returns an infrared image in grey: red and yellow are as bright as white, blue is dark."""
    weights = rng.dirichlet([0.7, 1.0, 2.5]).astype(np.float32)
    grey = light @ weights
    low, high = np.percentile(grey, (3, 97))
    spread = np.clip((grey - low) / max(10.0, high - low), 0, 1.4)
    lit = spread ** rng.uniform(0.6, 1.8) * rng.uniform(50, 260) + rng.uniform(0, 60)
    tint = rng.uniform(0.93, 1.07, 3) if rng.random() < 0.25 else np.ones(3)
    return _bloom(rng, (lit[:, :, None] * tint).astype(np.float32))


def _grey(rng: np.random.Generator, light: Light) -> Light:
    grey = light @ np.array([0.114, 0.587, 0.299], np.float32)
    return np.repeat(_day(rng, grey[:, :, None]).mean(axis=2, keepdims=True), 3, axis=2)


def _colour_cast(rng: np.random.Generator, light: Light) -> Light:
    """Returns the light after a wrong white balance: any tint, any saturation."""
    grey = light.mean(axis=2, keepdims=True)
    vivid = grey + (light - grey) * rng.uniform(0.2, 1.8)
    tinted = vivid * rng.uniform(0.5, 1.25, 3).astype(np.float32) * rng.uniform(0.4, 1.1)
    return np.asarray(tinted + rng.uniform(-5, 40, 3).astype(np.float32))


LIGHTINGS = {
    _day: 0.34,
    _dim: 0.1,
    _haze: 0.07,
    _pink: 0.11,
    _bright: 0.1,
    _night: 0.08,
    _infrared: 0.07,
    _grey: 0.04,
    _colour_cast: 0.09,
}
"""Each lighting and its share of the crops."""


def _sharpen(rng: np.random.Generator, light: Light) -> Light:
    """Returns the light with the halos that cheap cameras put around edges."""
    soft = cv2.GaussianBlur(light, (0, 0), rng.uniform(0.7, 1.6))
    return np.asarray(light + (np.clip(light, -20, 275) - soft) * rng.uniform(0.2, 1.2), np.float32)


def _add_noise(rng: np.random.Generator, light: Light, noise: np.random.Generator) -> Light:
    """Returns the light with grain, sometimes coloured, and coarse where a codec smoothed it."""
    height, width = light.shape[:2]
    contrast = float(light[height // 4 : height - height // 4].std())
    strength = min(18.0, 0.3 * contrast, float(rng.exponential(4.0)))
    grain = noise.standard_normal((height, width, 1), np.float32) * strength
    if rng.random() < 0.4:
        coloured = noise.standard_normal((height, width, 3), np.float32)
        grain = grain + coloured * strength * rng.uniform(0.2, 0.8)
    if rng.random() < 0.3:
        grain = 1.6 * np.asarray(cv2.GaussianBlur(grain, (0, 0), 0.8)).reshape(height, width, -1)
    return light + grain


def _compress(rng: np.random.Generator, light: Light) -> Image:
    image = np.clip(light, 0, 255).astype(np.uint8)
    if rng.random() < 0.2:
        return image
    quality = int(np.clip(100 - rng.gamma(2.0, 14.0), 18, 97))
    coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
