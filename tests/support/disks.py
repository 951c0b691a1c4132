"""Real disks that fail: full, read-only, and with a damaged file system. Needs root."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def command(*words: object) -> str:
    """Runs a command; its output."""
    done = subprocess.run(list(map(str, words)), check=True, capture_output=True, text=True)
    return done.stdout.strip()


@contextmanager
def mounted(folder: Path, *options: object) -> Iterator[Path]:
    """Mounts a new folder, and unmounts it even if a process has files there."""
    folder.mkdir()
    command("mount", *options, folder)
    try:
        yield folder
    finally:
        command("umount", "--lazy", folder)


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of 4 MB in memory."""
    with mounted(folder, "-t", "tmpfs", "-o", "size=4m", "tmpfs") as disk:
        yield disk


def fill(disk: Path) -> Path:
    """Leaves no byte free; returns the file that needs the space."""
    file = disk / "full"
    with file.open("wb", buffering=0) as stream:
        try:
            while stream.write(bytes(4096)):
                pass
        except OSError:
            return file
    raise AssertionError("never full")


@contextmanager
def ext4_disk(folder: Path) -> Iterator[Path]:
    """A disk that becomes read-only at the first error of its file system."""
    image = folder.with_suffix(".img")
    with image.open("wb") as file:
        file.truncate(8 << 20)
    command("mkfs.ext4", "-q", image)
    with mounted(folder, "-o", "loop,errors=remount-ro", image) as disk:
        yield disk


def fail(disk: Path) -> None:
    """Lets the kernel find an error in the file system."""
    device = Path(command("findmnt", "-no", "SOURCE", disk)).name
    Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_text("1")


def set_read_only(disk: Path, *, read_only: bool) -> None:
    """Remounts a bind mount."""
    command("mount", "-o", f"remount,bind,{'ro' if read_only else 'rw'}", disk)
