"""The bundle's reader: its temperature, and crops that show no plate."""

import numpy as np
import pytest

from plateid.bundles.archive import pack, unpack
from plateid.capture.video_file import read_video
from plateid.config.cameras import EventsConfig
from plateid.config.models import ModelsConfig
from plateid.core.fusion import Fusion
from plateid.core.geometry import sharpness
from plateid.core.reading import single_reading
from plateid.core.records import Image, PlateRead
from plateid.core.text import best_text
from plateid.demo import DEMO_VIDEO
from plateid.errors import BundleError
from plateid.models.networks import Networks
from plateid.models.tta import fuse_variants
from tests.support.bundles import detector_network, reader_network, write_bundle
from tests.support.images import ArrayLazyImage, plain

DETECTOR = detector_network([(32, 16, 20, 8, 0.9)])
BOXES = [(0.0, 0.0, 40.0, 20.0), (5.0, 5.0, 60.0, 40.0)]
PLATE_FRAME, PLATE = 125, (953, 464, 1098, 501)
"""A frame of the demo video, and the box of the plate KX73LPH in it."""


def reads(folder, reader: bytes, of_reader: str = "") -> list[PlateRead]:
    bundle = write_bundle(folder / "bundle", DETECTOR, reader, of_reader=of_reader)
    return Networks(ModelsConfig(bundle=bundle)).reader().read(plain(), BOXES)


def test_temperature_lowers_confidence_and_keeps_the_text(tmp_path):
    hot = "temperature = 2.0"
    surest = [reads(tmp_path, reader_network("-A-1"), text)[0] for text in ("", hot)]
    assert [best_text(read.probabilities) for read in surest] == ["A1", "A1"]
    as_it_is, tempered = (read.probabilities.max(axis=1) for read in surest)
    assert as_it_is == pytest.approx(0.964, abs=0.001)
    assert tempered == pytest.approx(0.964**0.5 / (0.964**0.5 + 36 * 0.001**0.5), abs=0.001)


def test_packed_bundle_keeps_its_syntax_and_reads_by_it(tmp_path):
    unsure = reader_network("-A-1")
    bundle = write_bundle(tmp_path / "taught", DETECTOR, unsure, of_reader="syntax = { LDD = 99 }")
    text = (bundle / "bundle.toml").read_text()
    (bundle / "bundle.toml").write_text(text.replace("format = 1", "format = 2"))
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    unpack("taught.tar", pack(bundle), unpacked)
    read = Networks(ModelsConfig(bundle=unpacked)).reader().read(plain(), BOXES)[0]
    assert read.syntax.counts == (("LDD", 99),)
    fusion = Fusion()
    fusion.add(read)
    assert fusion.syntax == fuse_variants([read] * 4).syntax == read.syntax


@pytest.mark.parametrize(
    ("network", "of_reader", "reason"),
    [
        (reader_network("A", regions=(1,)), "", r"output shape is \['n', 1, 37\] and \['n', 1\];"),
        (reader_network("A"), "temperature = 0", "temperature: .*greater than 0"),
        (reader_network("A"), "temperature = nan", "temperature: .*"),
    ],
)
def test_reader_that_contradicts_its_description_is_refused(tmp_path, network, of_reader, reason):
    with pytest.raises(BundleError, match=reason):
        reads(tmp_path, network, of_reader)


@pytest.fixture(scope="module")
def shipped():
    return Networks(ModelsConfig()).reader()


@pytest.fixture(scope="module")
def plate() -> Image:
    frame = next(frame for frame in read_video(DEMO_VIDEO) if frame.sequence == PLATE_FRAME)
    return frame.image.crop(PLATE)


def confidence(reader, crop: Image) -> float:
    height, width = crop.shape[:2]
    (read,) = reader.read(ArrayLazyImage(np.ascontiguousarray(crop)), [(0, 0, width, height)])
    return single_reading(read).confidence


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (90, 1), (100, 25)])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_uniform_crop_is_below_the_publishing_confidence(shipped, size, level):
    image = plain(*size, level=level)
    assert confidence(shipped, image.image) < EventsConfig().min_confidence
    assert sharpness(image.image) == 0


def test_noise_is_below_the_publishing_confidence(shipped):
    noise = np.random.default_rng(0).integers(0, 256, (25, 100, 3)).astype(np.uint8)
    assert confidence(shipped, noise) < EventsConfig().min_confidence


def test_mirrored_or_rotated_plate_is_below_the_sure_confidence(shipped, plate):
    assert confidence(shipped, plate) > EventsConfig().sure_confidence
    assert confidence(shipped, plate[:, ::-1]) < EventsConfig().sure_confidence
    assert confidence(shipped, plate[::-1, ::-1]) < EventsConfig().sure_confidence
