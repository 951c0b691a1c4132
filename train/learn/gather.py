"""Gathers labelled plates from folders, ZIP files of labels, and devices."""

import hashlib
import http.client
import io
import shutil
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from plateid.core.text import fold
from plateid.errors import SourceError, errors_as
from plateid.files import read_text, write_whole
from train.dataset.formats.image_labels import LabelledBox
from train.dataset.formats.plateid_csv import WHOLE_IMAGE
from train.dataset.grouping import join_groups, with_joined_groups
from train.dataset.image_reading import read_images, read_tables
from train.dataset.labelled_image import LabelledImage, data_hash
from train.reader.real_plates import RealPlate, plates_of
from train.train_error import TrainError

DOWNLOADED = "devices"
"""Name of the folder of downloaded labels. A resumed run does not download them again; a run whose
labels are too few or faulty does."""
LABELS_PATH = "/api/v1/labels.zip"
"""Where a device serves its labels."""
KINDS = {"": "", "-self": "?format=self"}
"""Queries for the labels of people, and for those that confident readings gave."""
TIMEOUT_S = 120.0
"""Longest wait for a device, which may test a bundle meanwhile, seconds."""
ANSWERS = {401: "wrong token", 404: "is not plateid"}
"""What an HTTP status means here; a device explains others."""
CHANGEABLE = ("out", "force")
"""Options that may change when a run is resumed."""


@dataclass(frozen=True, eq=False)
class OwnPlate:
    """A plate with a text, from the user's data."""

    plate: RealPlate
    path: Path
    labels: LabelledBox
    is_self_labelled: bool = False

    @property
    def vehicle(self) -> str:
        """Name of its vehicle: plates of one text (O/0- and I/1-insensitive) are one vehicle."""
        return fold(self.plate.text)


@dataclass(frozen=True)
class Sources:
    """Where labels come from: folders or ZIP files, and devices with the file of their token."""

    data: tuple[Path, ...]
    devices: tuple[str, ...] = ()
    token_file: Path | None = None
    self_labels: bool = False

    @property
    def names(self) -> list[str]:
        """A short name of each source."""
        hosts = [urlsplit(device).hostname or device for device in self.devices]
        return [*(path.resolve().stem for path in self.data), *hosts]


@dataclass(frozen=True)
class LearningRun:
    """The options of `train learn`."""

    sources: Sources
    out: Path
    base: Path
    keep: tuple[Path, ...] = ()
    minutes: float = 45.0
    force: bool = False
    trust: bool = False

    @property
    def work(self) -> Path:
        """Folder of the unfinished run, beside the bundle."""
        return self.out.with_name(f"{self.out.name}.learning")

    @property
    def settings(self) -> dict[str, Any]:
        """The options that a resumed run must have as well."""
        return {key: value for key, value in asdict(self).items() if key not in CHANGEABLE}


def gather(sources: Sources, work: Path) -> list[LabelledImage]:
    """Returns the labelled images. Downloads and unpacked files are kept in `work`.

    Raises TrainError if a source cannot be read; each problem is a line.
    """
    folders = [*_folders(sources, work)]
    images: dict[bytes, LabelledImage] = {}
    for folder in folders:
        for image in read_folder(folder):
            first = images.setdefault(image.digest, image)
            if (first.texts, first.boxes) != (image.texts, image.boxes):
                raise TrainError(
                    f"{image.path}: the same file as {first.path}, but other texts or boxes"
                )
    return list(images.values())


def read_folder(folder: Path) -> list[LabelledImage]:
    """Reads a labelled data set, or crops."""
    is_table = (folder / "labels.csv").is_file()
    return read_tables([folder]) if is_table else read_images(folder)


def without_vehicles_of(
    own: Sequence[LabelledImage], images: Sequence[LabelledImage]
) -> list[LabelledImage]:
    """Returns the images that show none of your vehicles: no training may see held-out ones."""
    digests = {image.digest for image in own}
    vehicles = {fold(text) for image in own for text in image.texts if text}
    return [
        image
        for image in images
        if image.digest not in digests and vehicles.isdisjoint(map(fold, image.texts))
    ]


def framed_images(images: Sequence[LabelledImage]) -> list[LabelledImage]:
    """Returns the images that are no plate crops. Those of one scene or vehicle are one group."""
    framed = [
        each
        for each in images
        if all(box.xyxy != WHOLE_IMAGE for box in each.labels.boxes) and not is_self_labelled(each)
    ]
    first: dict[str, int] = {}
    same = [
        (number, first.setdefault(fold(text), number))
        for number, image in enumerate(framed)
        for text in image.texts
        if text
    ]
    groups = join_groups([image.group for image in with_joined_groups(framed)], same)
    return [replace(image, group=group) for image, group in zip(framed, groups, strict=True)]


def own_plates(images: Sequence[LabelledImage]) -> list[OwnPlate]:
    """Returns the plates that have a text."""
    return [
        OwnPlate(plate, image.path, labels, is_self_labelled(image))
        for image in images
        for labels, plate in plates_of(image)
        if plate.text
    ]


def is_self_labelled(image: LabelledImage) -> bool:
    """Returns whether the reading of a pass labelled an image: it has a confidence."""
    return bool(image.labels.row.get("confidence"))


def labels_hash(images: Sequence[LabelledImage]) -> str:
    """Returns the SHA-256 of images and their labels.

    Texts and groups decide which fold a plate is in. With other ones, a resumed run would test
    networks on plates that they were trained on.
    """
    labels = [(each.texts, each.group, is_self_labelled(each)) for each in images]
    return hashlib.sha256(f"{data_hash(images)} {labels}".encode()).hexdigest()


def _folders(sources: Sources, work: Path) -> Iterator[Path]:
    for number, path in enumerate(sources.data):
        yield _unpacked(path, work / f"data-{number}") if path.suffix == ".zip" else path
    for url in sources.devices:
        name = hashlib.sha256(url.encode()).hexdigest()[:16]
        for kind, query in KINDS.items():
            if sources.self_labels or not query:
                packed = work / DOWNLOADED / f"{name}{kind}.zip"
                if not packed.is_file():
                    _download(sources, url, query, packed)
                yield _unpacked(packed, work / f"device-{name}{kind}")


def _download(sources: Sources, url: str, query: str, out: Path) -> None:
    out.parent.mkdir(exist_ok=True)
    packed = fetched(sources, url, LABELS_PATH + query)
    if not zipfile.is_zipfile(io.BytesIO(packed)):
        raise TrainError(f"--device {url}: its answer is not a ZIP file; is it plateid?")
    write_whole(out, packed)


def fetched(
    sources: Sources, url: str, path: str, data: bytes | None = None, **headers: str
) -> bytes:
    """Returns the answer of a device; raises TrainError if it is unreachable or refuses."""
    if urlsplit(url).scheme not in ("http", "https"):
        raise TrainError(f"--device {url}: must begin with http:// or https://")
    if sources.token_file is None:
        raise TrainError("--device: needs --token-file")
    with errors_as(SourceError, f"--token-file {sources.token_file}", OSError, UnicodeDecodeError):
        headers["Authorization"] = f"Bearer {read_text(sources.token_file).strip()}"
    request = urllib.request.Request(_address(url, path), data, headers)  # noqa: S310 - http only
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - http only
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace").removeprefix('{"error":"').removesuffix('"}')
        raise TrainError(f"--device {url}: {ANSWERS.get(error.code, said or error)}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise TrainError(f"--device {url}: {getattr(error, 'reason', error)}") from error


def _address(url: str, path: str) -> str:
    """Adds a path with its query; the URL of a hub may have the query `?group=NAME`."""
    own, wanted = urlsplit(url), urlsplit(path)
    query = "&".join(filter(None, (own.query, wanted.query)))
    return own._replace(path=own.path.rstrip("/") + wanted.path, query=query).geturl()


def _unpacked(packed: Path, folder: Path) -> Path:
    """Unpacks a ZIP file, and returns the folder."""
    shutil.rmtree(folder, ignore_errors=True)
    faults = zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError  # encrypted
    with errors_as(SourceError, packed, *faults), zipfile.ZipFile(packed) as archive:
        archive.extractall(folder)
    return folder
