"""Evaluations of tiny bundles, which find the same in every picture."""

import contextlib
import json
import os
import pty
from pathlib import Path

import cv2
import numpy as np
import pytest

from plateid.capture.video_writer import VideoWriter
from plateid.errors import PlateidError
from tests.support.bundles import detector_network, reader_network, write_bundle
from train.dataset.grouping import is_held_out
from train.evaluation.evaluate import evaluate
from train.evaluation.run import EvaluationRun, leaks
from train.folding import fold
from train.manifest.weight_origin import detector_origin
from train.train_error import TrainError

PLATE = "220,120,420,200"
"""Where the tiny detector finds its plate in a picture of 640x320; 80 pixels high."""
ELSEWHERE = "0,0,50,20"


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Finds a plate in the middle of a picture, doubts another, and reads AO12."""
    detector = detector_network([(32, 16, 20, 8, 0.9), (10, 28, 8, 4, 0.1)])
    return write_bundle(tmp_path / "bundle", detector, reader_network("AA-O-1-2"))


def folder(
    path: Path, *rows: str, level: int = 200, header: str = "image,x1,y1,x2,y2,text"
) -> Path:
    """Pictures and labels; a row begins with the picture's name."""
    (path / "images").mkdir(parents=True)
    for name in {row.split(",")[0] for row in rows}:
        blocks = np.random.default_rng(list(f"{path.name}/{name}".encode())).integers(
            -30, 31, (8, 16, 3)
        )
        picture = cv2.resize((level + blocks).astype(np.uint8), (640, 320))
        cv2.imwrite(str(path / "images" / name), picture)
    (path / "labels.csv").write_text("\n".join([header, *rows]))
    return path


def write_video(path: Path, frames: int) -> Path:
    with VideoWriter(path) as writer:
        for frame in range(frames):
            writer.write(np.full((64, 128, 3), 90, np.uint8), frame / 10)
    return path


def run(tiny: Path, *folders: Path, **options) -> EvaluationRun:
    return EvaluationRun(folders, tiny, out=tiny.parent / "out", **options)


def test_found_exact_and_folded_are_shares_of_the_labelled_plates(tmp_path, tiny):
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
    (all_,), (read,) = evaluation.parts["all"], evaluation.reader.parts["all"]
    assert (all_.pictures, all_.plates, all_.missed, all_.false_boxes) == (6, 5, 1, 2)
    assert (all_.recall, all_.recall_at_05) == (0.8, 0.8)
    assert all_.precision == pytest.approx(4 / 6)
    assert (read.plates, read.exact, read.folded) == (4, 0.25, 0.5)
    assert (read.crops, read.crops_exact, read.crops_folded) == (4, 0.5, 0.75)
    assert all_.mean_iou == pytest.approx(1.0, abs=1e-3)
    # Right, right, right, wrong, right, wrong: 1 up to a recall of 0.6, and 0.8 up to 0.8.
    assert all_.mAP50 == all_.mAP50_95 == pytest.approx((61 + 20 * 0.8) / 101)


def test_a_plate_that_is_doubted_is_found_at_the_lowest_threshold_only(tmp_path, tiny):
    data = folder(tmp_path / "data", "a.png,60,260,140,300,AB1")
    evaluation = evaluate(run(tiny, data))
    (all_,), (read,) = evaluation.parts["all"], evaluation.reader.parts["all"]
    assert (all_.recall, all_.recall_at_05, read.folded) == (0, 1, 0)


def test_figures_are_given_by_source_by_height_and_by_light(tmp_path, tiny):
    day = folder(tmp_path / "day", f"a.png,{PLATE},", "b.png,0,0,60,15,")
    night = folder(tmp_path / "night", f"a.png,{PLATE},", f"b.png,{PLATE},", level=30)
    parts = evaluate(run(tiny, day, night)).parts
    assert [(part.name, part.plates) for part in parts["source"]] == [("day", 2), ("night", 2)]
    assert [(part.name, part.recall) for part in parts["light"]] == [("day", 0.5), ("night", 1)]
    by_height = {part.name: part for part in parts["height"]}
    assert [part.plates for part in by_height.values()] == [0, 1, 0, 3]
    assert [part.pictures for part in by_height.values()] == [0, 1, 0, 3]
    assert [part.false_boxes for part in by_height.values()] == [0, 0, 0, 1]
    assert [part.recall for part in by_height.values()] == [None, 0, None, 1]
    assert by_height["< 12 px"].mAP50 is None


def test_map_takes_boxes_that_have_next_to_no_score_into_account(tmp_path, tiny):
    detector = detector_network([(32, 16, 20, 8, 0.002)])
    write_bundle(tiny, detector, reader_network("A"))
    (all_,) = evaluate(run(tiny, folder(tmp_path / "data", f"a.png,{PLATE},"))).parts["all"]
    assert (all_.mAP50, all_.recall_at_05) == (1, 0)


def test_only_the_validation_part_of_a_folder_that_was_trained_on(tmp_path, tiny):
    names = [f"{n}.png" for n in range(30)]
    data = folder(tmp_path / "data", *(f"{name},{PLATE}," for name in names))
    expected = [name for name in names if is_held_out(f"data/{name}")]
    evaluation = evaluate(run(tiny, data, held_out=True))
    assert sorted(each.shot.path.name for each in evaluation.results) == sorted(expected)
    assert 0 < len(expected) < len(names)


def test_folders_of_one_name_are_told_apart(tmp_path, tiny):
    a, b = (folder(tmp_path / name / "data", f"a.png,{PLATE},") for name in "ab")
    evaluation = evaluate(run(tiny, a, b))
    assert [part.name for part in evaluation.parts["source"]] == [str(a), str(b)]


def test_negatives_are_pictures_clips_and_folders_of_them(tmp_path, tiny):
    data = folder(tmp_path / "data", f"a.png,{PLATE},")
    clip = write_video(tmp_path / "street.mp4", 5)
    mixed = folder(tmp_path / "mixed", "a.png,,,,,", "b.png,,,,,") / "images"
    write_video(mixed / "c.mp4", 3)
    evaluation = evaluate(run(tiny, data, negatives=(clip, mixed, mixed / "a.png")))
    found = [(each.name, each.frames, each.false_boxes) for each in evaluation.negatives]
    assert found == [("street.mp4", 5, 5), ("images", 5, 5), ("a.png", 1, 1)]
    assert {each.false_per_frame for each in evaluation.negatives} == {1}
    assert evaluation.parts["all"][0].false_boxes == 0


@pytest.mark.parametrize("option", ["choose_threshold", "calibrate"])
def test_nothing_is_chosen_on_pictures_that_are_not_held_out(tmp_path, tiny, option):
    name = option.replace("_", "-")
    with pytest.raises(TrainError, match=f"--{name}: only with --held-out"):
        evaluate(run(tiny, tmp_path / "not looked at", **{option: True}))


def test_a_threshold_is_chosen_on_held_out_pictures(tmp_path, tiny):
    data = folder(tmp_path / "data", *(f"{n}.png,{PLATE}," for n in range(30)))
    evaluation = evaluate(run(tiny, data, held_out=True, choose_threshold=True))
    assert (evaluation.choice.threshold, evaluation.threshold) == (0.9, 0.3)
    assert evaluate(run(tiny, data)).choice is None


def test_negatives_that_a_threshold_was_chosen_with_are_not_reported(tmp_path, tiny):
    data = folder(tmp_path / "data", *(f"{n}.png,{PLATE}," for n in range(30)))
    clip = write_video(tmp_path / "street.mp4", 5)
    options = {"held_out": True, "negatives": (clip,), "choose_threshold": True}
    (negatives,) = evaluate(run(tiny, data, **options)).negatives
    assert (negatives.name, negatives.frames) == ("street.mp4, second half", 3)


def test_single_pictures_without_plates_are_halved_together(tmp_path, tiny):
    data = folder(tmp_path / "data", *(f"{n}.png,{PLATE}," for n in range(30)))
    names = [f"{n}.png" for n in range(4)]
    walls = folder(tmp_path / "walls", *(f"{name},,,,," for name in names)) / "images"
    options = {"held_out": True, "choose_threshold": True}
    singles = tuple(walls / name for name in names)
    evaluation = evaluate(run(tiny, data, negatives=singles, **options))
    assert [(n.name, n.frames) for n in evaluation.negatives] == [("pictures, second half", 2)]
    assert evaluation.choice == evaluate(run(tiny, data, negatives=(walls,), **options)).choice
    assert evaluation.choice != evaluate(run(tiny, data, **options)).choice


@pytest.mark.parametrize(("name", "warned"), [("Kaggle", 1), ("useu", 1), ("eu", 0), ("data", 0)])
def test_a_folder_that_a_bundle_says_it_was_trained_on_is_named(tmp_path, tiny, name, warned):
    spec = tiny / "bundle.toml"
    data = '[{name = "kaggle cars, US-EU", licence = "MIT", used_for = "both"}]'
    text = spec.read_text().replace("training_data = []", f"training_data = {data}")
    origin = "a.pt; 2 epochs on 9 images (dash, useu), data 1f"
    spec.write_text(text.replace("[detector]", f'[detector]\norigin = "{origin}"'))
    (unsaid, *said) = leaks(run(tiny, tmp_path / "other", tmp_path / name))
    assert unsaid.startswith(f"{tiny}: does not say what its reader was trained on; if these")
    assert len(said) == warned
    assert all(s.startswith(f"{tmp_path / name}: the bundle seems to be trained") for s in said)
    assert len(list(leaks(run(tiny, tmp_path / name), certain=True))) == (name == "useu")
    renamed = list(leaks(run(tiny, tmp_path / name, held_out=True)))
    assert [": the bundle was trained on dash, useu; if" in each for each in renamed] == (
        [] if name == "useu" else [True]
    )
    assert not list(leaks(run(tiny, tmp_path / name, held_out=True), certain=True))


@pytest.mark.parametrize("name", [".", "plates (1)", "a, b; c"])
def test_a_folder_of_any_name_is_known_again(tmp_path, tiny, monkeypatch, name):
    data = tmp_path / "my, own (2)" if name == "." else tmp_path / name
    data.mkdir()
    monkeypatch.chdir(data if name == "." else tmp_path)
    trained = {"data": [name], "base": "yolov8n.pt", "epochs": 2, "imgsz": 640, "commit": "c"}
    trained |= {"data_sha256": "1f", "pictures": {"train": 9}}
    (tmp_path / "run.json").write_text(json.dumps(trained))
    spec = tiny / "bundle.toml"
    said = json.dumps(detector_origin(tmp_path / "fit" / "weights" / "last.pt"))
    spec.write_text(spec.read_text().replace("[detector]", f"[detector]\norigin = {said}"))
    assert len(list(leaks(run(tiny, data), certain=True))) == 1
    assert not list(leaks(run(tiny, data, held_out=True)))


def test_a_threshold_cannot_be_chosen_where_nothing_is_found(tmp_path, tiny):
    data = folder(tmp_path / "data", *(f"{n}.png,{ELSEWHERE}," for n in range(30)))
    with pytest.raises(TrainError, match="no plate was found"):
        evaluate(run(tiny, data, held_out=True, choose_threshold=True))


def test_a_run_says_its_command():
    asked = EvaluationRun(
        (Path("a b"), Path("c")), Path("x"), held_out=True, negatives=(Path("n"),)
    )
    assert asked.command == (
        "python -m train evaluate 'a b' c --bundle x --held-out --negatives n --out runs/evaluation"
    )
    names = ("is_open", "choose_threshold", "calibrate", "jitter", "write")
    flags = dict.fromkeys(names, True)
    chosen = EvaluationRun((), Path("x"), crops=(Path("c"), Path("d")), out=Path("o"), **flags)
    assert chosen.command == (
        "python -m train evaluate --crops c --crops d --bundle x --open --choose-threshold"
        " --calibrate --jitter --write --out o"
    )


def test_a_folder_without_pictures_is_named(tmp_path, tiny):
    data = folder(tmp_path / "data", f"a.png,{PLATE},")
    (data / "labels.csv").write_text("image,x1,y1,x2,y2\n")
    with pytest.raises(TrainError, match=r"data.*: no picture"):
        evaluate(run(tiny, data))


def test_negatives_and_bundles_that_are_not_there_are_named(tmp_path, tiny):
    data = folder(tmp_path / "data", f"a.png,{PLATE},")
    with pytest.raises(PlateidError, match=r"no\.mp4: does not exist"):
        evaluate(run(tiny, data, negatives=(tmp_path / "no.mp4",)))
    with pytest.raises(PlateidError, match=r"nothing/bundle\.toml"):
        evaluate(EvaluationRun((data,), tmp_path / "nothing", out=tmp_path / "out"))


def test_an_out_that_cannot_be_a_folder_is_named_before_the_work(tmp_path, tiny):
    (tmp_path / "out").write_text("")
    with pytest.raises(TrainError, match=r"--out .*out: File exists"):
        evaluate(run(tiny, tmp_path / "not looked at"))


def test_a_terminal_shows_how_far_it_is(tmp_path, tiny):
    data = folder(tmp_path / "data", f"a.png,{PLATE},")
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal, contextlib.redirect_stderr(terminal):
        evaluate(run(tiny, data))
    shown = os.read(ours, 9999).decode()
    os.close(ours)
    assert "pictures" in shown


def test_fold_makes_one_of_what_looks_alike():
    assert fold("OI0178") == "010178"
