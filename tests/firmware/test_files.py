"""The files of firmware/, checked with the programs that read them."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[2]
FIRMWARE = REPOSITORY / "firmware"
TREE = FIRMWARE / "tree"
BOARDS = sorted(path.name for path in (FIRMWARE / "boards").iterdir())
UNITS = sorted(path.name for path in TREE.glob("usr/lib/systemd/system/appliance-*"))


def run(*command: object) -> str:
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, cwd=FIRMWARE
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", ["plateid.cfg", "embedded.cfg"])
def test_grub_accepts_its_scripts(name):
    run("grub-script-check", FIRMWARE / "grub" / name)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A root with systemd's units and ours, and empty files for the programs that ours start."""
    made = tmp_path_factory.mktemp("root")
    shutil.copytree("/usr/lib/systemd", made / "usr/lib/systemd", symlinks=True)
    shutil.copytree(TREE, made, symlinks=True, dirs_exist_ok=True)
    run("make", "--silent", "-C", REPOSITORY, "install-units", f"DESTDIR={made}")
    units = [*TREE.glob("usr/lib/systemd/system/*.service"), REPOSITORY / "systemd/plateid.service"]
    for unit in units:
        for path in re.findall(r"^Exec\w+=(/\S+)", unit.read_text(), re.MULTILINE):
            program = made / path.removeprefix("/")
            program.parent.mkdir(parents=True, exist_ok=True)
            program.touch(0o755)
    return made


@pytest.mark.parametrize("unit", [*UNITS, "plateid.service"])
def test_systemd_accepts_the_unit(root, unit):
    assert run("systemd-analyze", "verify", "--man=no", f"--root={root}", unit) == ""


def test_every_dependency_is_locked_by_hash():
    text = (FIRMWARE / "python.lock").read_text()
    locked = dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE))
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    wanted = [Requirement(line) for line in project["dependencies"]]
    assert [r.name for r in wanted if canonicalize_name(r.name) not in locked] == []
    assert [r for r in wanted if locked[canonicalize_name(r.name)] not in r.specifier] == []
    assert text.count("--hash=sha256:") >= len(locked)


@pytest.mark.parametrize("board", BOARDS)
def test_packages_of_a_board_are_locked(board):
    folder = FIRMWARE / "boards" / board
    lines = [
        *(FIRMWARE / "packages").read_text().splitlines(),
        *(folder / "packages").read_text().splitlines(),
    ]
    asked = {line.split("/")[0] for line in lines if not line.startswith("#")}
    locked = dict(
        line.split("=", 1) for line in (folder / "packages.lock").read_text().splitlines()
    )
    assert asked - set(locked) == set()


def test_no_private_key_is_in_the_repository():
    files = [path for path in FIRMWARE.rglob("*") if path.is_file() and not path.is_symlink()]
    assert [path for path in files if b"PRIVATE KEY" in path.read_bytes()] == []
