"""The folder of installed bundles; symlinks name the one in use and the previous one.

`active` is the bundle in use, `previous` the one before; a missing symlink stands for the shipped
default bundle. The symlink of a trial is in /run, so that a power cut ends the trial.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from plateid.bundles.archive import sync_folder, write_synced
from plateid.config.models import ACTIVE, DEFAULT_BUNDLE, TRIAL, link_target
from plateid.errors import BundleError, errors_as, os_errors_as, reason_of
from plateid.models.bundle import Bundle, read_spec

PREVIOUS = "previous"
"""Name of the symlink that points to the bundle to roll back to."""
NEWEST = "newest-version"
"""File with the highest version that was ever activated: an older signed bundle is a downgrade."""


class InstalledBundles:
    """The installed bundles, of which two at most are kept."""

    def __init__(self, folder: Path) -> None:
        """Uses a folder, which need not exist yet."""
        self.folder = folder.resolve()

    @property
    def bundles(self) -> list[Path]:
        """The folders of all installed bundles."""
        found = (file.parent for file in self.folder.glob("[!.]*/bundle.toml"))
        return sorted(folder for folder in found if not folder.is_symlink())

    @property
    def active(self) -> Path:
        """The bundle in use, except during a trial."""
        return link_target(self.folder / ACTIVE) or DEFAULT_BUNDLE

    @property
    def previous(self) -> Path:
        """The bundle in use before that."""
        return link_target(self.folder / PREVIOUS) or DEFAULT_BUNDLE

    @property
    def newest_version(self) -> int:
        """The highest version that was ever activated; 0 if none was."""
        file = self.folder / NEWEST
        try:
            return int(file.read_text())
        except FileNotFoundError:
            return 0
        except (OSError, ValueError) as error:
            raise BundleError(file, reason_of(error)) from error

    @contextmanager
    def changing(self) -> Iterator[Path]:
        """Locks the folder and yields a temporary folder on the same disk.

        Raises BundleError if another install is running, or the disk cannot be written.
        """
        with os_errors_as(BundleError, self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            reason = "another install is running"
            with errors_as(BundleError, self.folder, BlockingIOError, reason=reason):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            TRIAL.unlink(missing_ok=True)  # left by an install that was killed
            for left in self.folder.glob(".new-*"):  # left by a power cut
                shutil.rmtree(left, ignore_errors=True)  # the service cannot delete root's
            with tempfile.TemporaryDirectory(dir=self.folder, prefix=".new-") as temporary:
                yield Path(temporary)
        except OSError as error:
            if error.filename is None:  # an error of standard output
                raise
            raise BundleError(error.filename, error.strerror) from error
        finally:
            os.close(lock)

    def add(self, new: Path, name: str) -> Path:
        """Moves a bundle into the folder, unless a valid one of that name is there already.

        The name includes a hash: the same name means the same bytes.
        """
        bundle = self.folder / name
        if bundle.exists():
            try:
                Bundle(bundle)
            except BundleError:
                bundle.rename(new.with_name("altered"))
            else:
                return bundle
        _share(new)
        new.rename(bundle)
        sync_folder(self.folder)
        return bundle

    def activate(self, bundle: Path) -> None:
        """Switches to a bundle and deletes all but this and the previous one."""
        before, version = self.active, read_spec(bundle).version
        if version > self.newest_version:
            write_synced(self.folder / NEWEST, f"{version}\n".encode())
        if bundle != before:
            self._point(ACTIVE, bundle)
            self._point(PREVIOUS, before)
        for old in self.bundles:
            if old not in (self.active, self.previous):
                shutil.rmtree(old)

    @contextmanager
    def trial(self, bundle: Path) -> Iterator[None]:
        """Makes the next start of the service use this bundle, until the block ends."""
        _link(TRIAL, bundle)
        try:
            yield
        finally:
            TRIAL.unlink(missing_ok=True)

    def _point(self, name: str, bundle: Path) -> None:
        """Points a symlink to a bundle, atomically and synced."""
        link = self.folder / name
        if bundle == DEFAULT_BUNDLE:
            link.unlink(missing_ok=True)
        else:
            _link(link, bundle.relative_to(self.folder))
        sync_folder(self.folder)


def _share(bundle: Path) -> None:
    """Lets the service, its group and other users use a bundle.

    The service may write the folder of bundles: root must not follow symlinks there.
    """
    for _, _, files, folder in os.fwalk(bundle):
        os.fchmod(folder, 0o775)
        for name in files:
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)
            try:
                os.fchmod(file, 0o644)
            finally:
                os.close(file)


def _link(link: Path, target: Path) -> None:
    new = link.with_name(f".{link.name}")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(link)
