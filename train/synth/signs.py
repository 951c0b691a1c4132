"""Renders text that is not a plate: shop signs, posters, prices and times, Latin and Chinese.

A detector that was trained on few streets detects any sign with characters as a plate.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

from train.synth.fonts import CHINESE, font_files, sized
from train.synth.symbols import any_colour, fill_blob

HAN, KANA = (0x4E00, 0x9F00), (0x3041, 0x30F0)
"""Code points of Chinese and Japanese characters: first, and end (exclusive)."""
LATIN = "ABCDEFGHIJKLMNOPRSTUVWYabcdefghiklmnoprstuvwyz"
"""Letters of words on signs, without rare ones."""
OVERLAY_SHARE = 0.2
"""Share (0-1) of texts without a board, such as a clock overlay."""
ILLUSTRATED_SHARE = 0.3
"""Share (0-1) of signs with graphics beside the text."""
FONT_PX = 48
"""Size of the font, pixels per em."""
LONGEST_PLATE = 9
"""Number of characters of the longest plate text."""


def render_sign(rng: np.random.Generator, *, height: int) -> NDArray[np.uint8]:
    """Returns a sign with one or more lines: BGR and opacity, shape (height, W, 4), 0 to 255."""
    lines, font = _lines(rng)
    gap = int(rng.integers(2, 24))
    boxes = [font.getbbox(line) for line in lines]
    line_height = max(int(box[3]) for box in boxes) + gap // 2
    size = (max(int(box[2]) for box in boxes) + 2 * gap, line_height * len(lines) + gap)
    board, ink = _colours(rng)
    opacity = 0 if rng.random() < OVERLAY_SHARE else 255
    image = PilImage.new("RGBA", size, (*board, opacity))
    draw = ImageDraw.Draw(image)
    if opacity and rng.random() < 0.4:
        draw.rectangle((1, 1, size[0] - 2, size[1] - 2), outline=ink, width=int(rng.integers(1, 6)))
    for number, line in enumerate(lines):
        draw.text((gap, gap // 2 + number * line_height), line, font=font, fill=(*ink, 255))
    if opacity and rng.random() < ILLUSTRATED_SHARE:
        image = _illustrated(rng, image, board)
    width = max(4, round(image.width * height / image.height))
    scaled = np.asarray(image.resize((width, height), PilImage.Resampling.BOX))
    return scaled[:, :, [2, 1, 0, 3]]


def _illustrated(
    rng: np.random.Generator, text: PilImage.Image, colour: tuple[int, ...]
) -> PilImage.Image:
    """Returns the text on a larger board of its colour, with blobs below or beside it."""
    below = rng.random() < 0.5
    room = round((text.height if below else text.width) * rng.uniform(0.4, 1.2))
    shape = (room, text.width, 3) if below else (text.height, room, 3)
    drawn = np.full(shape, colour, np.uint8)
    for _ in range(int(rng.integers(1, 7))):
        (x, y), (w, h) = rng.uniform(0, shape[1::-1]), rng.uniform(0.1, 0.6, 2) * min(shape[:2])
        fill_blob(rng, drawn, (x - w, y - h, x + w, y + h), any_colour(rng))
    size = (text.width, text.height + room) if below else (text.width + room, text.height)
    whole = PilImage.new("RGBA", size)
    whole.paste(text, (0, 0))
    whole.paste(PilImage.fromarray(drawn), (0, text.height) if below else (text.width, 0))
    return whole


def _colours(rng: np.random.Generator) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if rng.random() < 0.4:
        board, ink = rng.integers(0, 256, (2, 3))
    else:
        board, ink = rng.integers(200, 256, 3), rng.integers(0, 90, 3)
    pair = tuple(board.tolist()), tuple(ink.tolist())
    return pair if rng.random() < 0.6 else pair[::-1]


def _lines(rng: np.random.Generator) -> tuple[list[str], ImageFont.FreeTypeFont]:
    kind = rng.random()
    if kind < 0.35:
        return _chinese(rng), sized(CHINESE, FONT_PX)
    font = sized(str(rng.choice(list(font_files()))), FONT_PX)
    if kind < 0.45:
        year, month, day = rng.integers([2010, 10, 10], [2040, 13, 31])
        return [f"{year}-{month}-{day} 18:03"], font
    if kind < 0.55:
        return [f"{rng.integers(1, 1000)}{rng.choice(['', '.-', '%', ' EUR', '.99'])}"], font
    return [_words(rng) for _ in range(int(rng.integers(1, 4)))], font


def _chinese(rng: np.random.Generator) -> list[str]:
    script = HAN if rng.random() < 0.7 else KANA
    if rng.random() < 0.3:
        return [chr(c) for c in rng.integers(*script, int(rng.integers(2, 6)))]
    lengths = rng.integers(1, 9, int(rng.integers(1, 4)))
    return ["".join(chr(c) for c in rng.integers(*script, length)) for length in lengths]


def _words(rng: np.random.Generator) -> str:
    """Returns two words, or one that is longer than a plate or in lower case."""
    first, second = ("".join(rng.choice(list(LATIN), int(rng.integers(3, 11)))) for _ in range(2))
    text = f"{first} {second}" if rng.random() < 0.5 else first.capitalize()
    return text.upper() if len(text) > LONGEST_PLATE and rng.random() < 0.5 else text
