from concurrent.futures import ThreadPoolExecutor

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plateid.capture.images import pixels_of
from plateid.capture.video_image import VideoImage
from tests.support.videos import QUADRANTS, write_video

LIMITED, FULL = 1, 2
BT709, BT601 = 1, 5
FORMATS = [
    (name, color_range)
    for name in ("yuv420p", "nv12", "yuv422p", "yuyv422", "yuv420p10le", "gray")
    for color_range in (LIMITED, FULL)
] + [("yuvj420p", FULL), ("yuvj422p", FULL)]


def noise(name, color_range=LIMITED, *, size=(70, 50), colorspace=BT709):
    """Returns a frame of random samples, the hardest case for chroma."""
    frame = av.VideoFrame(*size, name)
    frame.color_range, frame.colorspace = color_range, colorspace
    for seed, plane in enumerate(frame.planes):
        samples = np.frombuffer(plane, np.uint8)
        samples[:] = np.random.default_rng(seed).integers(30, 220, samples.size)
        if name == "yuv420p10le":
            samples[1::2] = samples[1::2] % 4
    return frame


def flat(y, u, v, *, color_range, colorspace):
    frame = av.VideoFrame(16, 16, "yuv420p")
    frame.color_range, frame.colorspace = color_range, colorspace
    for plane, level in zip(frame.planes, (y, u, v), strict=True):
        np.frombuffer(plane, np.uint8)[:] = level
    return VideoImage(frame)


def decoded(path):
    with av.open(str(path)) as container:
        return next(container.decode(video=0))


def difference(a, b):
    assert a.shape == b.shape
    return np.abs(a.astype(int) - b).max()


@pytest.mark.parametrize(("name", "color_range"), FORMATS)
@settings(max_examples=40, deadline=None)
@given(box=st.tuples(*[st.floats(-20, 90)] * 4))
def test_crop_equals_the_same_part_of_the_whole_image(name, color_range, box):
    frame = noise(name, color_range)
    x1, y1, x2, y2 = pixels_of(box, 70, 50)
    whole = frame.to_ndarray(format="bgr24")
    assert difference(VideoImage(frame).crop(box), whole[y1:y2, x1:x2]) <= 1


@pytest.mark.parametrize("name", ["yuv420p", "nv12", "yuvj422p"])
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 5), (71, 49)])
def test_odd_and_tiny_frames_are_cropped(name, size):
    frame = noise(name, size=size)
    whole = frame.to_ndarray(format="bgr24")
    image = VideoImage(frame)
    width, height = size
    for x1, y1 in ((0, 0), (width // 2, height // 3), (width - 1, height - 1)):
        assert difference(image.crop((x1, y1, width, height)), whole[y1:, x1:]) <= 1


@pytest.mark.parametrize(
    ("yuv", "color_range", "colorspace", "bgr"),
    [
        ((16, 128, 128), LIMITED, BT709, (0, 0, 0)),
        ((235, 128, 128), LIMITED, BT709, (255, 255, 255)),
        ((16, 128, 128), FULL, BT709, (16, 16, 16)),
        ((235, 128, 128), FULL, BT601, (235, 235, 235)),
        ((63, 102, 240), LIMITED, BT709, (0, 1, 255)),  # red, by ITU-R BT.709
        ((81, 90, 240), LIMITED, BT601, (0, 0, 255)),  # red, by ITU-R BT.601
    ],
)
def test_crop_keeps_colour_range_and_matrix(yuv, color_range, colorspace, bgr):
    image = flat(*yuv, color_range=color_range, colorspace=colorspace)
    for pixels in (image.crop((3, 3, 9, 9)), image.resized(8, 8)):
        assert np.abs(pixels.astype(int) - bgr).max() <= 3


@pytest.mark.parametrize("rotation", [0, 90, 180, -90])
def test_rotated_video_is_upright(tmp_path, rotation):
    frame = decoded(write_video(tmp_path / "video.mp4", count=1, rotation=rotation))
    image = VideoImage(frame)
    upright = np.rot90(QUADRANTS, rotation // 90)
    size = (48, 64) if rotation % 180 else (64, 48)
    assert (image.width, image.height) == size
    assert difference(image.resized(16, 16)[4::8, 4::8], upright) < 20
    brightness = cv2.cvtColor(upright, cv2.COLOR_BGR2GRAY)
    assert difference(image.luma(16, 16)[4::8, 4::8], brightness) < 30  # limited range
    for row, column in np.ndindex(2, 2):
        x, y = column * size[0] // 2 + 8, row * size[1] // 2 + 8
        crop = image.crop((x, y, x + 5, y + 3))
        assert crop.shape == (3, 5, 3)
        assert difference(crop.mean((0, 1)), upright[row, column]) < 20


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_crop_of_a_rotated_video_equals_the_part_of_the_whole_image(tmp_path, rotation):
    image = VideoImage(decoded(write_video(tmp_path / "c.mp4", count=1, rotation=rotation)))
    whole = image.resized(image.width, image.height)
    for box in ((0, 0, 7, 5), (21.5, 13.2, 40, 44), (-9, 30, 500, 500), (33, 21, 33, 21)):
        x1, y1, x2, y2 = pixels_of(box, image.width, image.height)
        assert difference(image.crop(box), whole[y1:y2, x1:x2]) <= 1


@pytest.mark.parametrize("rotation", [0, 90, 180, -90])
def test_part_of_a_rotated_video_shows_the_same_pixels(tmp_path, rotation):
    image = VideoImage(decoded(write_video(tmp_path / "c.mp4", count=1, rotation=rotation)))
    for box in ((0, 0, 16, 10), (20, 12, 40, 44), (20, 30, 500, 500)):
        part = image.part(box)
        x1, y1, x2, y2 = pixels_of(box, image.width, image.height)
        assert (part.width, part.height) == (x2 - x1, y2 - y1)
        edge = (2, 2, part.width - 2, part.height - 2)  # colours of the outermost samples are mixed
        expected = image.crop((x1 + 2, y1 + 2, x2 - 2, y2 - 2))
        assert difference(part.crop(edge), expected) <= 2
        grey = cv2.cvtColor(part.resized(part.width, part.height), cv2.COLOR_BGR2GRAY)
        assert difference(part.luma(part.width, part.height), grey) < 30  # limited range


@pytest.mark.parametrize(("name", "color_range"), FORMATS)
def test_part_shows_the_same_pixels_for_each_pixel_format(name, color_range):
    image = VideoImage(noise(name, color_range))
    part = image.part((10, 20, 60, 46))
    assert difference(part.crop((4, 4, 46, 22)), image.crop((14, 24, 56, 42))) <= 1
    assert part.resized(25, 13).shape == (13, 25, 3)


@pytest.mark.parametrize("name", ["yuv420p", "nv12", "yuyv422", "yuv420p10le"])
def test_scaled_image_is_close_to_scaling_after_conversion(name):
    frame = av.VideoFrame.from_ndarray(
        cv2.resize(np.random.default_rng(3).integers(0, 255, (5, 7, 3), np.uint8), (640, 480)),
        format="bgr24",
    ).reformat(format=name)
    image = VideoImage(frame)
    whole = frame.to_ndarray(format="bgr24")
    for size in ((155, 97), (162, 97), (155, 96), (160, 96)):
        reference = cv2.resize(whole, size, interpolation=cv2.INTER_AREA)
        scaled = image.resized(*size)
        assert np.abs(scaled.astype(int) - reference).mean() < 2.5
        assert difference(scaled, reference) < 12
    luma, grey = image.luma(160, 96), cv2.cvtColor(reference, cv2.COLOR_BGR2GRAY)
    assert luma.shape == (96, 160)
    assert np.corrcoef(luma.ravel(), grey.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("colorspace", range(18))
def test_frame_with_an_unknown_colour_matrix_is_converted(colorspace):
    image = VideoImage(noise("yuv420p", colorspace=colorspace))
    for pixels in (image.resized(16, 16), image.crop((0, 0, 16, 16))):
        assert pixels.shape == (16, 16, 3)


def test_image_is_usable_from_several_threads():
    image = VideoImage(noise("nv12", size=(640, 480)))
    sizes = [(64 + 8 * step, 48) for step in range(8)] * 20
    alone = [image.resized(*size) for size in sizes]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda size: image.resized(*size), sizes))
    assert all((a == b).all() for a, b in zip(alone, together, strict=True))
