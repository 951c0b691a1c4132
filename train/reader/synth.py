"""Renders plate crops: texts by country syntax, open fonts, and what a camera does to them.

The fonts are those of the Debian packages fonts-roadgeek, fonts-routed-gothic, fonts-bebas-neue,
fonts-national-park, fonts-opendin, fonts-osifont, fonts-roboto-unhinted and fonts-liberation.
"""

import functools
import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

from plateid.core.records import Image
from plateid.core.text import CHARSET
from train.errors import TrainError

FONT_FOLDER = Path("/usr/share/fonts")
FONTS = (
    "RG2014B.ttf", "RG2014C.ttf", "RG2014D.ttf", "RG2014E.ttf", "RG2014EM.ttf",
    "routed-gothic.ttf", "routed-gothic-narrow.ttf", "routed-gothic-wide.ttf", "osifont.ttf",
    "BebasNeue-Regular.otf", "BebasNeue-Bold.otf", "NationalPark-Heavy.otf",
    "NationalPark-Regular.otf", "OSP-DIN.ttf", "RobotoCondensed-Bold.ttf",
    "RobotoCondensed-Medium.ttf", "LiberationSans-Bold.ttf",
    "LiberationMono-Bold.ttf",
)  # fmt: skip
PAPERS = ((238, 238, 236), (230, 232, 240), (40, 190, 235), (215, 215, 215), (200, 225, 250))
DARK_PAPERS = ((35, 30, 30), (150, 60, 20), (40, 40, 170), (60, 110, 40), (90, 90, 90))
SIZES = ((520, 112), (520, 112), (440, 130), (400, 130), (300, 150), (300, 150), (340, 200))
LETTERS, DIGITS = CHARSET[10:], CHARSET[:10]


@functools.cache
def patterns() -> tuple[str, ...]:
    """Every pattern of plateid's country tables."""
    table = tomllib.loads(resources.files("plateid.core").joinpath("formats.toml").read_text())
    return tuple(pattern for entry in table.values() for pattern in entry["patterns"])


@functools.cache
def fonts() -> tuple[str, ...]:
    """Paths of the fonts.

    Raises:
        TrainError: One is not installed.
    """
    found = {path.name: str(path) for path in FONT_FOLDER.rglob("*.[ot]tf")}
    if missing := [name for name in FONTS if name not in found]:
        raise TrainError(
            f"{FONT_FOLDER}: {', '.join(missing)}: not installed; see train/reader/synth.py"
        )
    return tuple(found[name] for name in FONTS)


def random_text(rng: np.random.Generator) -> str:
    """A plate of some country in its display form, or a random one."""
    if rng.random() < 0.3:
        count = int(rng.integers(4, 9))
        gap = int(rng.integers(1, count))
        text = "".join(rng.choice(list(CHARSET), count))
        return f"{text[:gap]} {text[gap:]}" if rng.random() < 0.6 else text
    return " ".join(
        "".join(_piece(rng, piece) for piece in part.split("+"))
        for part in str(rng.choice(patterns())).split(" ")
    )


def _piece(rng: np.random.Generator, piece: str) -> str:
    if "|" in piece:
        return str(rng.choice(piece.split("|")))
    classes = {"L": LETTERS, "D": DIGITS, "X": CHARSET}
    return "".join(str(rng.choice(list(classes.get(c, c)))) for c in piece)


@dataclass(frozen=True)
class Crop:
    """A crop as a detector would give it, and what it says (upper-case letters and digits)."""

    image: Image
    text: str


def render_crop(rng: np.random.Generator) -> Crop:
    """One random plate as a camera sees it."""
    shown = random_text(rng)
    plate = render_plate(rng, shown)
    return Crop(camera(rng, _in_the_world(rng, plate)), shown.replace(" ", ""))


def render_plate(rng: np.random.Generator, shown: str) -> Image:
    """A clean plate that says `shown`, seen from the front."""
    width, height = SIZES[rng.integers(len(SIZES))]
    dark = rng.random() < 0.15
    paper = (DARK_PAPERS if dark else PAPERS)[rng.integers(5)]
    ink = (235, 235, 235) if dark else tuple(int(v) for v in rng.integers(0, [110, 70, 70]))
    sheet = PilImage.new("RGB", (width, height), paper[::-1])
    draw = ImageDraw.Draw(sheet)
    left = 8
    if rng.random() < 0.5 and width > 400:
        left = int(rng.integers(40, 56))
        draw.rectangle((0, 0, left - 6, height), fill=(20, 50, int(rng.integers(120, 190))))
        code = "".join(rng.choice(list(LETTERS), int(rng.integers(1, 3))))
        _write(draw, rng, code, (6, height * 0.62, left - 12, height * 0.9), fill=(235, 235, 235))
    low, high = (0.2, 0.82) if width < 400 else (0.1, 0.9)
    if width < 400 or rng.random() < 0.1:
        slogan = "".join(rng.choice([*LETTERS, " "], int(rng.integers(5, 14))))
        place = (0.04, 0.17) if rng.random() < 0.7 else (0.85, 0.96)
        box = (width * 0.2, height * place[0], width * 0.8, height * place[1])
        _write(draw, rng, slogan, box, fill=ink[::-1])
    inset = rng.uniform(0.0, 0.06, 2) * width
    top, bottom = np.array([low, high]) * height + rng.uniform(-0.04, 0.04, 2) * height
    _write(
        draw, rng, shown, (left + inset[0] + 4, top, width - 8 - inset[1], bottom), fill=ink[::-1]
    )
    if rng.random() < 0.6:
        draw.rectangle(
            (2, 2, width - 3, height - 3), outline=ink[::-1], width=int(rng.integers(2, 6))
        )
    return np.asarray(sheet)[:, :, ::-1].copy()


@functools.lru_cache(maxsize=512)
def _font(index: int, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(fonts()[index], size)


def _write(
    draw: ImageDraw.ImageDraw,
    rng: np.random.Generator,
    text: str,
    box: tuple[float, float, float, float],
    *,
    fill: tuple[int, ...],
) -> None:
    """Text that fills the box, squeezed or spaced as plates are."""
    x1, y1, x2, y2 = (round(value) for value in box)
    font = _font(int(rng.integers(len(FONTS))), max(8, y2 - y1))
    gap = rng.uniform(0.2, 0.7)
    advances = [font.getlength(c) if c != " " else gap * font.size for c in text]
    spacing = rng.uniform(0.02, 0.2) * font.size
    mask = PilImage.new("L", (max(1, round(sum(advances) + spacing * len(text))), 2 * font.size))
    pen = ImageDraw.Draw(mask)
    x = 0.0
    for character, advance in zip(text, advances, strict=True):
        pen.text((x, font.size), character, font=font, fill=255, anchor="lm")
        x += advance + spacing
    inside = mask.getbbox()
    if inside is None:
        return
    glyphs = mask.crop(inside)
    natural = glyphs.width * (y2 - y1) / glyphs.height
    width = min(x2 - x1, round(natural * rng.uniform(0.85, 1.25)))
    glyphs = glyphs.resize((max(1, width), max(1, y2 - y1)), PilImage.Resampling.LANCZOS)
    offset = round(rng.uniform(0.3, 0.7) * (x2 - x1 - glyphs.width))
    draw.bitmap((x1 + offset, y1), glyphs, fill=fill)


def _in_the_world(rng: np.random.Generator, plate: Image) -> Image:
    """The plate on a car, seen at an angle, cut out as loosely as a detector does."""
    height, width = plate.shape[:2]
    base = rng.integers(10, 220, 3)
    world = np.tile(base.astype(np.uint8), (2 * height, width + 2 * height, 1))
    for _ in range(int(rng.integers(0, 4))):
        y = int(rng.integers(0, 2 * height))
        colour = tuple(int(v) for v in rng.integers(0, 255, 3))
        cv2.line(
            world,
            (0, y),
            (world.shape[1], y + int(rng.integers(-20, 20))),
            colour,
            int(rng.integers(1, 9)),
        )
    x, y = height, height // 2
    world[y : y + height, x : x + width] = plate
    corners = np.array(
        [(x, y), (x + width, y), (x + width, y + height), (x, y + height)], np.float32
    )
    angle = np.deg2rad(rng.normal(0, 4))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    skew = np.array(
        [[rng.uniform(0.75, 1), rng.normal(0, 0.06)], [rng.normal(0, 0.05), rng.uniform(0.9, 1.1)]]
    )
    middle = corners.mean(axis=0)
    moved = (corners - middle) @ (turn @ skew).T + middle
    moved = (moved + rng.normal(0, 0.015 * height, (4, 2))).astype(np.float32)
    seen = cv2.warpPerspective(
        world,
        cv2.getPerspectiveTransform(corners, moved),
        (world.shape[1], world.shape[0]),
        borderMode=cv2.BORDER_REPLICATE,
    )
    return jittered(rng, seen, (*moved.min(axis=0), *moved.max(axis=0)))


def jittered(rng: np.random.Generator, image: Image, box: tuple[float, ...]) -> Image:
    """The box cut out, each side up to a tenth of the plate too loose or a little too tight."""
    x1, y1, x2, y2 = box
    dx, dy = x2 - x1, y2 - y1
    left, right = rng.uniform(-0.015, 0.09, 2) * dx
    above, below = rng.uniform(-0.04, 0.22, 2) * dy
    rows = slice(max(0, round(y1 - above)), max(1, round(y2 + below)))
    columns = slice(max(0, round(x1 - left)), max(1, round(x2 + right)))
    return image[rows, columns]


def camera(rng: np.random.Generator, crop: Image) -> Image:
    """Distance, blur, exposure, noise and compression; the result has the size it would have."""
    height = float(np.exp(rng.uniform(np.log(14), np.log(80))))
    near = min(1.0, 2 * height / crop.shape[0])
    pixels = cv2.resize(crop, None, fx=near, fy=near, interpolation=cv2.INTER_AREA).astype(
        np.float32
    )
    scale = min(1.0, height / pixels.shape[0])
    if rng.random() < 0.4:
        length = int(rng.integers(2, 7))
        kernel = np.zeros((length, length), np.float32)
        kernel[length // 2] = 1 / length
        pixels = cv2.filter2D(pixels, -1, kernel if rng.random() < 0.7 else kernel.T)
    if rng.random() < 0.5:
        pixels = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.3, 1.5))
    size = (max(8, round(pixels.shape[1] * scale)), max(8, round(pixels.shape[0] * scale)))
    pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    if rng.random() < 0.4:
        ramp = np.linspace(rng.uniform(0.4, 1), rng.uniform(0.7, 1.3), size[0], dtype=np.float32)
        pixels *= ramp[None, :, None]
    gain, lift = rng.uniform(0.25, 1.35), rng.uniform(-10, 50)
    pixels = pixels * gain * rng.uniform(0.85, 1.15, 3).astype(np.float32) + lift
    pixels += rng.normal(0, rng.uniform(0.5, 9), pixels.shape).astype(np.float32)
    image = np.clip(pixels, 0, 255).astype(np.uint8)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 98))]
    return np.asarray(
        cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], cv2.IMREAD_COLOR), np.uint8
    )


def draw_sheet(path: Path, *, seed: int = 0, rows: int = 12, columns: int = 6) -> None:
    """Writes a picture of rendered crops with their texts."""
    rng = np.random.default_rng(seed)
    tiles = [_tile(render_crop(rng)) for _ in range(rows * columns)]
    lines = [np.hstack(tiles[row * columns : (row + 1) * columns]) for row in range(rows)]
    if not cv2.imwrite(str(path), np.vstack(lines)):
        raise TrainError(f"{path}: cannot be written")


def _tile(crop: Crop) -> Image:
    tile = cv2.copyMakeBorder(cv2.resize(crop.image, (240, 64)), 0, 20, 2, 2, cv2.BORDER_CONSTANT)
    white = (255, 255, 255)
    cv2.putText(tile, crop.text, (4, 80), cv2.FONT_HERSHEY_SIMPLEX, 0.5, white, 1, cv2.LINE_AA)
    return np.asarray(tile, np.uint8)
