"""The examples of the README and of the API page run as written: Python, and `plateid read`."""

import shlex
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from plateid.capture.video_file import read_video
from plateid.demo import DEMO_VIDEO
from tests.docs.markdown import REPOSITORY, blocks

BRIGHT_FRAME = 125
"""Frame of the demo video with two legible plates."""


@pytest.fixture(scope="module")
def car(tmp_path_factory) -> Path:
    """A folder with car.jpg."""
    folder = tmp_path_factory.mktemp("car")
    frame = next(frame for frame in read_video(DEMO_VIDEO) if frame.sequence == BRIGHT_FRAME)
    image = frame.image.resized(frame.image.width, frame.image.height)
    cv2.imwrite(str(folder / "car.jpg"), image)
    (folder / "gate.mp4").symlink_to(DEMO_VIDEO)
    return folder


SNIPPETS = blocks("python", [REPOSITORY / "README.md", REPOSITORY / "docs/python-api.md"])


@pytest.mark.parametrize(("page", "text"), SNIPPETS)
def test_a_python_example_runs(page, text, car):
    command = [sys.executable, "-W", "error", "-c", text]
    done = subprocess.run(command, cwd=car, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{page}: {done.stderr}"
    assert "print" not in text or "KX73LPH" in done.stdout


READS = [
    shlex.split(line, comments=True)
    for _, text in blocks("sh", [REPOSITORY / "README.md"])
    for line in text.splitlines()
    if line.startswith("plateid read")
]


@pytest.mark.parametrize("words", READS, ids=" ".join)
def test_a_read_command_runs(words, car):
    command = [sys.executable, "-m", *words]
    done = subprocess.run(command, cwd=car, capture_output=True, text=True, check=False)
    assert (done.returncode, "KX73LPH" in done.stdout) == (0, True), done.stderr


def test_the_readme_has_examples_of_both():
    assert READS
    assert SNIPPETS
