"""The street renderer: motion, ground truth, determinism, and the video file."""

import json
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plateid import ALPR
from plateid.core.formats import shipped_formats
from plateid.core.geometry import iou
from plateid.core.text import normalise
from plateid.demo import DEMO_VIDEO
from train.street import Street, StreetVehicle, random_street, read_street, render, write_video
from train.street import frames as frames_module
from train.street.projection import CAMERA_X_M, CLOSEST_M, Projection
from train.street.vehicle_model import build_model
from train.train_error import TrainError

STREETS = Path(__file__).parents[3] / "train" / "street" / "streets"
SMALL = (640, 360)
MAGENTA = (255, 0, 255)


def vehicle(**changes) -> StreetVehicle:
    return StreetVehicle(**{"plate": "B 68 SPK", "region": "ro", "arrives_s": 5, **changes})


@given(x=st.floats(-5, 5), y=st.floats(0, 5), z=st.floats(2 * CLOSEST_M, 80))
def test_a_point_twice_as_far_is_projected_half_as_far_from_the_horizon(x, y, z):
    projection = Projection(1280, 720)
    vanishing = np.array([640, projection.horizon])
    near, far = (projection.project((CAMERA_X_M + x, y, at)) - vanishing for at in (z, 2 * z))
    np.testing.assert_allclose(near, 2 * far, atol=1e-6)


def test_the_ground_under_a_pixel_is_projected_to_that_pixel():
    projection = Projection(1280, 720)
    x, z = projection.ground()
    spot = projection.project((x[300, 900], 0.0, z[300, 900]))
    np.testing.assert_allclose(spot, (900.5, projection.horizon + 301.5), atol=0.02)


@pytest.mark.parametrize(
    ("changes", "at_s", "distance_m"),
    [
        ({}, 5, 7.0),
        ({}, 3, 7.0 + 8),
        ({"direction": "away"}, 7, 7.0 + 8),
        ({"speed_m_s": 10}, 4, 7.0 + 10),
        ({}, 60, None),
        ({"stop_m": 9, "stop_s": 4}, 5, 9),
        ({"stop_m": 9, "stop_s": 4}, 9, 9),
        ({"stop_m": 9, "stop_s": 4}, 4, 9 + 1),
        ({"stop_m": 9, "stop_s": 4}, 10, 9 - 1),
        ({"stop_m": 9, "stop_s": 4}, 2, 9 + 4 + 4),
        ({"arrives_s": -60, "stop_m": 11, "stop_s": np.inf}, 3600, 11),
    ],
)
def test_a_vehicle_is_where_its_speed_and_its_stop_put_it(changes, at_s, distance_m):
    assert vehicle(**changes).distance_m(at_s) == pytest.approx(distance_m)


@pytest.mark.parametrize("body", ["hatchback", "sedan", "suv", "van"])
@pytest.mark.parametrize("direction", ["towards", "away"])
def test_the_box_in_the_ground_truth_is_where_the_plate_is_drawn(body, direction):
    projection = Projection(1280, 720)
    model = build_model(vehicle(body=body, direction=direction), np.random.default_rng(0))
    model.plate[:] = MAGENTA
    for z in (7.0, 13.0):
        place = np.array([model.vehicle.x_m, 0, z])
        image = np.zeros((720, 1280, 3), np.uint8)
        model.draw(image, projection, place, night=False)
        rows, columns = np.nonzero((image == MAGENTA).all(axis=2))
        drawn = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        np.testing.assert_allclose(model.boxes(projection, place)[0], drawn, atol=1.5)


def test_a_plate_behind_another_vehicle_is_not_in_the_ground_truth():
    behind = vehicle(stop_m=12, stop_s=9, arrives_s=-1)
    before = vehicle(plate="CJ 07 ADV", stop_m=6.6, stop_s=9, arrives_s=-1, body="van")
    for vehicles, visible in (((behind,), {"B68SPK"}), ((behind, before), {"CJ07ADV"})):
        street = Street(vehicles=vehicles, length_s=0.1)
        frame = next(render(street, fps=10))
        assert {plate.text for plate in frame.plates} == visible


def test_the_same_seed_gives_the_same_pixels_and_another_seed_others():
    street = Street(vehicles=(vehicle(arrives_s=0.2),), length_s=0.3, signs=2)
    first, second, other = (
        [
            frame.image
            for frame in render(street.model_copy(update={"seed": seed}), size=SMALL, fps=10)
        ]
        for seed in (3, 3, 4)
    )
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first[0], first[1])


def test_the_image_is_darker_at_night_and_between_both_at_dusk():
    means = [
        next(render(Street(vehicles=(), night_s=night_s), size=SMALL)).image.mean()
        for night_s in (np.inf, 0.65, 0)
    ]
    assert means[0] > means[1] > means[2] > 5
    assert means[2] < means[0] / 3


def test_every_text_of_a_random_street_has_the_syntax_of_its_country():
    street = random_street(12, seed=2)
    assert len({one.plate for one in street.vehicles}) == 12
    assert random_street(12, seed=2) == street
    formats = shipped_formats()
    fitting = [
        formats.expecting([one.region], key="region").fits(normalise(one.plate))
        for one in street.vehicles
    ]
    assert sum(fitting) >= 8  # old plates are drawn as well


@pytest.mark.parametrize("name", ["demo", "gate"])
def test_the_streets_that_ship_show_every_plate_long_enough(name):
    street = read_street(STREETS / f"{name}.toml")
    renderer = frames_module._Renderer(street, Projection(1280, 720))
    seen = [
        plate.text for at in np.arange(0, street.length_s, 0.2) for plate in renderer.plates(at)
    ]
    assert all(seen.count(normalise(one.plate)) >= 6 for one in street.vehicles)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("vehicles = [", "street.toml: "),
        ("[[vehicles]]\nplate = 'B68SPK'", r"vehicles\[0\].region: is missing"),
        ("vehicles = []\nnights = 3", 'unknown key "nights": did you mean "night_s"'),
        (None, "street.toml: No such file"),
    ],
)
def test_a_wrong_street_file_is_refused_with_the_key_and_the_reason(tmp_path, text, reason):
    path = tmp_path / "street.toml"
    if text:
        path.write_text(text)
    with pytest.raises(TrainError, match=reason):
        read_street(path)


def test_a_text_that_fits_no_layout_is_refused():
    street = Street(vehicles=(vehicle(plate="B 68 SPKX"),))
    with pytest.raises(TrainError, match=r"B 68 SPKX: fits no plate layout of region 'ro'"):
        next(render(street, size=SMALL))


def test_the_video_file_shows_what_its_ground_truth_says(tmp_path):
    street = Street(vehicles=(vehicle(arrives_s=0.4), vehicle(arrives_s=90)), length_s=0.5)
    path = tmp_path / "new" / "street.mp4"
    write_video(street, path, fps=10)
    truth = json.loads(path.with_suffix(".json").read_text())
    assert {key: truth[key] for key in ("width", "height", "fps", "frames")} == {
        "width": 1280, "height": 720, "fps": 10, "frames": 5,
    }  # fmt: skip
    seen, unseen = truth["vehicles"]
    assert (seen["plate"], seen["region"]) == ("B68SPK", "ro")
    assert len(seen["boxes"]) == seen["last_frame"] - seen["first_frame"] + 1 == 5
    assert unseen["boxes"] == []
    with av.open(str(path)) as container:
        images = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    for image, frame in zip(images, render(street, fps=10), strict=True):
        assert cv2.PSNR(image, frame.image) > 30
    x1, y1, x2, y2 = (round(value) for value in seen["boxes"][-1])
    inside = images[-1][y1:y2, x1:x2].mean(axis=2)
    assert np.ptp(np.percentile(inside, (5, 95))) > 90


def test_a_video_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(TrainError, match=r"file/street.mp4: (Not a directory|File exists)"):
        write_video(Street(vehicles=()), tmp_path / "file" / "street.mp4")


@pytest.mark.parametrize("night_s", [np.inf, 0])
def test_the_shipped_networks_read_every_visible_plate(night_s):
    street = Street(
        vehicles=(
            vehicle(stop_m=9, arrives_s=0),
            vehicle(stop_m=8, arrives_s=0, direction="away", plate="KX73 LPH", region="gb"),
        ),
        length_s=0.1,
        night_s=night_s,
    )
    frame = next(render(street, fps=10))
    assert len(frame.plates) == 2
    read = {plate.text: plate.box for plate in ALPR().read(frame.image)}
    for plate in frame.plates:
        boxes = np.array([read[plate.text], plate.box], np.float32)
        assert iou(boxes[:1], boxes[1:]) > 0.6


def test_the_demo_video_that_ships_fits_its_ground_truth():
    truth = json.loads(DEMO_VIDEO.with_suffix(".json").read_text())
    assert DEMO_VIDEO.stat().st_size <= 1_500_000
    with av.open(str(DEMO_VIDEO)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (truth["width"], truth["height"])
        assert stream.average_rate == truth["fps"]
        assert sum(packet.size > 0 for packet in container.demux(stream)) == truth["frames"]
    for one in truth["vehicles"]:
        boxes = np.array(one["boxes"])
        assert len(boxes) == one["last_frame"] - one["first_frame"] + 1 > truth["fps"]
        assert (boxes >= 0).all() and (boxes[:, 2:] <= (truth["width"], truth["height"])).all()
