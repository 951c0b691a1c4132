"""A sweep of real trainings of seconds, with two workers."""

import json

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from train.__main__ import main


@pytest.fixture
def plates(tmp_path):
    folder = tmp_path / "plates"
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(24):
        image = rng.integers(0, 255, (40, 120, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / "images" / f"{number}.png"), image)
    rows = [f"{number}.png,AB{number:02d}" for number in range(24)]
    (folder / "labels.csv").write_text("\n".join(["image,text", *rows]))
    return folder


def swept(*words):
    done = CliRunner().invoke(main, ["sweep", *map(str, words)])
    return done.exit_code, f"{done.output}{done.exception or ''}"


def test_sweep_trains_all_combinations_and_resumes(plates, tmp_path):
    out = tmp_path / "out"
    words = ["--out", out, "--values", "lr=1e-3,-1", "--seeds", 2, "--workers", 2]
    words += ["reader", "--data", plates, "--minutes", 0.01, "--batch", 4]
    code, text = swept(*words)
    assert code == 0, text
    assert "lr=-1 seed=1: {'failed': '--lr -1.0: must be more than 0'}" in text
    header, _, good, bad = (out / "sweep.md").read_text().splitlines()
    assert header.startswith("| options | trials | failed |")
    assert good.startswith("| lr=1e-3 | 2 | 0 | ")
    assert bad.startswith("| lr=-1 | 2 | 2 |")
    runs = [json.loads((out / f"lr=1e-3 seed={n}" / "run.json").read_text()) for n in range(2)]
    assert [(run["lr"], run["seed"]) for run in runs] == [(1e-3, 0), (1e-3, 1)]
    code, text = swept(*words)
    assert "lr=1e-3 seed=0: " not in text, "it ran again"
    assert "lr=-1 seed=0: " in text
    code, text = swept(*words, "--real", 0.5)
    assert "holds a run with other arguments" in text


def test_option_that_the_command_lacks_is_refused_before_any_trial(plates, tmp_path):
    code, text = swept("--out", tmp_path / "out", "--values", "lrr=1", "reader", "--data", plates)
    assert code == 2
    assert "No such option" in text
    assert not (tmp_path / "out").exists()
