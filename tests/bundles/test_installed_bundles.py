"""Root writes the folder of installed bundles, in which the service may put symlinks."""

import pytest

from plateid.bundles.archive import write_synced
from plateid.bundles.installed_bundles import InstalledBundles


@pytest.fixture
def secret(tmp_path):
    """A file that only its owner may read."""
    file = tmp_path / "secret"
    file.write_text("secret")
    file.chmod(0o600)
    return file


def test_permissions_of_a_new_bundle_are_not_given_to_the_target_of_a_symlink(tmp_path, secret):
    new = tmp_path / "new"
    (new / "golden").mkdir(parents=True)
    (new / "golden/1.png").symlink_to(secret)
    with pytest.raises(OSError, match="symbolic links"):
        InstalledBundles(tmp_path).add(new, "bundle")
    assert secret.stat().st_mode & 0o777 == 0o600


def test_service_and_others_may_use_a_new_bundle_whatever_the_umask_is(tmp_path):
    new = tmp_path / "new"
    (new / "golden").mkdir(parents=True, mode=0o700)
    for name in ("bundle.toml", "golden/1.png"):
        (new / name).touch(mode=0o600)
    bundle = InstalledBundles(tmp_path).add(new, "bundle")
    modes = {path.name: path.stat().st_mode & 0o777 for path in (bundle, *bundle.rglob("*"))}
    assert modes == {"bundle": 0o775, "golden": 0o775, "bundle.toml": 0o644, "1.png": 0o644}


def test_unfinished_file_that_is_a_symlink_is_replaced_and_not_followed(tmp_path, secret):
    (tmp_path / "newest-version.new").symlink_to(secret)
    write_synced(tmp_path / "newest-version", b"1\n")
    assert secret.read_text() == "secret"
    assert (tmp_path / "newest-version").read_bytes() == b"1\n"
