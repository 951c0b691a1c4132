"""A bundle as one file: an uncompressed tar archive, which rules out decompression bombs.

Networks hardly compress. An archive is unpacked only after its signature was verified.
"""

import hashlib
import io
import os
import re
import tarfile
import tempfile
from pathlib import Path

from plateid.errors import BundleError, os_errors_as
from plateid.files import write_whole
from plateid.models.bundle import BundleSpec, bundle_file, read_spec

NAMES = re.compile(r"bundle\.toml|MODEL_CARD\.md|\w[\w.-]*\.onnx|golden/\w[\w.-]*", re.ASCII)
"""Names of a bundle's files; nothing else is ever written."""
CARD = "MODEL_CARD.md"


def files_of(folder: Path) -> list[str]:
    """Returns the names of a bundle's files."""
    spec = read_spec(folder)
    names = ["bundle.toml", spec.detector.file, spec.reader.file]
    names += [image.file for image in spec.golden]
    names += [CARD] if (folder / CARD).exists() else []
    return list(dict.fromkeys(names))


def pack(folder: Path) -> bytes:
    """Returns the archive of a bundle; the same files give the same bytes."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:", format=tarfile.USTAR_FORMAT) as archive:
        for name in files_of(folder):
            content = bundle_file(folder / name)
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return data.getvalue()


def unpack(name: str, data: bytes, folder: Path) -> None:
    """Writes an archive's files into an empty folder and syncs them to the disk.

    Raises BundleError with the archive's name if it is invalid or truncated, holds anything but a
    bundle's files, or cannot be written.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for member in archive:
                _check_member(name, member, folder)
                content = archive.extractfile(member)
                assert content is not None  # a regular file has content
                write_synced(folder / member.name, content.read())
    except (tarfile.TarError, ValueError, EOFError) as error:
        raise BundleError(name, f"is not a tar archive of a bundle: {error}") from error
    for file in files_of(folder):
        if not (folder / file).exists():
            raise BundleError(name, f"lacks {file}")
    for subfolder in {folder, *(path.parent for path in folder.glob("golden/*"))}:
        sync_folder(subfolder)


def read_archive(name: str, data: bytes) -> tuple[BundleSpec, str]:
    """Returns the description of an archive's bundle, and the archive's SHA-256; BundleError."""
    with tempfile.TemporaryDirectory() as folder:
        unpack(name, data, Path(folder))
        return read_spec(Path(folder)), hashlib.sha256(data).hexdigest()


def _check_member(name: str, member: tarfile.TarInfo, folder: Path) -> None:
    if not NAMES.fullmatch(member.name):
        raise BundleError(name, f"holds {member.name!r}, which is not a file of a bundle")
    if not member.isreg() or member.issparse():
        raise BundleError(name, f"holds {member.name}, which is not a regular file")
    if (folder / member.name).exists():
        raise BundleError(name, f"holds {member.name} twice")


def write_synced(path: Path, content: bytes) -> None:
    """Creates or replaces a file and syncs it to the disk; creates its folder if necessary."""
    with os_errors_as(BundleError, path):
        path.parent.mkdir(exist_ok=True)
        write_whole(path, content, synced=True)


def sync_folder(folder: Path) -> None:
    """Syncs a folder's entries to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
