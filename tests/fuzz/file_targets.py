"""Fuzz targets of files: configuration, lists, bundles, images, data sets and the store.

Each target yields seeds and a function that raises if plateid mishandles its input.
"""

import shutil
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import cv2
import numpy as np

from plateid.bundles.archive import NAMES, pack, unpack
from plateid.bundles.signature import SIGNATURE_BYTES, check_signature, public_key
from plateid.capture.images import decode_image
from plateid.config.load import formats_of, load_config, load_formats
from plateid.core.lists import ListEntry, Lists
from plateid.core.text import CHARSET, normalise
from plateid.errors import BundleError, ConfigError, SourceError, StoreError
from plateid.models.bundle import read_spec
from plateid.store.event_store import EventStore
from plateid.store.list_csv import rows_of, with_rows
from plateid.store.list_file import read_entries, read_text
from plateid.store.salvage import set_aside_files
from plateid.store.sqlite_pages import PAGE, Pages
from tests.hostile.mutations import accepts
from tests.hostile.test_hostile_files import CONFIG, EXAMPLE, FORMATS, LIST
from tests.support.bundles import detector_network, reader_network, write_bundle
from tests.support.packed import write_keys
from tests.support.samples import SEEN, append
from train.dataset.formats import read_labels
from train.dataset.image_reading import MAX_PROBLEMS, raise_problems, read_labelled
from train.train_error import TrainError

Target = tuple[Sequence[bytes], Callable[[bytes], object]]
CAMERAS = ("gate", "drive")
MAX_PLATE = 40
"""Longest text that a reader or a search gives to the lists, with room to spare, characters."""


@contextmanager
def config_file(folder: Path) -> Iterator[Target]:
    file = folder / "plateid.toml"

    def run(data: bytes) -> None:
        file.write_bytes(data)
        accepts("", lambda: formats_of(load_config(file)), ConfigError)

    yield (CONFIG.encode(), EXAMPLE.encode()), run


@contextmanager
def format_file(folder: Path) -> Iterator[Target]:
    file = folder / "formats.toml"

    def use() -> None:
        formats = load_formats(file)
        formats.display("B68SPK", formats.region_of("B68SPK"))

    def run(data: bytes) -> None:
        file.write_bytes(data)
        accepts(file, use, ConfigError)

    yield (FORMATS,), run


@contextmanager
def list_file(folder: Path) -> Iterator[Target]:
    file = folder / "plates.csv"

    def match() -> None:
        Lists(read_entries(file, CAMERAS), 3).match("B68SPK", camera="gate", at=SEEN.first_seen)

    def run(data: bytes) -> None:
        file.write_bytes(data)
        with suppress(ValueError):  # a cell of several lines
            if accepts(file, match, ConfigError):
                rows = rows_of(read_text(file))
                for number, cells in rows.items():
                    assert rows_of(with_rows(read_text(file), [(number, cells)])) == rows

    yield (LIST, LIST.replace(b",", b";"), b"\xef\xbb\xbfPlate\tList\n#x\nA1\tdeny\n"), run


@contextmanager
def plate_text(folder: Path) -> Iterator[Target]:
    formats, entry = load_formats(None), ListEntry("B68SPK", "allow", "Ana")
    file = folder / "unused.csv"

    def run(data: bytes) -> None:
        text = data.decode(errors="ignore")[:MAX_PLATE]
        plate = normalise(text)
        assert normalise(plate) == plate and set(plate) <= set(CHARSET)
        for each in (text, plate):
            formats.fits(each)
            formats.display(each, formats.region_of(each))
            Lists((entry,), 3).match(each, camera="gate", at=SEEN.first_seen)
        assert not file.exists()

    yield ("В 68 ЅРК".encode(), b"KX73 LPH", "ǅ½ﬀ".encode()), run  # noqa: RUF001


@contextmanager
def bundle_archive(folder: Path) -> Iterator[Target]:
    made = write_bundle(folder / "made", detector_network([(32, 16, 20, 8, 0.9)]), b"reader")
    out = folder / "out"

    def run(data: bytes) -> None:
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        accepts("", lambda: unpack("bundle.tar", data, out), BundleError)
        assert {file.name for file in folder.iterdir()} == {"made", "out"}
        written = {file.relative_to(out).as_posix() for file in out.rglob("*") if file.is_file()}
        assert all(NAMES.fullmatch(name) for name in written)

    yield (pack(made),), run


@contextmanager
def bundle_spec(folder: Path) -> Iterator[Target]:
    network = detector_network([(32, 16, 20, 8, 0.9)])
    made = write_bundle(folder / "made", network, reader_network("-AA-B"))
    file = made / "bundle.toml"
    seed = file.read_bytes()

    def run(data: bytes) -> None:
        file.write_bytes(data)
        accepts(made, lambda: read_spec(made), BundleError)

    yield (seed,), run


@contextmanager
def bundle_signature(folder: Path) -> Iterator[Target]:
    """The first 64 bytes are the signature of an archive, the rest is another trusted key."""
    write_keys(folder, "vendor")
    trusted = folder / "trusted"
    pem, other = (trusted / "vendor.pem").read_bytes(), folder / "other.pem"

    def run(data: bytes) -> None:
        signature = data[:SIGNATURE_BYTES]
        assert not accepts("", lambda: check_signature("x", data, signature, trusted), BundleError)
        other.write_bytes(data[SIGNATURE_BYTES:])
        accepts(other, lambda: public_key(other), BundleError)

    yield (bytes(SIGNATURE_BYTES) + pem,), run


@contextmanager
def image_file(_: Path) -> Iterator[Target]:
    picture = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3)
    kinds = (".jpg", ".png", ".webp", ".bmp", ".tiff")

    def run(data: bytes) -> None:
        accepts("x.jpg", lambda: decode_image(data, "x.jpg").luma(8, 8), SourceError)

    yield [cv2.imencode(kind, picture)[1].tobytes() for kind in kinds], run


@contextmanager
def store_pages(folder: Path) -> Iterator[Target]:
    """The first half is the store's file, the second half its write-ahead log."""
    file, log = folder / "x.sqlite3", folder / "x.sqlite3-wal"

    def run(data: bytes) -> None:
        pages = len(data) // PAGE // 2 * PAGE
        file.write_bytes(data[:pages] or data)
        log.write_bytes(data[pages:])
        with file.open("rb") as opened:
            read = Pages(opened, log)
            for _, page in read.newest_first():
                assert all(len(row) < PAGE for _, row in read.rows(page))
                assert all(isinstance(rowid, int) for rowid in read.row_ids(page))

    yield (bytes((13, 0, 0, 0, 1, 15, 0, 0, 15, 250)) + bytes(4080) + b"\4\1\2\1\5\0",), run


@contextmanager
def store_file(folder: Path) -> Iterator[Target]:
    """Each three bytes of the input change a byte of a good store: place and value."""
    file, good = folder / "events.sqlite3", folder / "good"
    with closing(EventStore(file)) as store:
        append(store, *range(1, 9))
    content = file.rename(good).read_bytes()

    def run(data: bytes) -> None:
        damaged = bytearray(content)
        for place, value in struct.iter_unpack(">HB", data[: len(data) // 3 * 3]):
            damaged[place % len(damaged)] = value
        for old in (file, *set_aside_files(file), *folder.glob("events.sqlite3-*")):
            old.unlink(missing_ok=True)
        file.write_bytes(damaged)
        with (
            suppress(ConfigError, StoreError),
            closing(EventStore(file, service=True)) as s,
        ):
            append(s, 100)
            assert s.counts().events > 0

    yield (b"\0\x12\0", b"\0\x60\xff\x10\x01\x80"), run


@contextmanager
def data_set(folder: Path, name: str, seed: bytes) -> Iterator[Target]:
    """A label file beside one image."""
    picture = np.zeros((20, 40, 3), np.uint8)
    (folder / "images").mkdir()
    cv2.imwrite(str(folder / "images/a.png"), picture)
    (folder / name).parent.mkdir(exist_ok=True)

    def run(data: bytes) -> None:
        (folder / name).write_bytes(data)
        problems: list[str] = []
        try:
            read_labelled(read_labels(folder, problems), problems)
            raise_problems(problems)
        except TrainError as error:
            lines = str(error).split("\n")
            assert len(lines) <= MAX_PROBLEMS + 1 and all(map(str.isprintable, lines)), lines

    yield (seed,), run
