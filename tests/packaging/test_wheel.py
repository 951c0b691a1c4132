"""The wheel runs from clean environments, installed as users install it."""

import json
import logging
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from plateid import __version__

REPOSITORY = Path(__file__).parents[2]
IMAGE = REPOSITORY / "docs/demo.jpg"
PLATE = "MM93LXN"
MAX_MB = 40
"""Maximum size of the wheel, so that PyPI takes it and a cold `uvx` starts soon, megabytes."""
pytestmark = pytest.mark.timeout(900)  # downloads 200 MB
log = logging.getLogger(__name__)


def run(folder: Path, *command: object) -> str:
    """Runs a command without this repository and its environment; returns its output."""
    names = (
        "PATH",
        "HOME",
        "LANG",
        "UV_CACHE_DIR",
        "PIP_INDEX_URL",
        "UV_INDEX_URL",
        "SSL_CERT_FILE",
    )
    kept = {name: os.environ[name] for name in names if name in os.environ}
    started = time.monotonic()
    tools = {name: str(folder / name.lower()) for name in ("PIPX_HOME", "PIPX_BIN_DIR")}
    done = subprocess.run(
        [str(word) for word in command],
        env=kept | tools,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    log.info("%s: %.0f s", " ".join(map(str, command)), time.monotonic() - started)
    return done.stdout


@pytest.fixture(scope="module")
def uv(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("uv")
    run(folder, sys.executable, "-m", "venv", folder / "venv")
    run(folder, folder / "venv/bin/pip", "install", "--quiet", "uv")
    return folder / "venv/bin/uv"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory, uv) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(folder, uv, "build", "--quiet", "--wheel", "--out-dir", folder, REPOSITORY)
    (made,) = folder.glob("*.whl")
    return made


def best(output: str) -> str:
    """Returns the plate with the highest confidence."""
    plate: str = json.loads(output)["plates"][0]["plate"]
    return plate


def test_wheel_has_the_models_and_at_most_40_mb(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    log.info("%s: %.1f MB", wheel.name, wheel.stat().st_size / 1e6)
    assert wheel.stat().st_size <= MAX_MB * 1e6
    shipped = sorted(REPOSITORY.glob("plateid/models/*/*.onnx"))
    assert [f for f in shipped if str(f.relative_to(REPOSITORY)) not in names] == []
    assert [name for name in names if not name.startswith(("plateid/", "plateid-"))] == []


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_uvx_reads_an_image(tmp_path, uv, wheel, python):
    uvx = (uv, "tool", "run", "--isolated", "--python", python, "--from", wheel, "plateid")
    assert run(tmp_path, *uvx, "--version") == f"plateid, version {__version__}\n"
    assert best(run(tmp_path, *uvx, "read", "--json", IMAGE)) == PLATE


def test_pipx_installs_a_command_that_reads_an_image(tmp_path, uv, wheel):
    run(tmp_path, uv, "tool", "run", "--python", sys.executable, "pipx", "install", wheel)
    command = tmp_path / "pipx_bin_dir/plateid"
    assert best(run(tmp_path, command, "read", "--json", IMAGE)) == PLATE
