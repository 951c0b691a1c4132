"""The Python API."""

import subprocess
import sys
from dataclasses import FrozenInstanceError
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import pytest

import plateid
from plateid import ALPR, Plate, PlateidError
from plateid.capture.images import DamagedImageError
from plateid.errors import SourceError
from tests.support.bundles import detector_network, reader_network, write_bundle
from tests.support.videos import write_video

IMPORT_S = 0.1


@pytest.fixture
def alpr(bundle) -> ALPR:
    return ALPR(bundle)


@pytest.fixture
def image() -> np.ndarray:
    return np.full((320, 640, 3), 90, np.uint8)


@pytest.mark.alone
def test_import_loads_no_network_library():
    code = "import sys, time; start = time.perf_counter(); import plateid; "
    code += "print(time.perf_counter() - start, 'onnxruntime' in sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, loaded = done.stdout.split()
    assert (float(seconds) < IMPORT_S, loaded) == (True, "False")


def test_package_is_typed_and_gives_its_public_names():
    assert resources.files("plateid").joinpath("py.typed").is_file()
    assert all(getattr(plateid, name) for name in plateid.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Reader'"):
        _ = plateid.Reader


def test_path_bytes_and_array_give_the_same_plates(alpr, image, tmp_path):
    file = tmp_path / "car.png"
    cv2.imwrite(str(file), image)
    (plate,) = alpr.read(file)
    assert alpr.read(str(file)) == alpr.read(file.read_bytes()) == alpr.read(image) == [plate]
    assert isinstance(plate, Plate)
    assert (plate.text, plate.box) == ("AB12", (220.0, 120.0, 420.0, 200.0))
    assert len(plate.char_confidences) == len(plate.text)
    assert plate.candidates[0].confidence == plate.confidence
    assert round(plate.detection_confidence, 4) == plate.to_dict()["detection_confidence"] == 0.9
    with pytest.raises(FrozenInstanceError):
        plate.text = ""


def test_damaged_image_is_an_error_that_holds_the_readable_part(alpr, image):
    data = bytearray(cv2.imencode(".jpg", image)[1].tobytes())
    data[-200:-160] = bytes(40)
    with pytest.raises(DamagedImageError, match="image: is damaged: ") as raised:
        alpr.read(bytes(data))
    readable = raised.value.readable
    (plate,) = alpr.read_detections(readable, alpr.detect(readable))
    assert plate.text == "AB12"


def test_draw_returns_a_copy_with_the_plates(alpr, image):
    drawn = alpr.draw(image, alpr.read(image))
    assert drawn.shape == image.shape
    assert (image == 90).all()
    assert (drawn != 90).any()
    assert (alpr.draw(image, []) == image).all()


def test_regions_and_strict_limit_the_texts(bundle, image):
    assert ALPR(bundle, regions=["ro"]).read(image)[0].text == "AB12"
    assert ALPR(bundle, regions="ro", strict=True).read(image)[0].text == ""


def test_min_score_hides_detections_below(bundle, image):
    assert ALPR(bundle, min_score=0.95).read(image) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bundle": "nowhere"}, "nowhere: is neither a shipped bundle (default, accurate, small)"),
        ({"regions": ["xx"]}, "regions: unknown region xx"),
        ({"strict": True}, "regions: strict needs at least one region"),
        ({"provider": "gpu"}, "ALPR: provider: must be auto, cpu, openvino, cuda or tensorrt"),
        ({"provider": "cuda"}, "CUDAExecutionProvider"),
        ({"formats": Path("nowhere.toml")}, "nowhere.toml: No such file"),
    ],
)
def test_wrong_argument_is_named(bundle, options, message):
    with pytest.raises(PlateidError) as raised:
        ALPR(**{"bundle": bundle, **options})
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.zeros((9, 9), np.uint8), "(H, W, 3), not uint8 of shape (9, 9)"),
        (np.zeros((9, 9, 4), np.uint8), "not uint8 of shape (9, 9, 4)"),
        (np.zeros((9, 9, 3), np.float32), "not float32 of shape (9, 9, 3)"),
        (np.zeros((0, 9, 3), np.uint8), "not uint8 of shape (0, 9, 3)"),
        (None, "must be a path, bytes or a BGR uint8 array, not NoneType"),
        (b"text", "image: is not a JPEG, PNG, WebP, BMP or TIFF image"),
        ("nowhere.jpg", "nowhere.jpg: does not exist"),
    ],
)
def test_wrong_image_is_a_source_error(alpr, wrong, message):
    for call in (alpr.read, lambda image: alpr.draw(image, [])):
        with pytest.raises(SourceError) as raised:
            call(wrong)
        assert message in str(raised.value)


def test_video_gives_one_event_at_start_and_end_of_a_pass(alpr, tmp_path):
    video = write_video(tmp_path / "video.mp4", count=40)
    events = list(alpr.watch(video))
    assert [(each.event_type, each.plate) for each in events] == [
        ("plate_seen", "AB12"),
        ("plate_left", "AB12"),
    ]
    assert {each.pass_id for each in events} == {events[0].pass_id}


def test_truncated_video_gives_its_events_before_the_error(alpr, tmp_path):
    video = write_video(tmp_path / "video.mp4", count=90)
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    watching = alpr.watch(video)
    assert [next(watching).event_type for _ in range(2)] == ["plate_seen", "plate_left"]
    with pytest.raises(SourceError, match="is truncated"):
        next(watching)


def test_missing_video_is_a_source_error(alpr):
    with pytest.raises(SourceError, match=r"nowhere.mp4: does not exist"):
        next(alpr.watch("nowhere.mp4"))


def test_closed_iterator_releases_the_video(alpr, tmp_path):
    video = write_video(tmp_path / "video.mp4", count=150)
    watching = alpr.watch(video)
    next(watching)
    assert str(video) in open_files()
    watching.close()
    assert str(video) not in open_files()


def open_files() -> list[str]:
    return [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]


def test_stream_gives_events_and_stops_its_thread_when_closed(tmp_path, rtsp):
    """The fixture `no_leaked_threads` fails this test if the thread goes on."""
    bundle = write_bundle(
        tmp_path / "rtsp", detector_network([(32, 16, 20, 8, 0.9)]), reader_network("-AA-B-11-2")
    )
    watching = ALPR(bundle).watch(rtsp.url)
    event = next(watching)
    watching.close()
    assert (event.event_type, event.plate) == ("plate_seen", "AB12")
    assert "s3cret" not in event.camera


def test_stream_that_stops_ends_its_passes_and_raises(alpr, rtsp):
    watching = alpr.watch(rtsp.url)
    assert next(watching).event_type == "plate_seen"
    rtsp.kill()
    assert next(watching).event_type == "plate_left"
    with pytest.raises(SourceError, match=str(rtsp.port)):
        next(watching)
    rtsp.start()
