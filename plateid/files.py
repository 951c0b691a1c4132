"""Files that are replaced whole."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def is_replaceable(file: Path) -> bool:
    """Whether this process may replace a file, or make it: its folder counts."""
    return os.access(file.parent, os.W_OK)


def write_whole(file: Path, data: bytes) -> None:
    """Replaces a file, or makes it: all of it or nothing, but for a power cut; it is not flushed.

    Raises:
        OSError: It cannot be written; the old one stays.
    """
    new = file.with_name(f"{file.name}.new")
    try:
        new.write_bytes(data)
        new.replace(file)
    except OSError:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise


def replace_text(
    file: Path,
    text: str,
    *,
    mode: int | None = None,
    first: Callable[[Path], object] = lambda _: None,
) -> None:
    """Replaces a file, or makes it; a power cut leaves the one or the other, whole.

    Args:
        file: May hold secrets: until it is whole, nobody else can read what is written.
        text: All of it.
        mode: Of the file; by default its mode stays, and a new one is for its owner and group.
        first: Called with the new file before it takes the place; what it raises keeps the old one.

    Raises:
        OSError: It cannot be written; the old one stays.
    """
    new = file.with_name(f".{file.name}.new")
    try:
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
        new.replace(file)
    finally:
        new.unlink(missing_ok=True)
