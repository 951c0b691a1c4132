"""Decisions about detectors: the threshold, the paired test, scenes, and rendered frames."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from plateid.capture.images import read_image
from plateid.config.models import DEFAULT_BUNDLE, ModelsConfig
from plateid.core.geometry import moved as moved_by
from plateid.models.networks import Networks
from train.evaluation.coco_metrics import ImageBoxes, mean_average_precision
from train.evaluation.image_results import ImageResult
from train.learn import rehearsal
from train.learn.detector_lesson import DetectorLesson, choose_threshold, finds_all
from train.learn.gather import LearningRun, Sources, framed_images, gather
from train.learn.learning import learn
from train.learn.proof import mean_precisions, p_of_chosen, resamples
from train.learn.rehearsal import STREETS, Rehearsal
from train.street.frames import READABLE_PX
from train.train_error import TrainError

PLATE, ELSEWHERE = (10, 10, 50, 26), (60, 60, 100, 76)


@pytest.fixture
def image(tmp_path) -> Path:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.zeros((128, 128, 3), np.uint8))
    return path


def result(path: Path, boxes: list, scores: list, truths: list) -> ImageResult:
    """Returns what a network finds in an image."""
    found, labelled = (np.array(each, np.float32).reshape(-1, 4) for each in (boxes, truths))
    return ImageResult("", path, 100, 1.0, found, np.array(scores, np.float32), labelled)


def test_threshold_is_the_lowest_with_no_more_false_boxes_than_before(image):
    def scored(correct: list[float], false: list[float]) -> list[ImageBoxes]:
        found = [result(image, [PLATE], [score], [PLATE]) for score in correct]
        return [r.of_height() for r in (*found, *(result(image, [PLATE], [s], []) for s in false))]

    before = scored([0.9, 0.8, 0.7], [0.6, 0.5, 0.2])
    after = scored([0.6, 0.5, 0.2], [0.45, 0.3, 0.19, 0.18])
    assert choose_threshold(before, after, current=0.35) == 0.2
    quiet = scored([0.9], [0.34])
    assert choose_threshold(quiet, after, current=0.35) == 0.46
    nothing = [result(image, [], [], []).of_height()] * 200
    assert choose_threshold([*quiet, *nothing], after, current=0.35) == 0.15, ".1 an image are few"


def test_resampled_precision_of_all_images_is_that_of_the_evaluation(image):
    rng = np.random.default_rng(0)
    images: list[ImageBoxes] = []
    for _ in range(12):
        moved = np.array(PLATE) + rng.integers(-4, 5, 4)
        scores = rng.random(2).tolist()
        images.append(result(image, [moved, ELSEWHERE], scores, [PLATE]).of_height())
    every = resamples([str(number) for number in range(12)], 200)
    precisions = mean_precisions(images, every)
    assert precisions[0] == pytest.approx(mean_average_precision(images))
    assert len(set(precisions.tolist())) > 100
    once = mean_precisions(images, resamples(["one scene"] * 12, 20))
    assert set(once.tolist()) == {precisions[0]}


def test_better_boxes_of_many_scenes_prove_a_gain(image):
    loose, tight = (
        [result(image, [box], [0.9], [PLATE]).of_height() for _ in range(10)]
        for box in ((8, 8, 53, 29), PLATE)
    )
    scenes = resamples([str(number) for number in range(10)], 200)
    old, new = (mean_precisions(side, scenes) for side in (loose, tight))
    assert p_of_chosen((new - old)[None], 0) == 0
    assert p_of_chosen((old - new)[None], 0) == 1


def test_boxes_without_a_plate_and_plates_without_a_box_are_suspicious(image):
    lesson = DetectorLesson.__new__(DetectorLesson)
    fine = result(image, [PLATE, ELSEWHERE], [0.9, 0.5], [PLATE])
    forgotten = result(image, [PLATE, ELSEWHERE], [0.9, 0.85], [PLATE])
    wrong = result(image, [], [], [ELSEWHERE])
    images = [fine] * 6 + [forgotten, wrong]
    found = lesson.suspects(images, images)
    assert [(each.number, each.reason) for each in found] == [(7, "wrong box"), (6, "missing box")]
    assert found[0].image.shape == (16, 40, 3)
    assert not lesson.suspects([wrong] * 8, [wrong] * 8), "a network that finds nothing is at fault"


def test_images_of_one_vehicle_are_one_scene_and_crops_are_none(tmp_path):
    rng = np.random.default_rng(0)
    rows = ["image,x1,y1,x2,y2,text"]
    (tmp_path / "frames" / "images").mkdir(parents=True)
    for number, text in enumerate(["AB10", "AB1O", "XY99", ""]):
        noise = rng.integers(0, 255, (96, 96, 3)).astype(np.uint8)
        cv2.imwrite(str(tmp_path / "frames" / "images" / f"{number}.png"), noise)
        rows.append(f"{number}.png,{8 * number},20,{8 * number + 40},36,{text}")
    (tmp_path / "frames" / "labels.csv").write_text("\n".join(rows))
    (tmp_path / "crops" / "images").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "crops" / "images" / "0.png"), noise[:40])
    (tmp_path / "crops" / "labels.csv").write_text("image,text\n0.png,ZZ1")
    images = gather(Sources((tmp_path / "frames", tmp_path / "crops")), tmp_path)
    assert len(images) == 5
    groups = [image.group for image in framed_images(images)]
    assert (len(groups), len(set(groups)), groups[0]) == (4, 3, groups[1])


def test_rendered_frames_are_kept(tmp_path, monkeypatch):
    monkeypatch.setitem(STREETS, "replay", (2, 7, 0.1))
    rendered = Rehearsal(tmp_path, 45)
    first = rendered.frames("replay")
    written = (tmp_path / "replay-streets-45" / "images" / "0000.jpg").stat
    before = written().st_mtime_ns
    assert [image.digest for image in rendered.frames("replay")] == [
        image.digest for image in first
    ]
    assert written().st_mtime_ns == before


def test_rendered_plates_that_are_too_low_to_count_have_labels(tmp_path, monkeypatch):
    monkeypatch.setitem(STREETS, "forgetting", (5, 7, 0.1))
    frames = Rehearsal(tmp_path, 45).frames("forgetting")
    heights = np.array([y2 - y1 for frame in frames for _, y1, _, y2 in frame.boxes])
    assert (heights < READABLE_PX).any()
    assert (heights >= READABLE_PX).any()


def test_rendering_of_streets_ends_in_time_and_more_minutes_render_more(tmp_path, monkeypatch):
    monkeypatch.setattr(rehearsal, "MIN_FRAMES", 3)
    monkeypatch.setitem(STREETS, "forgetting", (5, 7, 0.1))
    assert len(Rehearsal(tmp_path, 0.001).frames("forgetting")) == 3
    assert len(Rehearsal(tmp_path, 45).frames("forgetting")) == 5


def test_detector_that_labelled_the_boxes_has_nothing_to_learn(tmp_path, monkeypatch):
    monkeypatch.setitem(STREETS, "replay", (5, 7, 0.1))
    frames = Rehearsal(tmp_path, 45).frames("replay")
    detector = Networks(ModelsConfig(bundle=DEFAULT_BUNDLE)).detector()
    found = [[each.box for each in detector.detect(read_image(f.path))] for f in frames]
    assert any(found)
    own = [replace(f, boxes=tuple(boxes)) for f, boxes in zip(frames, found, strict=True)]
    assert finds_all(DEFAULT_BUNDLE, own)
    loose = [
        replace(f, boxes=tuple(moved_by(box, 4, 4) for box in boxes))
        for f, boxes in zip(frames, found, strict=True)
    ]
    assert not finds_all(DEFAULT_BUNDLE, loose)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0.png,60,9,20,30", "0.png: box 60.0 9.0 20.0 30.0: is empty"),
        ("0.png,,,,", "^9 images with a box show 9 scenes: 10 different scenes are needed"),
    ],
)
def test_bad_boxes_give_one_line_and_leave_nothing(data, tmp_path, row, message):
    table = data / "labels.csv"
    heading, _, *rows = table.read_text().splitlines()
    table.write_text("\n".join([heading, row, *rows[:9]]))
    run = LearningRun(Sources((data,)), tmp_path / "bundle", DEFAULT_BUNDLE)
    with pytest.raises(TrainError, match=message) as caught:
        learn(run)
    assert "\n" not in str(caught.value)
    assert not run.work.exists()
