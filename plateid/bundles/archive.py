"""A bundle as one file: an uncompressed tar archive, which rules out decompression bombs.

Networks hardly compress. An archive is unpacked only after its signature was verified.
"""

import io
import os
import re
import tarfile
from pathlib import Path

from plateid.errors import BundleError
from plateid.files import read_file
from plateid.models.bundle import MAX_FILE_BYTES, BundleSpec, read_spec

NAMES = re.compile(r"bundle\.toml|MODEL_CARD\.md|\w[\w.-]*\.onnx|golden/\w[\w.-]*", re.ASCII)
"""Names of a bundle's files; nothing else is ever written."""
FOLDERS = {".", "golden"}
CARD = "MODEL_CARD.md"


def files_of(spec: BundleSpec) -> list[str]:
    """Returns the names of a bundle's files, without the optional model card."""
    golden = [image.file for image in spec.golden]
    return list(dict.fromkeys(["bundle.toml", spec.detector.file, spec.reader.file, *golden]))


def pack(folder: Path) -> bytes:
    """Returns the archive of a bundle; the same files give the same bytes.

    Raises:
        BundleError: One of its files cannot be read.
    """
    names = files_of(read_spec(folder))
    if (folder / CARD).exists():
        names.append(CARD)
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:", format=tarfile.USTAR_FORMAT) as archive:
        for name in names:
            try:
                content = read_file(folder / name, limit_bytes=MAX_FILE_BYTES)
            except OSError as error:
                raise BundleError(folder / name, error.strerror) from error
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return data.getvalue()


def unpack(name: str, data: bytes, folder: Path) -> None:
    """Writes an archive's files into an empty folder and syncs them to the disk.

    Args:
        name: Name of the archive, for error messages.
        data: Its content.
        folder: An empty folder.

    Raises:
        BundleError: The archive is invalid or truncated, holds anything but a bundle's files, or
            cannot be written.
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
    for missing in files_of(read_spec(folder)):
        if not (folder / missing).exists():
            raise BundleError(name, f"lacks {missing}")
    for subfolder in FOLDERS:
        if (folder / subfolder).is_dir():
            sync_folder(folder / subfolder)


def _check_member(name: str, member: tarfile.TarInfo, folder: Path) -> None:
    if not NAMES.fullmatch(member.name):
        raise BundleError(name, f"holds {member.name!r}, which is not a file of a bundle")
    if not member.isreg() or member.issparse():
        raise BundleError(name, f"holds {member.name}, which is not a regular file")
    if (folder / member.name).exists():
        raise BundleError(name, f"holds {member.name} twice")


def write_synced(path: Path, content: bytes) -> None:
    """Writes a file and syncs it to the disk; creates its folder if necessary.

    Raises:
        BundleError: It cannot be written.
    """
    try:
        path.parent.mkdir(exist_ok=True)
        with path.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise BundleError(path, error.strerror) from error


def sync_folder(folder: Path) -> None:
    """Syncs a folder's entries to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
