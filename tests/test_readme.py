"""What README.md tells people to do, done."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from plateid.capture.video_file import read_video
from plateid.config.load import load_config
from plateid.demo import CLIP
from plateid.store.list_file import ListFile

README = Path("README.md").read_text()
BRIGHT_DAY = 125


@pytest.mark.parametrize("room", ["core", "capture", "models", "events", "service", "web"])
def test_a_room_says_what_is_in_it(room):
    said = Path(f"plateid/{room}/__init__.py").read_text().split('"""')[1]
    modules = {path.stem for path in Path(f"plateid/{room}").glob("[!_]*.py")}
    assert set(re.findall(r"\w+", re.sub(r"  \S.*", "", said.partition("\n")[2]))) == modules


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def car(tmp_path: Path) -> Path:
    frame = next(frame for frame in read_video(CLIP) if frame.sequence == BRIGHT_DAY)
    image = frame.image.resized(frame.image.width, frame.image.height)
    cv2.imwrite(str(tmp_path / "car.jpg"), image)
    return tmp_path / "car.jpg"


def test_the_python_example_reads_a_picture(car):
    (example,) = blocks("python")
    command = [sys.executable, "-c", example]
    done = subprocess.run(command, cwd=car.parent, capture_output=True, text=True, check=True)
    assert "KX73LPH" in done.stdout


def test_the_configuration_example_is_valid(tmp_path):
    example, rules, page, privacy = blocks("toml")
    (tmp_path / "plateid.toml").write_text(page)
    assert load_config(tmp_path / "plateid.toml").web.enabled
    (tmp_path / "plateid.toml").write_text(privacy)
    config = load_config(tmp_path / "plateid.toml")
    assert config.privacy.unknown == "hash"
    assert config.metrics.enabled
    (tmp_path / "plateid.toml").write_text(rules)
    (tmp_path / "plates.csv").write_text(blocks("csv")[0])
    config = load_config(tmp_path / "plateid.toml")
    assert config.camera[0].view.roi
    cameras = [camera.name for camera in config.camera]
    assert len(ListFile(config.lists, cameras).lists.entries) == 2
    (tmp_path / "plateid.toml").write_text(example)
    config = load_config(tmp_path / "plateid.toml")
    assert config.camera[0].name == "drive"
    assert config.events.regions == ("ro", "eu")


def test_each_command_exists_with_its_options():
    lines = [line.split("#")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    commands = [shlex.split(line) for line in lines if line.startswith("plateid")]
    assert len(commands) >= 5
    for command in commands:
        arguments = [sys.executable, "-m", *command, "--help"]
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)
        assert done.returncode == 0, command
        for option in (word for word in command if word.startswith("-")):
            assert option in done.stdout


def test_every_file_that_is_linked_is_there():
    targets = re.findall(r"\]\((?!http)([^)]+)\)", README)
    assert len(targets) > 5
    for target in targets:
        assert Path(target).exists(), target


FAULTS = Path("docs/faults.md").read_text()


def test_every_fault_has_a_test():
    rows = [line for line in FAULTS.splitlines() if line.startswith("|") and "**" not in line][2:]
    assert len(rows) >= 30
    for row in rows:
        proofs = re.findall(r"`(tests/\S+\.py)::(test_\w+)`", row.split("|")[3])
        assert proofs, row
        for file, test in proofs:
            assert f"def {test}(" in Path(file).read_text(), row
