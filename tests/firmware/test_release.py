"""The scripts that name a version and its changes."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from plateid import __version__

REPOSITORY = Path(__file__).parents[2]
SCRIPTS = ("release-notes", "set-version")
ADDON = [f"firmware/home-assistant/plateid/{name}" for name in ("config.yaml", "Dockerfile")]
CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n- New.\n\n## [1.0.0] - 2026-01-01\n\n- Old.\n"


@pytest.fixture
def copy(tmp_path) -> Path:
    """The files that hold the version, with a short changelog."""
    for name in ("plateid/__init__.py", *ADDON, *(f"firmware/{script}" for script in SCRIPTS)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, tmp_path / name)
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    return tmp_path


def run(copy: Path, script: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [copy / "firmware" / script, *words],
        input=(copy / "CHANGELOG.md").read_text(),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("version", "change"), [("1.0.0", "Old"), ("1.0", "New"), ("2.0", "New")])
def test_notes_are_the_section_of_the_version_or_what_is_unreleased(copy, version, change):
    notes = run(copy, "release-notes", version).stdout
    assert re.sub(r"\n+", "\n", notes) == f"# plateid {version}\n- {change}.\n"


def test_set_version_changes_every_place_and_dates_the_changes(copy):
    assert run(copy, "set-version", "1.1.0").returncode == 0
    assert '\n__version__ = "1.1.0"\n' in (copy / "plateid/__init__.py").read_text()
    assert [(copy / name).read_text().count("1.1.0") for name in ADDON] == [1, 1]
    assert "- New." in run(copy, "release-notes", "1.1.0").stdout
    assert "- New." not in run(copy, "release-notes", "9").stdout


@pytest.mark.parametrize("version", ["1.0.0", "1.1", "v1.1.0", "1.1.0; rm"])
def test_set_version_refuses_a_known_or_wrong_version(copy, version):
    done = run(copy, "set-version", version)
    assert done.returncode == 2
    assert version in done.stderr
    assert (copy / "CHANGELOG.md").read_text() == CHANGELOG
    assert __version__ in (copy / "plateid/__init__.py").read_text()


def test_release_with_a_key_needs_a_folder_without_changes(copy):
    shutil.copy(REPOSITORY / "firmware/release", copy / "firmware/release")
    for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "Release")):
        author = ("-c", "user.name=A", "-c", "user.email=a@localhost")
        subprocess.run(["git", "-C", copy, *author, *words], check=True)
    (copy / "plateid/new.py").touch()
    command = [copy / "firmware/release"]
    keyed = os.environ | {"KEY": "A", "OUT": str(copy / "out"), "CACHE": str(copy / "cache")}
    done = subprocess.run(command, env=keyed, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "commit first" in done.stderr
    assert not (copy / "out").exists()


@pytest.mark.parametrize("version", ["1.2.3rc1", "1.2.3b2+20261201"])
def test_package_of_a_pre_release_is_older_than_the_release(version):
    build = (REPOSITORY / "firmware/deb/build").read_text()
    (rule,) = re.findall(r"^VERSION=\$\(sed .*", build, re.MULTILINE)
    script = f'{rule}\ndpkg --compare-versions "$VERSION" lt 1.2.3'
    environment = os.environ | {"VERSION": version}
    assert subprocess.run(["bash", "-c", script], env=environment, check=False).returncode == 0
