"""Damaged images are named, their readable part is returned, and libraries print nothing."""

import random
import struct
import zlib
from contextlib import suppress

import cv2
import numpy as np
import pytest

from plateid.capture.images import DamagedImageError, decode_image
from plateid.errors import SourceError
from tests.capture.test_images import encoded, pixels
from tests.support.jpegs import flat_jpeg

NOISE = np.random.default_rng(1).integers(0, 255, (12, 16, 3), np.uint8)
IMAGE = cv2.resize(NOISE, (320, 240), interpolation=cv2.INTER_CUBIC)
JPEG, PNG = encoded(".jpg", IMAGE), encoded(".png", IMAGE)
PROGRESSIVE = encoded(".jpg", IMAGE, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)


@pytest.fixture(autouse=True)
def nothing_is_printed(capfd):
    yield
    assert capfd.readouterr() == ("", "")


def damage_of(data: bytes) -> DamagedImageError:
    with pytest.raises(DamagedImageError, match=r"car.jpg: is (damaged|truncated)") as raised:
        decode_image(data, "car.jpg")
    return raised.value


def scan_of(jpeg: bytes) -> int:
    """Returns the position of the compressed data of the first scan."""
    start = jpeg.index(b"\xff\xda")
    return start + 2 + struct.unpack_from(">H", jpeg, start + 2)[0]


def with_random_bytes(data: bytes, start: int, seed: int, count: int = 40) -> bytes:
    randomness, damaged = random.Random(seed), bytearray(data)
    for _ in range(count):
        damaged[randomness.randrange(start, len(data) - 2)] = randomness.randrange(256)
    return bytes(damaged)


@pytest.mark.parametrize("good", [JPEG, PROGRESSIVE, PNG], ids=["baseline", "progressive", "png"])
def test_image_with_forty_random_bytes_is_damaged(good):
    start = 60 if good is PNG else scan_of(good)
    for seed in range(48):
        with pytest.raises(SourceError, match=r"car.jpg: is damaged: ") as raised:
            decode_image(with_random_bytes(good, start, seed), "car.jpg")
        if good is JPEG:  # a progressive one has headers in between
            assert pixels(raised.value.readable).shape == IMAGE.shape


def test_png_with_any_flipped_bit_after_its_header_is_damaged():
    for position in range(33, len(PNG), 997):
        damaged = bytearray(PNG)
        damaged[position] ^= 8
        with pytest.raises(SourceError, match=r"car.jpg: is damaged: "):
            decode_image(bytes(damaged), "car.jpg")


def test_rows_before_the_damage_are_readable():
    middle = (scan_of(JPEG) + len(JPEG)) // 2
    damaged = JPEG[:middle] + bytes(40) + JPEG[middle + 40 :]
    good = pixels(decode_image(JPEG))
    assert (pixels(damage_of(damaged).readable)[:64] == good[:64]).all()


@pytest.mark.parametrize("good", [JPEG, PROGRESSIVE, PNG], ids=["baseline", "progressive", "png"])
def test_image_truncated_anywhere_is_an_error(good):
    header = PNG.index(b"IDAT") if good is PNG else scan_of(good)
    for size in np.linspace(header + (len(good) - header) // 7, len(good) - 1, 100, dtype=int):
        with pytest.raises(SourceError, match=r"car.jpg: is truncated") as raised:
            decode_image(good[:size], "car.jpg")
        assert good is PNG or pixels(raised.value.readable).shape == IMAGE.shape
    with pytest.raises(SourceError, match=r"car.jpg: is truncated"):
        decode_image(good[: header // 2], "car.jpg")


def jpeg_of_size(width: int, height: int) -> bytes:
    frame = JPEG.index(b"\xff\xc0")
    return JPEG[: frame + 5] + struct.pack(">HH", height, width) + JPEG[frame + 9 :]


def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content).to_bytes(4, "big")
    return len(content).to_bytes(4, "big") + kind + content + checksum


@pytest.mark.parametrize("size", [(320, 120), (320, 260), (160, 240), (340, 240), (320, 480)])
def test_jpeg_whose_header_states_another_size_is_damaged(size):
    assert jpeg_of_size(320, 240) == JPEG
    assert damage_of(jpeg_of_size(*size)).reason.startswith("is damaged: ")


@pytest.mark.parametrize(
    "header",
    [
        (320, 240, 3, 2, 0, 0, 0),
        (320, 240, 8, 3, 0, 0, 0),
        (320, 240, 8, 2, 0, 0, 2),
        (0, 0, 8, 2, 0, 0, 0),
        (160, 240, 8, 2, 0, 0, 0),
        (320, 260, 8, 2, 0, 0, 0),
        (10_000, 10_000, 16, 6, 0, 0, 0),
    ],
    ids=["depth", "palette", "interlace", "empty", "narrow", "high", "large"],
)
def test_png_with_a_wrong_header_is_an_error(header, capfd):
    png = PNG[:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", *header)) + PNG[33:]
    with pytest.raises(SourceError, match="is damaged") as raised:
        decode_image(png)
    assert not isinstance(raised.value, DamagedImageError)
    capfd.readouterr()  # libpng prints what is wrong in a header whose checksum is right


COLOURS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)]
ADAM7 += [(0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def random_png(colour: int, depth: int, interlaced: int, size: tuple[int, int]) -> bytes:
    randomness, rows = random.Random(0), b""
    for x, y, step_x, step_y in ADAM7 if interlaced else [(0, 0, 1, 1)]:
        columns = len(range(x, size[0], step_x))
        for _ in range(y, size[1], step_y) if columns else ():
            row = randomness.randbytes((columns * depth * CHANNELS[colour] + 7) // 8)
            rows += bytes([randomness.randrange(5)]) + row
    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, interlaced)
    palette = chunk(b"PLTE", randomness.randbytes(3 << depth)) if colour == 3 else b""
    image = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return PNG[:8] + chunk(b"IHDR", header) + palette + image


@pytest.mark.parametrize("interlaced", [0, 1])
@pytest.mark.parametrize("colour", COLOURS)
def test_png_of_any_kind_is_decoded_as_opencv_does(colour, interlaced):
    for depth in COLOURS[colour]:
        for size in ((1, 1), (2, 3), (33, 17)):
            png = random_png(colour, depth, interlaced, size)
            expected = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
            assert (pixels(decode_image(png)) == expected).all()


def test_odd_text_in_a_png_is_ignored():
    assert decode_image(PNG[:33] + chunk(b"tEXt", b"a") + PNG[33:]).width == 320


@pytest.mark.parametrize("jpeg", [JPEG, PROGRESSIVE, encoded(".jpg", IMAGE[:, :, 0])])
def test_jpeg_is_decoded_as_opencv_does(jpeg):
    expected = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert (pixels(decode_image(jpeg)) == expected).all()


@pytest.mark.parametrize(
    ("side", "components"),
    [
        (16, [(0x22, [100] * 4), (0x11, [90]), (0x12, [160, 160])]),
        (16, [(0x21, [9, 200]), (0x11, [90]), (0x11, [160]), (0x21, [200, 99])]),
    ],
    ids=["mixed", "CMYK"],
)
def test_unusual_chroma_subsampling_is_decoded_as_opencv_does(side, components):
    jpeg = flat_jpeg(side, components)
    jpeg = jpeg if len(components) == 3 else jpeg.replace(b"\0\x10\0\x10", b"\0\x08\0\x10")
    expected = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert (pixels(decode_image(jpeg)) == expected).all()


def test_tiff_without_its_last_strip_is_truncated():
    tags = [(256, 3, 320), (257, 3, 240), (258, 3, 8), (259, 3, 1), (262, 3, 1)]
    tags += [(273, 4, 122), (277, 3, 1), (278, 3, 240), (279, 4, 320 * 240)]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    tiff = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + bytes(320 * 240)
    assert decode_image(tiff).width == 320
    with pytest.raises(SourceError, match="is truncated"):
        decode_image(tiff[:-1])


@pytest.mark.parametrize("suffix", [".webp", ".bmp", ".tiff"])
def test_damage_in_other_formats_prints_nothing(suffix):
    good = encoded(suffix, IMAGE)
    for seed in range(20):
        with suppress(SourceError):
            decode_image(with_random_bytes(good, 12, seed))
