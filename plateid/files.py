"""Reads untrusted files, and replaces files atomically."""

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

MAX_TEXT_BYTES = 100_000_000
"""Largest text file that is read: a configuration, a list, a secret."""

SAMPLES, SAMPLE_BYTES = 16, 1 << 16
"""Number and size of the pieces of a file that its fingerprint covers."""


def read_text(file: Path) -> str:
    """Returns the text of a regular file without byte order mark; OSError or UnicodeDecodeError."""
    return read_file(file, limit_bytes=MAX_TEXT_BYTES).decode("utf-8-sig")


def read_file(file: Path, *, limit_bytes: int) -> bytes:
    """Returns the content of a regular file; OSError if it is none, or larger than the limit."""
    with _open_regular(file) as stream:
        if os.fstat(stream.fileno()).st_size > limit_bytes:
            raise OSError(errno.EFBIG, f"is larger than {limit_bytes:,} bytes", str(file))
        return stream.read()


def read_start(file: Path, count: int) -> bytes:
    """Returns the first bytes of a regular file; raises OSError as `read_file` does."""
    with _open_regular(file) as stream:
        return stream.read(count)


def fingerprint(file: Path) -> str:
    """Returns a hash of a file's size and of pieces spread over it; raises OSError."""
    with _open_regular(file) as stream:
        size = stream.seek(0, os.SEEK_END)
        digest = hashlib.sha256(str(size).encode())
        for number in range(SAMPLES):
            stream.seek(max(0, size - SAMPLE_BYTES) * number // (SAMPLES - 1))
            digest.update(stream.read(SAMPLE_BYTES))
    return digest.hexdigest()


@contextmanager
def _open_regular(file: Path) -> Iterator[BinaryIO]:
    if "\0" in str(file):
        raise OSError(errno.EINVAL, "has a NUL character in its name", str(file))
    # without O_NONBLOCK, a FIFO would block
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "is not a regular file", str(file))
        yield stream


def is_replaceable(file: Path) -> bool:
    """Returns whether this process may create files in the directory of a file."""
    return os.access(file.parent, os.W_OK)


def write_whole(file: Path, data: bytes, *, synced: bool = False) -> None:
    """Creates or replaces a file; the old one stays if that fails.

    Unless it is synced to the disk, a power cut may leave it incomplete.
    """
    with _replacing(file) as new:
        new.unlink(missing_ok=True)  # a symlink there could lead root to any file
        with new.open("xb") as stream:
            stream.write(data)
            if synced:
                stream.flush()
                os.fsync(stream.fileno())


def replace_text(
    file: Path,
    text: str,
    *,
    mode: int | None = None,
    first: Callable[[Path], object] = lambda _: None,
) -> None:
    """Creates or replaces a file; after a failure or power cut, it is the old or the new one.

    `mode` is by default that of the old file, or 0o640; until it is set, only the owner can read
    the new file. `first` is called with the new file before it replaces the old one.
    """
    with _replacing(file) as new:
        new.unlink(missing_ok=True)
        if mode is None:
            mode = file.stat().st_mode & 0o777 if file.exists() else 0o640
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
            stream.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        first(new)


def give_to_owner_of_folder(file: Path) -> None:
    """Gives a file that root has written to the owner of its folder, which runs the service."""
    if os.geteuid() == 0:
        owner, own = file.parent.stat(), file.lstat()
        if (own.st_uid, own.st_gid) != (owner.st_uid, owner.st_gid):  # each chown writes the inode
            os.chown(file, owner.st_uid, owner.st_gid, follow_symlinks=False)


@contextmanager
def _replacing(file: Path) -> Iterator[Path]:
    new = file.with_name(f"{file.name}.new")
    try:
        yield new
        new.replace(file)
    finally:
        new.unlink(missing_ok=True)
