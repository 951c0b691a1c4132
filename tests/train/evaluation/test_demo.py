"""The bundle that ships, on cars of the demo's clip: near, and from twice as far."""

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
from plateid.demo import CLIP
from train.evaluation.evaluate import Evaluation, evaluate
from train.evaluation.passes import pass_figures, passes
from train.evaluation.reading import end_to_end, on_crops
from train.evaluation.run import EvaluationRun

NOT_FOUND = {"plate": "", "confidence": 0}
EVERY = 20
"""Frames: three to five of a pass."""


def write_labels(folder: Path, rows: list[str], header: str) -> None:
    (folder / "labels.csv").write_text("\n".join([header, *rows]) + "\n")


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[Path, Path, Path]:
    """`near` and `far` as pictures of which the time is known, and the near plates cut out."""
    root = tmp_path_factory.mktemp("demo")
    near, far, cut_out = (root / name for name in ("near", "far", "cut-out"))
    for folder in (near, far, cut_out):
        (folder / "images").mkdir(parents=True)
    boxes: dict[int, list[tuple[str, np.ndarray]]] = {}
    for car in json.loads(CLIP.with_suffix(".json").read_text())["vehicles"]:
        for frame, box in enumerate(car["boxes"], car["first_frame"]):
            if frame % EVERY == 0:
                boxes.setdefault(frame, []).append((car["plate"], np.array(box)))
    rows: dict[Path, list[str]] = {near: [], far: [], cut_out: []}
    for frame in read_video(CLIP):
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
    return evaluate(
        EvaluationRun((near, far), DEFAULT_BUNDLE, crops=(cut_out,), jitter=True, out=out)
    )


def plates(evaluation: Evaluation) -> list:
    return [plate for result in evaluation.results for plate in result.plates]


def device(*arguments: object) -> dict[str, list[dict]]:
    """What `plateid read --json` says, by picture."""
    ran = CliRunner().invoke(main, ["read", "--json", *map(str, arguments)])
    assert ran.exit_code == 0, ran.output
    found = map(json.loads, ran.output.splitlines())
    return {Path(each["source"]).name: each["plates"] for each in found}


def test_end_to_end_is_what_the_device_says(folders, evaluation):
    said = {folder.name: device(folder / "images") for folder in folders[:2]}
    for answer in end_to_end(plates(evaluation), evaluation.threshold):
        plate = answer.plate
        found = said[plate.source][plate.shot.path.name]
        covers = [iou(np.array([each["box"]]), np.array([plate.box]))[0, 0] for each in found]
        best = found[int(np.argmax(covers))] if max(covers, default=0) >= 0.5 else NOT_FOUND
        assert answer.reading.plate == best["plate"]
        assert answer.reading.confidence == pytest.approx(best["confidence"], abs=1e-3)
    shares = {row.name: row.exact for row in evaluation.reader.parts["source"]}
    assert shares["near"] > 0.9
    assert shares["near"] >= shares["far"]


def test_what_is_cut_out_is_read_as_the_device_reads_it(folders, evaluation):
    said = device("--crops", folders[2] / "images")
    right = [name.split("-")[1] == f"{found[0]['plate']}.png" for name, found in said.items()]
    (row,) = (row for row in evaluation.reader.parts["source"] if row.name == "cut-out")
    assert (row.plates, row.crops) == (0, len(said))
    assert row.crops_exact == pytest.approx(np.mean(right))


def test_each_car_is_one_pass_and_fusing_is_no_worse_than_a_frame(evaluation):
    near, far = evaluation.reader.passes
    assert (near.name, near.passes, far.name, far.passes) == ("near", 6, "far", 6)
    assert near.frames == far.frames == sum(len(ride) for ride in passes(plates(evaluation))) / 2
    assert near.fused == 1
    assert far.fused >= far.one_frame
    doubtful = pass_figures(plates(evaluation), evaluation.threshold, temperature=20.0)
    assert [row.sure for row in doubtful] == [0, 0]


def test_boxes_as_they_are_are_read_as_the_true_ones(evaluation):
    found = evaluation.reader.jitter
    of_pictures = [each.is_right for each in on_crops(plates(evaluation))]
    assert found.plates == len(of_pictures)
    assert found.shares[4] == pytest.approx(np.mean(of_pictures))
    assert found.worst_loss == pytest.approx(100 * (found.shares[4] - min(found.shares)))


def test_a_temperature_does_here_what_it_does_on_the_device(folders, evaluation, tmp_path):
    warm = shutil.copytree(DEFAULT_BUNDLE, tmp_path / "warm") / "bundle.toml"
    table = tomlkit.parse(warm.read_text())
    table["reader"]["temperature"] = 1.7 * evaluation.spec.reader.temperature
    warm.write_text(tomlkit.dumps(table))
    again = evaluate(EvaluationRun(folders[:1], warm.parent, out=tmp_path))
    expected = [plate for plate in plates(evaluation) if plate.source == "near"]
    pairs = zip(on_crops(plates(again)), on_crops(expected, 1.7), on_crops(expected), strict=True)
    for device_says, we_say, before in pairs:
        assert device_says.reading.plate == we_say.reading.plate
        assert device_says.reading.confidence == pytest.approx(we_say.reading.confidence, abs=0.01)
        assert we_say.reading.confidence < before.reading.confidence
