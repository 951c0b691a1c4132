"""A disk of its own for the store: a small ext4 that can be filled, broken and repaired."""

import os
import subprocess
from pathlib import Path

from tests.support.disks import command, fail

SIZE = 64 << 20
"""Size of the disk, bytes: a campaign of an hour needs 20 MB."""
IMAGES = Path("/dev/shm")  # noqa: S108 - in memory: the machine's disk stays quiet


class Disk:
    """An ext4 in a file. Raises CalledProcessError where mounting is not possible."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._image = IMAGES / f"plateid-campaign-{os.getpid()}"
        self._filler = folder / "filler"
        with self._image.open("wb") as file:
            file.truncate(SIZE)
        try:
            command("mkfs.ext4", "-q", "-m", "0", self._image)
            self._mount()
        except subprocess.CalledProcessError:
            self._image.unlink()
            raise

    def fill(self) -> None:
        """Writes until no byte is left."""
        with self._filler.open("wb", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                try:
                    while True:
                        file.write(b"\0" * size)
                except OSError:
                    continue

    def free(self) -> None:
        self._filler.unlink()

    def make_read_only(self) -> None:
        """Reports a file-system error, on which ext4 refuses all writes."""
        fail(self.folder)

    def repair(self) -> None:
        """Makes it writable again; no process may use it meanwhile."""
        command("umount", self.folder)
        subprocess.run(["e2fsck", "-fy", self._image], check=False, capture_output=True)
        self._mount()

    def close(self) -> None:
        command("umount", self.folder)
        self._image.unlink()

    def _mount(self) -> None:
        command("mount", "-o", "loop,errors=remount-ro", self._image, self.folder)
