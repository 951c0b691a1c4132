"""Installing bundles without a running service; tests/systemd/test_install.py has one."""

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from plateid.bundles.archive import pack, unpack
from plateid.bundles.install import InstallTarget, install_bundle, pack_bundle, rollback_bundle
from plateid.bundles.installed_bundles import InstalledBundles
from plateid.bundles.signature import sign
from plateid.config.load import load_config
from plateid.config.models import DEFAULT_BUNDLE
from plateid.config.root import merged
from plateid.errors import BundleError, ConfigError, PlateidError
from plateid.models.bundle import Bundle, read_spec
from plateid.service.systemd import Unit
from tests.support.broken_disk import full_disk
from tests.support.file_server import FileServer
from tests.support.packed import write_keys, write_packed

CONFIG = """
camera = [{name = "gate", url = "a.mp4"}]
models = {installed = "models", trusted_keys = "trusted"}
"""


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def target(tmp_path) -> InstallTarget:
    (tmp_path / "plateid.toml").write_text(CONFIG)
    return InstallTarget(
        tmp_path / "plateid.toml",
        Unit("plateid-of-no-test.service"),
        lambda *step: sys.stdout.write(f"{' '.join(step)}\n"),
    )


@pytest.fixture
def key(tmp_path) -> Path:
    return write_keys(tmp_path, "ours")


def used(target: InstallTarget) -> str:
    """Returns the name of the bundle that a service would load."""
    return Bundle(load_config(target.config).models.bundle).spec.name


def resigned(archive: Path, key: Path) -> None:
    archive.with_name(f"{archive.name}.sig").write_bytes(sign(archive.read_bytes(), key))


def test_trial_of_a_killed_install_is_ended(tmp_path, monkeypatch):
    trial = tmp_path / "trial"
    monkeypatch.setattr("plateid.bundles.installed_bundles.TRIAL", trial)
    trial.symlink_to(tmp_path)
    with InstalledBundles(tmp_path / "models").changing():
        assert not trial.is_symlink()


def test_shipped_bundle_is_used_if_none_is_installed(target):
    assert load_config(target.config).models.bundle == DEFAULT_BUNDLE


def test_installed_bundle_is_used_from_the_next_start(tmp_path, target, key, capsys):
    before = load_config(target.config)
    install_bundle(str(write_packed(tmp_path, key)), target)
    assert used(target) == "tiny"
    assert "signed ours\ntested 1 golden image read\n" in capsys.readouterr().out
    assert merged(before, load_config(target.config))[1] == ["models"]


def test_two_bundles_are_kept_and_rollback_switches_between_them(tmp_path, target, key):
    for name in ("first", "second", "third"):
        install_bundle(str(write_packed(tmp_path, key, name=name)), target)
    folder = tmp_path / "models"
    kept = [path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()]
    assert {path.name.split("-")[0] for path in kept} == {"second", "third"}
    rollback_bundle(target)
    assert used(target) == "second"
    rollback_bundle(target)
    assert used(target) == "third"


def test_rollback_reaches_the_shipped_bundle(tmp_path, target, key):
    with pytest.raises(BundleError, match=r"models: has no other bundle"):
        rollback_bundle(target)
    install_bundle(str(write_packed(tmp_path, key)), target)
    rollback_bundle(target)
    assert load_config(target.config).models.bundle == DEFAULT_BUNDLE
    rollback_bundle(target)
    assert used(target) == "tiny"


def test_reinstall_repairs_an_altered_bundle(tmp_path, target, key, capsys):
    archive = str(write_packed(tmp_path, key))
    install_bundle(archive, target)
    (load_config(target.config).models.bundle / "reader.onnx").write_bytes(b"")
    with pytest.raises(BundleError, match=r"altered"):
        used(target)
    install_bundle(archive, target)
    assert used(target) == "tiny"
    assert "as before" in capsys.readouterr().out


@pytest.mark.parametrize("scheme", ["http", "file"])
def test_bundle_is_installed_from_a_url(tmp_path, target, key, scheme):
    archive = write_packed(tmp_path, key, name="tiny")
    files = {path.name: path.read_bytes() for path in tmp_path.glob("*.tar*")}
    with closing(FileServer(**files)) as server:
        url = f"{server.url}/{archive.name}?token=secret" if scheme == "http" else archive.as_uri()
        install_bundle(url, target)
    assert used(target) == "tiny"


def test_error_hides_the_query_of_a_url(tmp_path, target, key):
    archive = write_packed(tmp_path, key)
    altered(archive, key)
    files = {path.name: path.read_bytes() for path in tmp_path.glob("*.tar*")}
    refused = pytest.raises(BundleError, match=r"^http://127.0.0.1:\d+/tiny.tar: is not signed")
    with closing(FileServer(**files)) as server, refused:
        install_bundle(f"{server.url}/{archive.name}?token=secret", target)


def wrong_signature(archive: Path, key: Path) -> str:
    resigned(archive, write_keys(key.parent.parent, "stranger"))
    return "is not signed by a key of"


def no_signature(archive: Path, _key: Path) -> str:
    archive.with_name(f"{archive.name}.sig").unlink()
    return r"new.tar.sig: No such file"


def altered(archive: Path, _key: Path) -> str:
    data = archive.read_bytes()
    archive.write_bytes(data.replace(b"tiny-detector", b"tiny-detectOr"))
    return "is not signed by a key of .*, or was altered"


def wrong_hash(archive: Path, key: Path) -> str:
    data = archive.read_bytes()
    at = data.index(b'sha256 = "') + 10
    archive.write_bytes(data[:at] + b"0" * 64 + data[at + 64 :])
    resigned(archive, key)
    return "onnx: its SHA-256 is not the one in bundle.toml"


def no_archive(archive: Path, key: Path) -> str:
    archive.write_bytes(b"<html>not found</html>" * 100)
    resigned(archive, key)
    return "new.tar: is not a tar archive of a bundle"


def escaping(archive: Path, key: Path) -> str:
    data = bytearray(archive.read_bytes())
    header = data.index(b"detector.onnx\0\0")
    data[header : header + 15] = b"../../evil.onnx"
    data[header + 148 : header + 156] = b" " * 8
    data[header + 148 : header + 156] = b"%06o\0 " % sum(data[header : header + 512])
    archive.write_bytes(data)
    resigned(archive, key)
    return r"new.tar: holds '../../evil.onnx', which is not a file of a bundle"


def reads_wrong(archive: Path, key: Path) -> str:
    other = write_packed(archive.parent, key, name="other", path="-AA-B-11-3")
    archive.write_bytes(other.read_bytes().replace(b'plates = ["AB13"]', b'plates = ["AB12"]'))
    resigned(archive, key)
    return "other: golden/1.png: AB12 is not read; only AB13"


def without_golden(archive: Path, key: Path) -> str:
    archive.write_bytes(pack(archive.parent / "new-bundle"))
    resigned(archive, key)
    return "has no golden images"


FAULTS = (wrong_signature, no_signature, altered, wrong_hash, no_archive)
FAULTS += (escaping, reads_wrong, without_golden)


@pytest.mark.parametrize("spoil", FAULTS)
def test_invalid_archive_is_an_error_and_the_bundle_stays(tmp_path, target, key, spoil):
    install_bundle(str(write_packed(tmp_path, key, name="old")), target)
    stranger = tmp_path / "elsewhere"
    stranger.mkdir()
    archive = write_packed(tmp_path, key, name="new")
    reason = spoil(archive, stranger / key.name if spoil is wrong_signature else key)
    (tmp_path / "trusted/stranger.pem").unlink(missing_ok=True)
    with pytest.raises(BundleError, match=reason):
        install_bundle(str(archive), target)
    assert used(target) == "old"
    assert [path.name for path in tmp_path.rglob("evil*")] == []
    # the bundle, its symlink and its version
    assert len(list((tmp_path / "models").iterdir())) == 3


def test_older_version_is_refused_unless_a_downgrade_is_allowed(tmp_path, target, key):
    old, new = (
        str(write_packed(tmp_path, key, name=f"v{n}", header=f"version = {n}")) for n in (1, 2)
    )
    install_bundle(new, target)
    with pytest.raises(BundleError, match=r"v1.tar: version 1 is older than 2.*--allow-downgrade"):
        install_bundle(old, target)
    assert used(target) == "v2"
    install_bundle(old, replace(target, allow_downgrade=True))
    assert used(target) == "v1"
    with pytest.raises(BundleError, match="version 1 is older than 2"):  # each time
        install_bundle(old, target)
    rollback_bundle(target)
    assert used(target) == "v2"


def test_expired_bundle_is_refused(tmp_path, target, key):
    yesterday, tomorrow = (f"{datetime.now(UTC) + timedelta(days=n):%FT%TZ}" for n in (-1, 1))
    with pytest.raises(BundleError, match=r"tiny.tar: expired at 20"):
        install_bundle(str(write_packed(tmp_path, key, header=f"expires = {yesterday}")), target)
    install_bundle(str(write_packed(tmp_path, key, header=f"expires = {tomorrow}")), target)
    assert used(target) == "tiny"


def test_packed_bundle_gets_a_version_that_rises_with_time(tmp_path, target, key):
    install_bundle(str(write_packed(tmp_path, key, header="")), target)
    version = Bundle(load_config(target.config).models.bundle).spec.version
    assert abs(version - time.time()) < 60


def test_pack_command_sets_the_expiry(tmp_path, bundle, key):
    write_packed(tmp_path, key)
    golden = f"{tmp_path}/street.png=AB12"
    out = tmp_path / "packed.tar"
    arguments = ("--key", key, "--out", out, "--golden", golden, "--expires-days", 30)
    assert models("pack", bundle, *arguments).returncode == 0
    folder = tmp_path / "unpacked"
    folder.mkdir()
    unpack("packed.tar", out.read_bytes(), folder)
    assert read_spec(folder).expires - datetime.now(UTC) > timedelta(days=29)


def test_full_disk_is_an_error_and_the_bundle_stays(tmp_path, target, key, capsys):
    install_bundle(str(write_packed(tmp_path, key, name="old")), target)
    archive = write_packed(tmp_path, key, name="new")
    with full_disk(), pytest.raises(BundleError, match=r"models/.*: File too large"):
        install_bundle(str(archive), target)
    assert used(target) == "old"
    assert len(list((tmp_path / "models").iterdir())) == 3
    assert "new-" not in capsys.readouterr().out


def test_unwritable_folder_is_named(tmp_path, target, key):
    (tmp_path / "models").write_text("")
    with pytest.raises(PlateidError, match=r"models/active: Not a directory"):
        install_bundle(str(write_packed(tmp_path, key)), target)


def test_name_that_cannot_be_a_folder_is_refused(tmp_path, target, key):
    archive = write_packed(tmp_path, key, name="..")
    with pytest.raises(BundleError, match=r"bundle.toml: name: '..' cannot be"):
        install_bundle(str(archive), target)


def test_second_install_at_the_same_time_is_refused(tmp_path, target, key):
    (tmp_path / "models").mkdir()
    lock = os.open(tmp_path / "models", os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with pytest.raises(BundleError, match=r"models: another install is running"):
        install_bundle(str(write_packed(tmp_path, key)), target)
    os.close(lock)


@pytest.mark.parametrize("name", ["accurate", "default"])
def test_install_is_refused_if_the_configuration_names_a_bundle(tmp_path, target, key, name):
    target.config.write_text(CONFIG.replace("{inst", f'{{bundle = "{name}", inst'))
    with pytest.raises(BundleError, match=r"models.bundle: is set; delete this key"):
        install_bundle(str(write_packed(tmp_path, key)), target)


def test_leftovers_of_a_power_cut_are_deleted(tmp_path, target, key):
    left = tmp_path / "models/.new-left"
    left.mkdir(parents=True)
    (left / "detector.onnx").write_bytes(b"half")
    install_bundle(str(write_packed(tmp_path, key)), target)
    assert not left.exists()


def test_missing_bundle_is_an_error_and_can_be_replaced(tmp_path, target, key):
    (tmp_path / "models").mkdir()
    (tmp_path / "models/active").symlink_to("gone")
    with pytest.raises(BundleError, match=r"models/gone: is neither a shipped bundle"):
        used(target)
    install_bundle(str(write_packed(tmp_path, key)), target)
    assert used(target) == "tiny"


def test_bundle_that_fails_its_test_is_not_packed(tmp_path, bundle, key):
    write_packed(tmp_path, key)
    wrong = [(tmp_path / "street.png", "AB13")]
    for golden, reason in ((wrong, "AB13 is not read; only AB12"), ([], "has no golden")):
        with pytest.raises(BundleError, match=reason):
            pack_bundle(bundle, golden, key=key, out=tmp_path / "out.tar")
        assert not (tmp_path / "out.tar").exists()


def test_installed_bundle_is_packed_again_with_its_golden_images(tmp_path, target, key):
    archive = write_packed(tmp_path, key)
    install_bundle(str(archive), target)
    again = tmp_path / "again.tar"
    pack_bundle(load_config(target.config).models.bundle, [], key=key, out=again)
    assert again.read_bytes() == archive.read_bytes()


def test_unreadable_bundle_folder_is_an_error(tmp_path, target):
    (tmp_path / "models").symlink_to("models")
    with pytest.raises(ConfigError, match=r"models/active: Too many levels"):
        load_config(target.config)


def models(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "plateid", "models", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done


def test_commands_pack_install_list_and_roll_back(tmp_path, target, key, bundle):
    write_packed(tmp_path, key)
    golden = f"{tmp_path}/street.png=AB12"
    out = tmp_path / "packed.tar"
    done = models("pack", bundle, "--key", key, "--out", out, "--golden", golden)
    assert (done.returncode, done.stderr) == (0, "")
    assert models("install", out, "-c", target.config).returncode == 0
    listed = models("list", "-c", target.config).stdout
    assert f"{read_spec(bundle).name}-" in listed
    assert "(active) (configured)\n" in listed
    assert "default (previous)\n" in listed
    assert models("rollback", "-c", target.config).stdout.startswith(
        "in use    default; before: tiny-"
    )


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["install", "nowhere.tar", "-c", "CONFIG"], 1, "nowhere.tar: No such file"),
        (["install", "ftp://host/b.tar", "-c", "CONFIG"], 1, "is neither a file nor an http"),
        (["install", "b.tar", "-c", "nowhere.toml"], 2, "nowhere.toml: No such file"),
        (["pack", "default", "--out", "o", "--key", "k", "--golden", "x"], 2, "not IMAGE=PLATE"),
    ],
)
def test_invalid_arguments_have_an_exit_code_and_a_reason(target, arguments, code, reason):
    done = models(*(target.config if text == "CONFIG" else text for text in arguments))
    assert (done.returncode, reason in done.stderr) == (code, True), done.stderr
