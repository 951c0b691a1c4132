"""Compares evaluations of the default bundle with `plateid read`, on the demo video."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import tomlkit
from click.testing import CliRunner

from plateid.capture.video_file import read_video
from plateid.commands.main import main
from plateid.config.models import DEFAULT_BUNDLE
from plateid.core.geometry import iou
from plateid.demo import DEMO_VIDEO
from train.evaluation.evaluate import Evaluation, EvaluationRun, evaluate
from train.evaluation.reader_accuracy import end_to_end, in_true_boxes, pass_accuracy

NOT_FOUND = {"plate": "", "confidence": 0}
EVERY = 20
"""Step between frames: three to five per pass."""


def write_labels(folder: Path, rows: list[str], header: str) -> None:
    (folder / "labels.csv").write_text("\n".join([header, *rows]) + "\n")


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[Path, Path, Path]:
    """Images with times at full and half resolution (`near`, `far`), and crops of the near ones."""
    root = tmp_path_factory.mktemp("demo")
    near, far, cut_out = (root / name for name in ("near", "far", "cut-out"))
    for folder in (near, far, cut_out):
        (folder / "images").mkdir(parents=True)
    boxes: dict[int, list[tuple[str, np.ndarray]]] = {}
    for car in json.loads(DEMO_VIDEO.with_suffix(".json").read_text())["vehicles"]:
        for frame, box in enumerate(car["boxes"], car["first_frame"]):
            if frame % EVERY == 0:
                boxes.setdefault(frame, []).append((car["plate"], np.array(box)))
    rows: dict[Path, list[str]] = {near: [], far: [], cut_out: []}
    for frame in read_video(DEMO_VIDEO):
        number, picture = frame.sequence, frame.image
        for text, box in boxes.get(number, ()):
            for folder, scale in ((near, 1), (far, 2)):
                image = picture.resized(picture.width // scale, picture.height // scale)
                cv2.imwrite(str(folder / "images" / f"{number}.png"), image)
                corners = ",".join(map(str, box / scale))
                rows[folder].append(f"{number}.png,{corners},{text},demo,{number / 30}")
            cv2.imwrite(str(cut_out / "images" / f"{number}-{text}.png"), picture.crop(tuple(box)))
            rows[cut_out].append(f"{number}-{text}.png,{text}")
    for folder in (near, far):
        write_labels(folder, rows[folder], "image,x1,y1,x2,y2,text,video,t")
    write_labels(cut_out, rows[cut_out], "image,text")
    return near, far, cut_out


@pytest.fixture(scope="module")
def evaluation(folders, tmp_path_factory) -> Evaluation:
    near, far, cut_out = folders
    out = tmp_path_factory.mktemp("out")
    return evaluate(EvaluationRun((near, far), DEFAULT_BUNDLE, crops=(cut_out,), out=out))


def plates(evaluation: Evaluation) -> list:
    found = (plate for result in evaluation.results for plate in result.plates)
    return [plate.detected_at(evaluation.threshold) for plate in found]


def device(*arguments: object) -> dict[str, list[dict]]:
    """The plates of `plateid read --json`, by image."""
    ran = CliRunner().invoke(main, ["read", "--json", *map(str, arguments)])
    assert ran.exit_code == 0, ran.output
    found = map(json.loads, ran.stdout.splitlines())
    return {Path(each["source"]).name: each["plates"] for each in found}


def test_end_to_end_reads_equal_those_of_the_device(folders, evaluation):
    said = {folder.name: device(folder / "images") for folder in folders[:2]}
    for result in end_to_end(plates(evaluation)):
        plate = result.plate
        found = said[plate.source][plate.path.name]
        covers = [iou(np.array([each["box"]]), np.array([plate.box]))[0, 0] for each in found]
        best = found[int(np.argmax(covers))] if max(covers, default=0) >= 0.5 else NOT_FOUND
        assert result.reading.plate == best["plate"]
        assert result.reading.confidence == pytest.approx(best["confidence"], abs=1e-3)
    shares = {row.name: row.end_to_end.plate_accuracy for row in evaluation.reader.parts["source"]}
    assert shares["near"] > 0.9
    assert shares["near"] >= shares["far"]


def test_reads_of_crops_equal_those_of_the_device(folders, evaluation):
    said = device("--crops", folders[2] / "images")
    right = [name.split("-")[1] == f"{found[0]['plate']}.png" for name, found in said.items()]
    (row,) = (row for row in evaluation.reader.parts["source"] if row.name == "cut-out")
    assert (row.end_to_end.plates, row.crops.plates) == (0, len(said))
    assert row.crops.plate_accuracy == pytest.approx(np.mean(right))


def test_each_vehicle_is_one_pass_and_fusion_is_no_worse_than_a_frame(evaluation):
    near, far = evaluation.reader.passes
    assert [(row.name, row.fused.plates) for row in (near, far)] == [("near", 6), ("far", 6)]
    assert near.frames.plates == far.frames.plates == len(plates(evaluation)) / 2
    assert near.fused.plate_accuracy_folded == 1
    assert far.fused.plate_accuracy_folded >= far.frames.plate_accuracy_folded
    flattened = pass_accuracy([each.tempered(20.0) for each in plates(evaluation)])
    assert [row.fused.confident for row in flattened] == [0, 0]


def test_temperature_factor_equals_the_temperature_of_the_device(folders, evaluation, tmp_path):
    warm = shutil.copytree(DEFAULT_BUNDLE, tmp_path / "warm") / "bundle.toml"
    table = tomlkit.parse(warm.read_text())
    table["reader"]["temperature"] = 1.7 * evaluation.spec.reader.temperature
    warm.write_text(tomlkit.dumps(table))
    again = evaluate(EvaluationRun(folders[:1], warm.parent, out=tmp_path))
    expected = [plate for plate in plates(evaluation) if plate.source == "near"]
    pairs = zip(
        in_true_boxes(plates(again)),
        in_true_boxes([each.tempered(1.7) for each in expected]),
        in_true_boxes(expected),
        strict=True,
    )
    for on_device, here, before in pairs:
        assert on_device.reading.plate == here.reading.plate
        assert on_device.reading.confidence == pytest.approx(here.reading.confidence, abs=0.01)
        assert here.reading.confidence < before.reading.confidence
