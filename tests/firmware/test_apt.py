"""apt takes plateid from the repository of `firmware/apt`, if the right key signed it."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.firmware.debian import REPOSITORY, gnupg_keys, publish, run
from tests.support.file_server import FileServer


@pytest.fixture(scope="module")
def keys() -> Iterator[str]:
    with gnupg_keys("releases", "stranger") as home:
        yield home


def package(folder: Path, version: str, architecture: str = "amd64") -> Path:
    """Builds a package with the control file of plateid and nothing in it."""
    root = folder / f"root-{version}-{architecture}"
    (root / "DEBIAN").mkdir(parents=True)
    text = (REPOSITORY / "firmware/deb/DEBIAN/control").read_text()
    for name, value in (("VERSION", version), ("ARCH", architecture), ("SIZE", "1")):
        text = text.replace(f"@{name}@", value)
    (root / "DEBIAN/control").write_text(text)
    made = folder / f"plateid_{version}_{architecture}.deb"
    assert run("dpkg-deb", "--root-owner-group", "--build", root, made).returncode == 0
    return made


@pytest.fixture
def folder(tmp_path, keys) -> Path:
    """A repository of two versions, in which a second call added the newer one."""
    older = [package(tmp_path, "1.0", architecture) for architecture in ("amd64", "arm64")]
    for packages in (older, [package(tmp_path, "1.1")]):
        publish(tmp_path / "apt", keys, *packages)
    return tmp_path / "apt"


@pytest.fixture
def server(folder) -> Iterator[FileServer]:
    with closing(FileServer()) as made:
        made.files.update(
            {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}
        )
        yield made


def apt(folder: Path, server: FileServer, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs apt-get with this repository alone, in folders of its own."""
    home = folder.parent / "root"
    for name in ("state/lists/partial", "cache/archives/partial", "etc/preferences.d"):
        (home / name).mkdir(parents=True, exist_ok=True)
    key = home / "plateid.asc"
    if not key.exists():
        key.write_bytes((folder / "plateid.asc").read_bytes())
    sources = (folder / "plateid.sources").read_text().replace("/etc/apt/keyrings", str(home))
    (home / "plateid.sources").write_text(sources.replace("URIs: URL", f"URIs: {server.url}"))
    (home / "state/status").touch()
    places = {
        "Dir::State": home / "state",
        "Dir::State::status": home / "state/status",
        "Dir::Cache": home / "cache",
        "Dir::Etc": home / "etc",
        "Dir::Etc::sourcelist": home / "plateid.sources",
        "Dir::Etc::sourceparts": "-",
        "APT::Architecture": "amd64",
        "APT::Sandbox::User": "",
        "Acquire::http::Proxy": "false",
        "Acquire::Languages": "none",
    }
    options = [word for name, value in places.items() for word in ("-o", f"{name}={value}")]
    return run("apt-get", *options, *words)


def test_apt_takes_the_newest_version_without_a_warning(folder, server):
    updated = apt(folder, server, "update")
    assert updated.returncode == 0, updated.stderr
    assert "W:" not in updated.stderr
    done = apt(folder, server, "--print-uris", "download", "plateid")
    assert "plateid_1.1_amd64.deb" in done.stdout, done.stderr


def test_newer_package_replaces_that_of_its_architecture_only(folder):
    indexes = [folder / f"dists/trixie/main/binary-{a}/Packages" for a in ("amd64", "arm64")]
    found = [re.findall("Version: (.*)", each.read_text()) for each in indexes]
    assert found == [["1.1"], ["1.0"]]


def test_downloaded_package_is_the_published_one(folder, server, monkeypatch):
    assert apt(folder, server, "update").returncode == 0
    monkeypatch.chdir(folder.parent / "root")
    done = apt(folder, server, "download", "plateid")
    assert done.returncode == 0, done.stderr
    (got,) = Path().glob("plateid_1.1_amd64.deb")
    assert got.read_bytes() == (folder.parent / "plateid_1.1_amd64.deb").read_bytes()


def test_apt_refuses_a_repository_of_another_key(folder, server, keys):
    key = run("gpg", "--armor", "--export", "stranger", GNUPGHOME=keys).stdout
    (folder.parent / "root").mkdir()
    (folder.parent / "root/plateid.asc").write_text(key)
    done = apt(folder, server, "update")
    assert done.returncode != 0
    assert "plateid" not in apt(folder, server, "--print-uris", "download", "plateid").stdout


def test_unknown_key_is_named(keys, tmp_path):
    done = run(REPOSITORY / "firmware/apt", "nobody", package(tmp_path, "1.0"), GNUPGHOME=keys)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        2,
        "apt: nobody: there is no such secret key",
    )
