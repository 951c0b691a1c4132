"""A bundle as one file: a tar archive that is not compressed, so that nothing in it can swell.

Networks hardly shrink, and an archive is read only when its signature is right.
"""

import io
import os
import re
import tarfile
from pathlib import Path

from plateid.errors import BundleError
from plateid.models.bundle import BundleSpec, read_spec

NAMES = re.compile(r"bundle\.toml|MODEL_CARD\.md|\w[\w.-]*\.onnx|golden/\w[\w.-]*", re.ASCII)
"""All that a bundle holds; no other name, and thus no other place, is ever written."""
FOLDERS = {".", "golden"}
CARD = "MODEL_CARD.md"


def files_of(spec: BundleSpec) -> list[str]:
    """Names of a bundle's files, less the model card, which may be missing."""
    golden = [image.file for image in spec.golden]
    return list(dict.fromkeys(["bundle.toml", spec.detector.file, spec.reader.file, *golden]))


def pack(folder: Path) -> bytes:
    """The archive of the bundle in `folder`: the same bytes for the same files.

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
                content = (folder / name).read_bytes()
            except OSError as error:
                raise BundleError(folder / name, error.strerror) from error
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return data.getvalue()


def unpack(name: str, data: bytes, folder: Path) -> None:
    """Writes an archive's files into an empty folder, down to the disk.

    Args:
        name: Of the archive, for error messages.
        data: All of it.
        folder: An empty one.

    Raises:
        BundleError: It is no archive, is cut off, holds anything but a bundle's files, or nothing
            can be written.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for member in archive:
                _check_member(name, member, folder)
                content = archive.extractfile(member)
                assert content is not None  # of a regular file
                write_synced(folder / member.name, content.read())
    except (tarfile.TarError, ValueError, EOFError) as error:
        raise BundleError(name, f"is no tar archive of a bundle: {error}") from error
    for missing in files_of(read_spec(folder)):
        if not (folder / missing).exists():
            raise BundleError(name, f"lacks {missing}")
    for subfolder in FOLDERS:
        if (folder / subfolder).is_dir():
            sync_folder(folder / subfolder)


def _check_member(name: str, member: tarfile.TarInfo, folder: Path) -> None:
    if not NAMES.fullmatch(member.name):
        raise BundleError(name, f"holds {member.name!r}, which is no file of a bundle")
    if not member.isreg() or member.issparse():
        raise BundleError(name, f"holds {member.name}, which is no plain file")
    if (folder / member.name).exists():
        raise BundleError(name, f"holds {member.name} twice")


def write_synced(path: Path, content: bytes) -> None:
    """Writes a file, which is on the disk then; its folder may be new.

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
    """Brings names that were made or changed in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
