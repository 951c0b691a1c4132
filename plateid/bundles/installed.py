"""The folder of installed bundles: each is there as a whole or not at all, and links say which.

`active` is the one in use, `previous` the one before; a missing link stands for the bundle that
ships. A bundle on trial is named by a link in /run, which a power cut takes away.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from plateid.bundles.archive import sync_folder
from plateid.config.models import ACTIVE, DEFAULT_BUNDLE, TRIAL, bundle_of
from plateid.errors import BundleError
from plateid.models.bundle import Bundle

PREVIOUS = "previous"


class Shelf:
    """Installed bundles, and which of them is used."""

    def __init__(self, folder: Path) -> None:
        """`folder` need not exist yet."""
        self.folder = folder.resolve()

    @property
    def bundles(self) -> list[Path]:
        """What is installed, whether it is used or not."""
        found = (file.parent for file in self.folder.glob("[!.]*/bundle.toml"))
        return sorted(folder for folder in found if not folder.is_symlink())

    @property
    def active(self) -> Path:
        """What is used, unless another one is on trial."""
        return bundle_of(self.folder / ACTIVE) or DEFAULT_BUNDLE

    @property
    def previous(self) -> Path:
        """What was used before that."""
        return bundle_of(self.folder / PREVIOUS) or DEFAULT_BUNDLE

    @contextmanager
    def changing(self) -> Iterator[Path]:
        """A new folder on the same disk, gone at the end; nobody else changes the shelf meanwhile.

        Raises:
            BundleError: Somebody else does, or the disk does not take it.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise BundleError(self.folder, error.strerror) from error
        try:
            _lock(self.folder, lock)
            TRIAL.unlink(missing_ok=True)  # of an install that was killed
            for left in self.folder.glob(".new-*"):  # by a power cut
                shutil.rmtree(left)
            with tempfile.TemporaryDirectory(dir=self.folder, prefix=".new-") as made:
                yield Path(made)
        except OSError as error:
            if error.filename is None:  # of standard output
                raise
            raise BundleError(error.filename, error.strerror) from error
        finally:
            os.close(lock)

    def add(self, made: Path, name: str) -> Path:
        """Puts a bundle on the shelf, from a folder beside which there may be others.

        The name stands for its bytes: where it is there already, and sound, that one stays.
        """
        bundle = self.folder / name
        if bundle.exists():
            try:
                Bundle(bundle)
            except BundleError:
                bundle.rename(made.with_name("altered"))
            else:
                return bundle
        made.rename(bundle)
        sync_folder(self.folder)
        return bundle

    def activate(self, bundle: Path) -> None:
        """Uses a bundle from now on; those that are neither in use nor the one before go."""
        before = self.active
        if bundle != before:
            self._point(ACTIVE, bundle)
            self._point(PREVIOUS, before)
        for old in self.bundles:
            if old not in (self.active, self.previous):
                shutil.rmtree(old)

    @contextmanager
    def trial(self, bundle: Path) -> Iterator[None]:
        """Whoever loads the configuration meanwhile uses this bundle."""
        _link(TRIAL, bundle)
        try:
            yield
        finally:
            TRIAL.unlink(missing_ok=True)

    def _point(self, name: str, bundle: Path) -> None:
        """Lets a link show to a bundle, at once and down to the disk."""
        link = self.folder / name
        if bundle == DEFAULT_BUNDLE:
            link.unlink(missing_ok=True)
        else:
            _link(link, bundle.relative_to(self.folder))
        sync_folder(self.folder)


def _lock(folder: Path, lock: int) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise BundleError(folder, "another install is at work") from error


def _link(link: Path, target: Path) -> None:
    new = link.with_name(f".{link.name}")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(link)
