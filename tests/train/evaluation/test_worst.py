from pathlib import Path

import cv2
import numpy as np
import pytest

from plateid.capture.video_writer import VideoWriter
from plateid.errors import SourceError
from train.evaluation.results import Result, Shot
from train.evaluation.worst import SURE, TRUTH, WEAK, WIDTH, draw, faults, worst

PICTURE = Shot(Path("a.png"))
PLATE, FAR = (100, 100, 200, 140), (600, 300, 700, 340)


def result(found, truths, *, shot=PICTURE, source="data") -> Result:
    """Boxes given as x1, y1, x2, y2, score."""
    rows = np.array(found, np.float32).reshape(-1, 5)
    return Result(
        source=source,
        shot=shot,
        luma=100.0,
        scale=0.5,
        boxes=rows[:, :4],
        scores=rows[:, 4],
        truths=np.array(truths, np.float32).reshape(-1, 4),
    )


@pytest.mark.parametrize(
    ("found", "truths", "expected"),
    [
        ([], [], []),
        ([(*PLATE, 0.9)], [PLATE], []),
        ([(*PLATE, 0.1)], [], []),
        ([], [PLATE], [("missed", 20, "missed plate, 40 px high: no box near it")]),
        (
            [(*PLATE, 0.1)],
            [PLATE],
            [("missed", 20, "missed plate, 40 px high: nearest box has score 0.10, IoU 1.00")],
        ),
        ([(*PLATE, 0.04)], [PLATE], [("missed", 20, "no box near it")]),
        ([(*FAR, 0.9)], [], [("false box", 0.9, "score 0.90: no plate is labelled there")]),
        (
            [(100, 100, 140, 140, 0.9)],
            [PLATE],
            [
                ("missed", 20, "nearest box has score 0.90, IoU 0.40"),
                ("false box", 0.9, "score 0.90: IoU 0.40 with a plate"),
            ],
        ),
        (
            [(100, 100, 160, 140, 0.9), (*FAR, 0.4)],
            [PLATE],
            [("false box", 0.4, "labelled there"), ("loose box", 0.4, "loose box, IoU 0.60")],
        ),
    ],
)
def test_what_is_wrong_is_said(found, truths, expected):
    got = faults(result(found, truths), 0.3)
    assert len(got) == len(expected)
    for fault, (kind, weight, about) in zip(got, expected, strict=True):
        assert fault.kind == kind
        assert fault.weight == pytest.approx(weight)
        assert fault.about.endswith(about)


def test_missed_plates_come_first_the_tallest_before_others_then_false_boxes_then_loose_ones():
    pictures = {
        "good": result([(*PLATE, 0.9)], [PLATE], shot=Shot(Path("good"))),
        "loose": result([(100, 100, 160, 140, 0.9)], [PLATE], shot=Shot(Path("loose"))),
        "likely": result([(*FAR, 0.8)], [], shot=Shot(Path("likely"))),
        "likelier": result([(*FAR, 0.9)], [], shot=Shot(Path("likelier"))),
        "low": result([], [(0, 0, 40, 10)], shot=Shot(Path("low"))),
        "tall": result([(*FAR, 0.9)], [PLATE], shot=Shot(Path("tall"))),
    }
    order = [each.result.shot.path.name for each in worst(pictures.values(), 0.3)]
    assert order == ["tall", "low", "likelier", "likely", "loose"]
    assert len(worst(pictures.values(), 0.3, limit=2)) == 2


def test_of_a_second_of_a_clip_only_the_worst_frame_is_shown():
    clip = Path("street.mp4")
    frames = [
        result([(*PLATE, score)], [], shot=Shot(clip, n, n / 2), source="street.mp4")
        for n, score in enumerate((0.5, 0.9, 0.7, 0.2, 0.6))
    ]
    names = [each.result.name for each in worst(frames, 0.3)]
    assert names == ["street.mp4, 0.5 s", "street.mp4, 1.0 s", "street.mp4, 2.0 s"]


def decoded(jpeg: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)


def has(image: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((np.abs(image.astype(int) - colour).max(axis=2) < 40).any())


@pytest.mark.parametrize(
    ("size", "plate", "shown"),
    [
        ((1280, 720), (600, 300, 640, 320), (480, 270)),
        ((1280, 720), (0, 0, 1280, 720), (480, 270)),
        ((1280, 720), (1240, 700, 1280, 720), (480, 270)),
        ((225, 150), (10, 10, 60, 30), (225, 150)),
        ((300, 1500), (10, 1400, 60, 1420), (300, 1500)),
    ],
    ids=["large", "filled", "in a corner", "small", "tall"],
)
def test_a_picture_is_drawn_around_what_is_wrong(tmp_path, size, plate, shown):
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.full((size[1], size[0], 3), 90, np.uint8))
    (picture,) = worst([result([], [plate], shot=Shot(path))], 0.3)
    image = decoded(draw([picture], 0.3)[0])
    assert (image.shape[1], image.shape[0]) == shown
    assert image.shape[1] <= WIDTH
    assert has(image, TRUTH)


def test_plates_and_boxes_have_their_colours_and_scores(tmp_path):
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.full((360, 480, 3), 90, np.uint8))
    shot = Shot(path)

    def drawn(found, truths) -> np.ndarray:
        (picture,) = worst([result(found, truths, shot=shot)], 0.3)
        return decoded(draw([picture], 0.3)[0])

    sure, weak = (*PLATE, 0.9), (*PLATE, 0.1)
    for found, truths, colours in (
        ([sure], [], (False, True, False)),
        ([weak], [FAR], (False, False, True)),
        ([weak], [PLATE], (True, False, True)),
        ([(300, 10, 400, 50, 0.9)], [PLATE], (True, True, False)),
    ):
        image = drawn(found, truths)
        assert tuple(has(image, colour) for colour in (TRUTH, SURE, WEAK)) == colours


def test_a_box_outside_of_the_part_that_is_shown_leaves_no_score_behind(tmp_path):
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.full((1000, 2000, 3), 90, np.uint8))
    far = (1900, 900, 1990, 950, 0.1)
    (picture,) = worst([result([far], [PLATE], shot=Shot(path))], 0.3)
    assert not has(decoded(draw([picture], 0.3)[0]), WEAK)


def test_frames_of_a_clip_are_found_again(tmp_path):
    path = tmp_path / "street.mp4"
    with VideoWriter(path) as writer:
        for n in range(20):
            writer.write(np.full((64, 128, 3), 10 * n, np.uint8), n / 2)
    box = (10, 10, 60, 30)
    frames = [result([(*box, 0.9 - n / 100)], [], shot=Shot(path, n, n / 2)) for n in (6, 2, 14)]
    images = [decoded(jpeg) for jpeg in draw(worst(frames, 0.3), 0.3)]
    assert [round(float(image[60, 120].mean()), -1) for image in images] == [20, 60, 140]


def test_a_picture_that_is_gone_is_named(tmp_path):
    pictures = worst([result([], [PLATE], shot=Shot(tmp_path / "gone.png"))], 0.3)
    with pytest.raises(SourceError, match=r"gone\.png: does not exist"):
        draw(pictures, 0.3)
