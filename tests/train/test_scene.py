import json
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plateid.core.formats import shipped_formats
from plateid.core.text import normalise
from train.scene import plate, render_clip, render_frame
from train.scene.camera import Camera
from train.scene.clip import READABLE_PX, truth
from train.scene.plate import PX_PER_M, plate_texture, text_mask
from train.scene.render import CAMERA, FRAMES, plate_box
from train.scene.scenario import FPS, PASSES
from train.scene.scenery import build_scenery
from train.scene.styles import BRITAIN, CALIFORNIA, ROMANIA
from train.scene.vehicle import build_vehicle, draw_vehicle
from train.scene.warp import texture
from train.train_error import TrainError

DEMO = Path(__file__).parents[2] / "plateid" / "demo"
SMALL = Camera(width=640, height=360, focal=1100.0, horizon=75.0)
MAGENTA = (255, 0, 255)


@given(x=st.floats(-5, 5), y=st.floats(0, 5), z=st.floats(2, 80))
def test_twice_as_far_is_half_as_large(x, y, z):
    camera = Camera()
    vanishing = np.array([camera.width / 2, camera.horizon])
    near = camera.project((camera.x + x, y, z)) - vanishing
    far = camera.project((camera.x + x, y, 2 * z)) - vanishing
    np.testing.assert_allclose(near, 2 * far, atol=1e-6)


def test_the_road_under_a_pixel_is_projected_to_that_pixel():
    camera = Camera()
    x, z = camera.ground()
    row, column = 300, 900
    spot = camera.project((x[row, column], 0.0, z[row, column]))
    first = camera.height - x.shape[0]
    np.testing.assert_allclose(spot, (column + 0.5, first + row + 0.5), atol=0.01)


@pytest.mark.parametrize("style", [ROMANIA, BRITAIN, CALIFORNIA])
def test_a_plate_is_as_large_as_its_style_says(style):
    height, width = plate_texture(style, "KX73 LPH").shape[:2]
    assert (width, height) == tuple(round(side * PX_PER_M) for side in style.size)


def test_the_letters_fill_the_line_from_edge_to_edge():
    mask = text_mask(BRITAIN, "KX73 LPH", 1000)
    assert mask.shape == (round(BRITAIN.letters * PX_PER_M), 1000)
    assert mask[:, :8].any() and mask[:, -8:].any()
    blank = ~mask.any(axis=0)
    starts = np.flatnonzero(np.diff(blank.astype(int)) == 1)
    ends = np.flatnonzero(np.diff(blank.astype(int)) == -1)
    gaps = ends - starts
    assert len(gaps) == 6
    assert gaps[3] == pytest.approx(3 * np.median(gaps), abs=4)


def test_too_many_letters_are_refused():
    with pytest.raises(TrainError, match="do not fit"):
        plate_texture(CALIFORNIA, "MMMMMMMMMMMM")


def test_a_missing_font_names_its_package(monkeypatch, tmp_path):
    monkeypatch.setattr(plate, "FONTS", tmp_path)
    plate._face.cache_clear()
    with pytest.raises(TrainError, match="apt-get install fonts-roadgeek"):
        plate._face("RG2014C.ttf")


def test_a_clip_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(TrainError, match=r"file/demo: Not a directory"):
        render_clip(tmp_path / "file" / "demo")


@pytest.mark.parametrize("car", range(len(PASSES)))
def test_a_box_of_the_truth_is_where_the_plate_is_drawn(car):
    journey = PASSES[car]
    vehicle = build_vehicle(journey.body, journey.colour, journey.style, journey.plate)
    painted = texture(np.full((260, 1200, 3), MAGENTA, np.uint8))
    magenta = replace(vehicle, day=replace(vehicle.day, plate=painted))
    entry = truth()["vehicles"][car]
    for index in (entry["first_frame"] + 1, entry["last_frame"] - 1):
        picture = np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)
        draw_vehicle(picture, CAMERA, magenta, journey.pose(index / FPS), night=False)
        rows, columns = np.nonzero((picture == MAGENTA).all(axis=2))
        drawn = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        np.testing.assert_allclose(plate_box(car, index), drawn, atol=1.5)


def test_the_same_seed_paints_the_same_street():
    one, same, other = (build_scenery(SMALL, seed) for seed in (3, 3, 4))
    assert (one.day == same.day).all() and (one.night == same.night).all()
    assert (one.day != other.day).any()


def test_the_same_frame_is_the_same_pixels_again():
    assert (render_frame(500) == render_frame(500)).all()
    assert (render_frame(500) != render_frame(501)).any()


def test_every_plate_is_one_of_its_country():
    for journey in PASSES:
        expected = shipped_formats().expecting([journey.region], key="region")
        assert expected.fits(normalise(journey.plate))


@pytest.fixture(scope="module")
def committed():
    return json.loads((DEMO / "demo.json").read_text())


def test_the_committed_truth_is_what_the_scene_says(committed):
    assert committed == truth()


def test_every_pass_is_long_enough_and_its_boxes_are_readable(committed):
    for vehicle in committed["vehicles"]:
        boxes = np.array(vehicle["boxes"])
        assert len(boxes) == vehicle["last_frame"] - vehicle["first_frame"] + 1
        assert 1.9 * committed["fps"] <= len(boxes) <= 5 * committed["fps"]
        assert (boxes[:, 3] - boxes[:, 1]).min() >= READABLE_PX - 0.2
        assert (boxes >= 0).all() and (
            boxes[:, 2:] <= (committed["width"], committed["height"])
        ).all()


def test_two_cars_are_readable_at_once(committed):
    spans = [range(v["first_frame"], v["last_frame"]) for v in committed["vehicles"]]
    assert any(len(set(a) & set(b)) > 15 for a in spans for b in spans if a is not b)


def test_the_committed_clip_is_small_and_fits_its_truth(committed):
    assert (DEMO / "demo.mp4").stat().st_size <= 1_500_000
    with av.open(str(DEMO / "demo.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (committed["width"], committed["height"])
        assert stream.average_rate == committed["fps"]
        packets = sum(packet.size > 0 for packet in container.demux(stream))
    assert packets == committed["frames"] == FRAMES


def test_the_committed_clip_is_what_the_renderer_draws():
    index = 125
    with av.open(str(DEMO / "demo.mp4")) as container:
        frames = container.decode(video=0)
        frame = next(f for number, f in enumerate(frames) if number == index)
    assert cv2.PSNR(frame.to_ndarray(format="bgr24"), render_frame(index)) > 30
