import os
import resource
import struct
import time
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plateid.capture import image_headers
from plateid.capture.images import ArrayImage, find_sources, is_image, pixels_of, read_image
from plateid.errors import SourceError
from tests.support.jpegs import flat_jpeg

RANDOM = np.random.default_rng(0)
IMAGE = cv2.resize(RANDOM.integers(0, 255, (6, 8, 3), np.uint8), (80, 60))
SUFFIXES = (".jpg", ".png", ".webp", ".bmp", ".tiff")


def encoded(suffix, image=IMAGE, *options):
    done, data = cv2.imencode(suffix, image, options)
    assert done
    return data.tobytes()


def saved(tmp_path, data, name="image.jpg"):
    (tmp_path / name).write_bytes(data)
    return tmp_path / name


def pixels(image):
    return image.resized(image.width, image.height)


def reason(path):
    with pytest.raises(SourceError) as error:
        read_image(path)
    assert error.value.subject == str(path)
    return error.value.reason


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_each_format_is_read_whatever_its_suffix(tmp_path, suffix):
    path = saved(tmp_path, encoded(suffix), "wrong.mp4")
    assert is_image(path)
    image = read_image(path)
    assert (image.width, image.height) == (80, 60)
    lossy = suffix in {".jpg", ".webp"}
    assert np.abs(pixels(image).astype(int) - IMAGE).mean() < (4 if lossy else 0.01)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_one_pixel_image_is_read(tmp_path, suffix):
    grey = np.full((1, 1, 3), 200, np.uint8)
    image = read_image(saved(tmp_path, encoded(suffix, grey)))
    assert pixels(image).shape == (1, 1, 3) and abs(int(pixels(image)[0, 0, 0]) - 200) < 3


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bit_images_are_scaled_to_eight_bits(tmp_path, suffix, channels):
    deep = (np.arange(48 * 64) * 21).reshape(48, 64, 1).repeat(channels, axis=2)
    image = read_image(saved(tmp_path, encoded(suffix, deep.astype(np.uint16))))
    assert pixels(image).dtype == np.uint8 and pixels(image).shape == (48, 64, 3)
    assert np.abs(pixels(image)[:, :, 0].astype(int) - deep[:, :, 0] // 256).max() <= 1


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".tiff"])
def test_grey_image_becomes_bgr(tmp_path, suffix):
    grey = cv2.cvtColor(IMAGE, cv2.COLOR_BGR2GRAY)
    image = pixels(read_image(saved(tmp_path, encoded(suffix, grey))))
    assert image.shape == IMAGE.shape
    assert np.abs(image.astype(int) - grey[:, :, None]).mean() < 4


def test_transparency_is_dropped(tmp_path):
    image = np.dstack([IMAGE, np.full(IMAGE.shape[:2], 128, np.uint8)])
    assert (pixels(read_image(saved(tmp_path, encoded(".png", image)))) == IMAGE).all()


def cmyk_jpeg(*levels):
    """Returns a JPEG of 8x8 pixels in inverted CMYK, as Adobe writes it."""
    return flat_jpeg(8, [(0x11, [level]) for level in levels], b"Adobe\0\x64\0\0\0\0\0")


@pytest.mark.parametrize(
    ("inks", "bgr"),
    [
        ((255, 255, 255, 255), (255, 255, 255)),
        ((0, 255, 255, 255), (255, 255, 0)),
        ((255, 255, 0, 255), (0, 255, 255)),
        ((255, 255, 255, 0), (0, 0, 0)),
    ],
    ids=["no ink", "cyan", "yellow", "black"],
)
def test_cmyk_image_becomes_bgr(tmp_path, inks, bgr):
    image = pixels(read_image(saved(tmp_path, cmyk_jpeg(*inks))))
    assert image.shape == (8, 8, 3)
    assert np.abs(image.astype(int) - bgr).max() <= 4


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (1, lambda image: image),
        (2, lambda image: image[:, ::-1]),
        (3, lambda image: np.rot90(image, 2)),
        (4, lambda image: image[::-1]),
        (5, lambda image: image.transpose(1, 0, 2)),
        (6, lambda image: np.rot90(image, -1)),
        (7, lambda image: np.rot90(image, 2).transpose(1, 0, 2)),
        (8, lambda image: np.rot90(image, 1)),
        (9, lambda image: image),
    ],
)
def test_exif_rotation_is_applied(tmp_path, orientation, turn):
    tiff = struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    exif = b"\xff\xe1" + struct.pack(">H", 8 + len(tiff)) + b"Exif\0\0" + tiff
    plain = encoded(".jpg")
    image = read_image(saved(tmp_path, plain[:2] + exif + plain[2:]))
    upright = turn(pixels(read_image(saved(tmp_path, plain))))
    assert (image.height, image.width) == upright.shape[:2]
    assert np.abs(pixels(image).astype(int) - upright).mean() < 1


def test_missing_empty_and_foreign_files_have_their_own_errors(tmp_path):
    assert reason(tmp_path / "gone.jpg") == "does not exist"
    assert reason(tmp_path) == "Is a directory"
    assert reason(saved(tmp_path, b"")) == "is empty"
    text = saved(tmp_path, b"BMW and other cars")
    assert reason(text) == "is not a JPEG, PNG, WebP, BMP or TIFF image"
    assert is_image(text)  # by its suffix: the reason then names images, not videos
    assert not is_image(saved(tmp_path, b"BMW and other cars", "list.txt"))
    assert not is_image(tmp_path / "gone.mp4")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("part", [0.3, 0.6, 0.97])
def test_truncated_image_is_an_error(tmp_path, suffix, part):
    data = encoded(suffix)
    assert reason(saved(tmp_path, data[: int(part * len(data))])) == "is truncated"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_image_truncated_at_any_byte_is_an_error(tmp_path, suffix):
    data = encoded(suffix, IMAGE[:6, :6])
    for size in range(1, len(data), 3):
        assert reason(saved(tmp_path, data[:size]))


def test_end_marker_of_a_thumbnail_is_not_the_end_of_the_image(tmp_path):
    thumbnail = b"\xff\xe1" + struct.pack(">H", 2 + len(encoded(".jpg"))) + encoded(".jpg")
    data = encoded(".jpg")[:2] + thumbnail + encoded(".jpg")[2:]
    assert read_image(saved(tmp_path, data)).width == 80
    assert reason(saved(tmp_path, data[:-500])) == "is truncated"


def test_data_appended_to_a_jpeg_is_ignored(tmp_path):
    assert read_image(saved(tmp_path, encoded(".jpg") + b"MotionPhoto" * 99)).width == 80


def test_damaged_image_is_an_error(tmp_path):
    data = bytearray(encoded(".png"))
    data[60:80] = bytes(20)
    assert "damaged" in reason(saved(tmp_path, bytes(data)))


def test_huge_png_is_refused_without_decoding(tmp_path):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    path = saved(
        tmp_path,
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(bytes(2501 * 20_000)))
        + chunk(b"IEND", b""),
        "huge.png",
    )
    peak_kib, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.thread_time()
    assert reason(path) == "is too large: 20000 x 20000 pixels"
    assert time.thread_time() - began < 0.2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak_kib < 20_000


@pytest.mark.parametrize("size", [(1, 1), (31, 17), (640, 480)])
@pytest.mark.parametrize(
    "kind",
    [
        (".jpg",),
        (".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        (".png",),
        (".webp", cv2.IMWRITE_WEBP_QUALITY, 50),
        (".webp", cv2.IMWRITE_WEBP_QUALITY, 101),
        (".bmp",),
        (".tiff",),
    ],
)
@pytest.mark.parametrize("channels", [3, 4])
def test_header_size_matches_images_written_by_opencv(size, kind, channels):
    image = np.full((*size[::-1], channels), 99, np.uint8)
    header = image_headers.parse(encoded(kind[0], image, *kind[1:]))
    assert header == image_headers.Header(*size, complete=True)


def test_header_variants_that_opencv_does_not_write_are_parsed():
    entries = struct.pack(">HHII HHIHxx", 257, 4, 1, 70_000, 256, 3, 1, 50_000)
    big_endian = b"MM\0*" + struct.pack(">IH", 8, 2) + entries
    assert image_headers.parse(big_endian) == image_headers.Header(50_000, 70_000, complete=True)
    os2 = b"BM" + struct.pack("<I8xIHH", 22, 12, 300, 200)
    assert image_headers.parse(os2) == image_headers.Header(300, 200, complete=True)
    filled = encoded(".jpg").replace(b"\xff\xc0", b"\xff\xff\xff\xc0")
    assert image_headers.parse(filled) == image_headers.Header(80, 60, complete=True)


@given(st.binary(max_size=300), st.sampled_from([encoded(suffix) for suffix in SUFFIXES]))
def test_garbage_header_never_raises(garbage, data):
    assert image_headers.parse(data[:40] + garbage) is not None
    image_headers.parse(garbage)


BOX = st.tuples(*[st.floats(-30, 130)] * 4)


@given(BOX)
def test_crop_is_inside_the_image_and_never_empty(box):
    x1, y1, x2, y2 = pixels_of(box, 80, 60)
    assert 0 <= x1 < x2 <= 80 and 0 <= y1 < y2 <= 60
    assert ArrayImage(IMAGE).crop(box).shape == (y2 - y1, x2 - x1, 3)


@given(st.tuples(st.floats(0, 79), st.floats(0, 59), st.floats(0.1, 80), st.floats(0.1, 60)))
def test_crop_holds_every_pixel_that_its_box_touches(box):
    left, top, width, height = box
    right, bottom = min(left + width, 80), min(top + height, 60)
    x1, y1, x2, y2 = pixels_of((left, top, right, bottom), 80, 60)
    assert left - 1 < x1 <= left and top - 1 < y1 <= top
    assert right <= x2 <= right + 1 and bottom <= y2 <= bottom + 1


def test_image_and_its_luma_are_scaled():
    image = ArrayImage(IMAGE)
    for size in ((40, 30), (160, 90), (1, 1)):
        assert image.resized(*size).shape == (*size[::-1], 3)
        assert image.luma(*size).shape == size[::-1]
    grey = cv2.cvtColor(IMAGE, cv2.COLOR_BGR2GRAY)
    assert abs(float(image.luma(8, 6).mean()) - float(grey.mean())) < 2


def test_folder_lists_images_and_videos_sorted_by_name(tmp_path):
    for name in ("b.JPG", "a.mp4", "notes.txt", ".hidden.jpg", "c.png"):
        saved(tmp_path, b"x", name)
    (tmp_path / "below.jpg").mkdir()
    saved(tmp_path / "below.jpg", b"x", "deep.jpg")
    assert [path.name for path in find_sources(tmp_path)] == ["a.mp4", "b.JPG", "c.png"]
    assert find_sources(tmp_path / "notes.txt") == [tmp_path / "notes.txt"]


def test_folder_without_images_and_missing_folder_are_errors(tmp_path):
    with pytest.raises(SourceError, match="holds no images or videos"):
        find_sources(tmp_path)
    with pytest.raises(SourceError, match="does not exist"):
        find_sources(tmp_path / "gone")


def test_file_of_terabytes_is_refused_without_reading_it(tmp_path):
    path = saved(tmp_path, encoded(".jpg"), "huge.jpg")
    os.truncate(path, 60_000_000_000)  # sparse
    assert reason(path) == "is larger than 500,000,000 bytes"
