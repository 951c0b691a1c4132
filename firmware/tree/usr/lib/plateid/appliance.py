"""The appliance's paths, and file operations that survive a power cut."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from plateid.errors import ConfigError


@dataclass(frozen=True)
class Appliance:
    """Paths and name of the device.

    Attributes:
        inbox: The folder plateid/ of the boot partition.
        root: The device's root directory.
        name: Its host name.
    """

    inbox: Path
    root: Path
    name: str

    @property
    def etc(self) -> Path:
        """The folder of plateid.toml."""
        return self.root / "etc/plateid"

    @property
    def state(self) -> Path:
        """The folder of the appliance's own settings."""
        return self.root / "var/lib/appliance"

    def log(self, text: str) -> None:
        """Prints a line on the console."""
        print(f"{self.name}: {text}", flush=True)  # noqa: T201 - the unit shows it on the console


def read_text(file: Path) -> str:
    """Reads a text file; editors on Windows begin it with a byte-order mark."""
    return file.read_text(encoding="utf-8-sig")


def read_bytes(file: Path) -> bytes | None:
    """Reads a file; None if it does not exist."""
    return file.read_bytes() if file.exists() else None


def replace(file: Path, content: str | bytes, mode: int) -> None:
    """Replaces a file; after a power cut the old or the new one is there, whole."""
    new = file.with_name(f".{file.name}")
    new.unlink(missing_ok=True)
    new.touch(mode)
    with new.open("wb") as out:
        out.write(content.encode() if isinstance(content, str) else content)
        out.flush()
        os.fsync(out.fileno())
    give_to_owner_of_folder(new)
    new.replace(file)
    sync_folder(file.parent)


def restore(file: Path, content: bytes | None) -> None:
    """Restores what `read_bytes` returned."""
    if content is not None:
        replace(file, content, 0o640)
    else:
        file.unlink(missing_ok=True)


def is_filled(file: Path) -> bool:
    """Whether the file exists and has content: a power cut may leave an empty file."""
    return file.is_file() and file.stat().st_size > 0


def give_to_owner_of_folder(file: Path) -> None:
    """Gives a file to the owner and group of its folder."""
    folder = file.parent.stat()
    os.chown(file, folder.st_uid, folder.st_gid)


def sync_folder(folder: Path) -> None:
    """Makes renames in the folder permanent."""
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def run(*command: str | Path) -> None:
    """Runs a program.

    Raises:
        ConfigError: It failed; the reason is the last line of its output.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or [f"exit {done.returncode}"]
        raise ConfigError(command[0], lines[-1])
