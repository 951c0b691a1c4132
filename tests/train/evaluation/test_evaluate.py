"""Evaluates tiny bundles, which find the same in every image."""

import contextlib
import json
import os
import pty
from pathlib import Path

import pytest

from plateid.errors import PlateidError
from tests.support.bundles import detector_network, reader_network, write_bundle
from tests.train.evaluation.evaluation_samples import ELSEWHERE, PLATE, folder, write_video
from train.dataset.grouping import is_held_out
from train.evaluation.evaluate import EvaluationRun, evaluate, training_data
from train.manifest.weight_origin import detector_origin
from train.train_error import TrainError


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Finds PLATE with 0.9 and another box with 0.1, and reads AO12."""
    detector = detector_network([(32, 16, 20, 8, 0.9), (10, 28, 8, 4, 0.1)])
    return write_bundle(tmp_path / "bundle", detector, reader_network("AA-O-1-2"))


def run(tiny: Path, *folders: Path, **options) -> EvaluationRun:
    return EvaluationRun(folders, tiny, out=tiny.parent / "out", **options)


def thirty(path: Path, box: str = PLATE) -> Path:
    return folder(path, *(f"{n}.png,{box}," for n in range(30)))


def test_accuracy_is_measured_on_the_labelled_plates(tmp_path, tiny):
    data = folder(
        tmp_path / "data",
        f"a.png,{PLATE},AO12",
        f"b.png,{PLATE},A0 12",
        f"c.png,{PLATE},XX99",
        f"d.png,{ELSEWHERE},AO12",
        f"e.png,{PLATE},",
        "f.png,,,,,",
    )
    evaluation = evaluate(run(tiny, data))
    (found,), (read,) = evaluation.parts["all"], evaluation.reader.parts["all"]
    assert (found.images, found.plates, found.missed, found.false_boxes) == (6, 5, 1, 2)
    assert (found.recall, found.recall_at_05) == (0.8, 0.8)
    assert found.precision == pytest.approx(4 / 6)
    metrics = {**read.end_to_end.metrics(), **read.crops.metrics("crops_")}
    assert (metrics["plates"], metrics["exact"], metrics["folded"]) == (4, 0.25, 0.5)
    assert (metrics["crops_plates"], metrics["crops_exact"], metrics["crops_folded"]) == (
        4,
        0.5,
        0.75,
    )
    # True, true, true, false, true, false: precision 1 up to a recall of 0.6, and 0.8 up to 0.8.
    assert found.mAP50 == found.mAP50_95 == pytest.approx((61 + 20 * 0.8) / 101)


def test_a_plate_with_a_low_score_is_found_at_the_lowest_threshold_only(tmp_path, tiny):
    evaluation = evaluate(run(tiny, folder(tmp_path / "data", "a.png,60,260,140,300,AB1")))
    (found,), (read,) = evaluation.parts["all"], evaluation.reader.parts["all"]
    assert (found.recall, found.recall_at_05, read.end_to_end.plate_accuracy) == (0, 1, 0)


def test_detector_accuracy_is_grouped_by_source_height_and_light(tmp_path, tiny):
    day = folder(tmp_path / "day", f"a.png,{PLATE},", "b.png,0,0,60,15,")
    night = folder(tmp_path / "night", f"a.png,{PLATE},", f"b.png,{PLATE},", level=30)
    parts = evaluate(run(tiny, day, night)).parts
    assert [(part.name, part.plates) for part in parts["source"]] == [("day", 2), ("night", 2)]
    assert [(part.name, part.recall) for part in parts["light"]] == [("day", 0.5), ("night", 1)]
    by_height = [
        (part.images, part.plates, part.false_boxes, part.recall) for part in parts["height"]
    ]
    assert by_height == [(0, 0, 0, None), (1, 1, 0, 0), (0, 0, 0, None), (3, 3, 1, 1)]
    assert parts["height"][0].mAP50 is None


def test_map_counts_boxes_with_very_low_scores(tmp_path, tiny):
    write_bundle(tiny, detector_network([(32, 16, 20, 8, 0.002)]), reader_network("A"))
    (found,) = evaluate(run(tiny, folder(tmp_path / "data", f"a.png,{PLATE},"))).parts["all"]
    assert (found.mAP50, found.recall_at_05) == (1, 0)


def test_only_held_out_images_are_evaluated_if_asked(tmp_path, tiny):
    expected = [f"{n}.png" for n in range(30) if is_held_out(f"data/{n}.png")]
    evaluation = evaluate(run(tiny, thirty(tmp_path / "data"), held_out=True))
    assert sorted(each.path.name for each in evaluation.results) == sorted(expected)
    assert 0 < len(expected) < 30


def test_folders_with_one_name_are_told_apart_by_their_paths(tmp_path, tiny):
    a, b = (folder(tmp_path / name / "data", f"a.png,{PLATE},") for name in "ab")
    evaluation = evaluate(run(tiny, a, b))
    assert [part.name for part in evaluation.parts["source"]] == [str(a), str(b)]


def test_negatives_may_be_images_videos_and_folders(tmp_path, tiny):
    data = folder(tmp_path / "data", f"a.png,{PLATE},")
    clip = write_video(tmp_path / "street.mp4", 5)
    mixed = folder(tmp_path / "mixed", "a.png,,,,,", "b.png,,,,,") / "images"
    write_video(mixed / "c.mp4", 3)
    evaluation = evaluate(run(tiny, data, negatives=(clip, mixed, mixed / "a.png")))
    found = [(each.name, each.frames, each.false_boxes) for each in evaluation.negatives]
    assert found == [("street.mp4", 5, 5), ("images", 5, 5), ("a.png", 1, 1)]
    assert {each.false_per_frame for each in evaluation.negatives} == {1}
    assert evaluation.parts["all"][0].false_boxes == 0


@pytest.mark.parametrize(
    ("name", "problem"), [("useu", "the bundle was trained on it"), ("eu", "the fit needs both")]
)
def test_temperature_is_only_fitted_on_sources_of_no_training(tmp_path, tiny, name, problem):
    record_training(tiny)
    data = thirty(tmp_path / name, PLATE)
    with pytest.raises(TrainError, match=f"--calibrate: .*{problem}"):
        evaluate(run(tiny, data, calibrate=True))


def record_training(bundle):
    """Writes into a bundle that it was trained on dash and useu."""
    spec = bundle / "bundle.toml"
    origin = "a.pt; 2 epochs on 9 images (dash, useu), data 1f"
    spec.write_text(spec.read_text().replace("[detector]", f'[detector]\norigin = "{origin}"'))


@pytest.mark.parametrize(
    ("name", "options", "warning"),
    [
        ("useu", {}, "the bundle was trained on it"),
        ("Dash", {}, "the bundle was trained on it"),
        ("eu", {}, None),
        ("useu", {"held_out": True}, None),
        ("eu", {"held_out": True}, "the bundle was trained on dash, useu; if"),
    ],
)
def test_evaluating_on_training_data_gives_a_warning(tiny, name, options, warning):
    record_training(tiny)
    lines = list(training_data(run(tiny, Path(name), **options)))
    assert len(lines) == bool(warning)
    assert all(line.startswith(f"{name}: {warning}") for line in lines)


@pytest.mark.parametrize("name", [".", "plates (1)", "a, b; c"])
def test_training_data_is_recognised_whatever_the_folder_name(tmp_path, tiny, monkeypatch, name):
    data = tmp_path / "my, own (2)" if name == "." else tmp_path / name
    data.mkdir()
    monkeypatch.chdir(data if name == "." else tmp_path)
    trained = {"data": [name], "base": "yolov8n.pt", "epochs": 2, "imgsz": 640, "commit": "c"}
    trained |= {"data_sha256": "1f", "images": {"train": 9}}
    (tmp_path / "run.json").write_text(json.dumps(trained))
    spec = tiny / "bundle.toml"
    origin = json.dumps(detector_origin(tmp_path / "fit" / "weights" / "last.pt"))
    spec.write_text(spec.read_text().replace("[detector]", f"[detector]\norigin = {origin}"))
    assert len(list(training_data(run(tiny, data)))) == 1
    assert not list(training_data(run(tiny, data, held_out=True)))


def test_unusable_paths_are_named(tmp_path, tiny):
    data = folder(tmp_path / "data", f"a.png,{PLATE},")
    with pytest.raises(PlateidError, match=r"no\.mp4: does not exist"):
        evaluate(run(tiny, data, negatives=(tmp_path / "no.mp4",)))
    with pytest.raises(PlateidError, match=r"nothing: is neither a shipped bundle"):
        evaluate(EvaluationRun((data,), tmp_path / "nothing", out=tmp_path / "out"))
    (data / "labels.csv").write_text("image,x1,y1,x2,y2\n")
    with pytest.raises(TrainError, match=r"data.*: no image"):
        evaluate(run(tiny, data))
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainError, match=r"--out .*file: File exists"):
        evaluate(EvaluationRun((tmp_path / "not read",), tiny, out=tmp_path / "file"))


def test_a_terminal_shows_the_progress(tmp_path, tiny):
    data = folder(tmp_path / "data", f"a.png,{PLATE},")
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal, contextlib.redirect_stderr(terminal):
        evaluate(run(tiny, data))
    shown = os.read(ours, 9999).decode()
    os.close(ours)
    assert "images" in shown
