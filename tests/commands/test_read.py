"""`plateid read` as a person or a script calls it."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from jsonschema import Draft202012Validator

from tests.support.bundles import detector_network, reader_network, write_bundle
from tests.support.videos import write_video

SCHEMA = Path("plateid/core/schema/plate-event.v1.json")
VALIDATOR = Draft202012Validator(json.loads(SCHEMA.read_text()))
PLATEID = [sys.executable, "-m", "plateid"]


def read(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [*PLATEID, "read", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "car.png"
    cv2.imwrite(str(path), np.full((320, 640, 3), 90, np.uint8))
    return path


def test_a_picture_gives_one_json_object_of_the_documented_form(image, bundle):
    done = read("--json", "--bundle", bundle, image)
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = done.stdout.splitlines()
    found = json.loads(line)
    assert list(found) == ["source", "width", "height", "plates", "timing_ms"]
    assert (found["source"], found["width"], found["height"]) == (str(image), 640, 320)
    (plate,) = found["plates"]
    assert plate["plate"] == "AB12"
    assert len(plate["char_confidences"]) == 4
    assert plate["candidates"][0] == {"plate": "AB12", "confidence": plate["confidence"]}
    assert plate["box"] == [220.0, 120.0, 420.0, 200.0]
    assert plate["detection_confidence"] == 0.9
    assert set(plate) >= {"region"}
    assert set(found["timing_ms"]) == {"decode", "detect", "read"}


def test_a_picture_without_a_plate_still_gives_its_line(image, bundle):
    done = read("--json", "--bundle", bundle, "--min-score", "0.99", image)
    assert json.loads(done.stdout)["plates"] == []


def plates(*arguments: object) -> list[str]:
    done = read("--json", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return [plate["plate"] for plate in json.loads(done.stdout)["plates"]]


def test_strict_syntax_leaves_only_what_the_regions_issue(image, bundle):
    assert plates("--bundle", bundle, "--regions", "ro", image) == ["AB12"]
    assert plates("--bundle", bundle, "--regions", "ro", "--strict", image) == [""]


def test_a_file_of_formats_adds_countries_and_replaces_those_that_it_names(image, bundle, tmp_path):
    own = tmp_path / "own.toml"
    own.write_text('[ro]\npatterns = ["LL DD"]\n')
    options = ["--bundle", bundle, "--strict", "--formats", own]
    assert plates(*options, "--regions", "ro", image) == ["AB12"]
    assert plates(*options, "--regions", "br", image) == [""]


def test_an_error_in_a_file_of_formats_ends_with_its_line_and_the_reason(image, tmp_path):
    (tmp_path / "own.toml").write_text('[ro]\npatterns = ["LL-DD"]\n')
    done = read("--formats", tmp_path / "own.toml", image)
    reason = "line 2: ro: pattern \"LL-DD\": unknown pattern character '-'"
    assert (done.returncode, done.stderr) == (2, f"{tmp_path}/own.toml: {reason}\n")


def test_crops_are_read_whole_and_without_detection(image, bundle):
    (plate,) = json.loads(read("--json", "--crops", "--bundle", bundle, image).stdout)["plates"]
    assert plate["box"] == [0.0, 0.0, 640.0, 320.0]
    assert plate["detection_confidence"] == 1.0


def test_people_get_a_line_a_picture(image, bundle):
    assert read("--bundle", bundle, image).stdout == f"{image}: AB12 97%\n"


def test_a_bad_source_is_one_line_on_stderr_and_the_others_go_on(image, bundle, tmp_path):
    bad = {"empty.jpg": b"", "text.jpg": b"no picture", "cut.png": image.read_bytes()[:200]}
    for name, data in bad.items():
        (tmp_path / name).write_bytes(data)
    missing = tmp_path / "missing.jpg"
    done = read("--json", "--bundle", bundle, *(tmp_path / n for n in bad), missing, image)
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 1
    complaints = done.stderr.splitlines()
    assert len(complaints) == 4
    for name in (*bad, "missing.jpg"):
        assert sum(name in complaint for complaint in complaints) == 1


def test_a_folder_is_read_in_order_of_names(image, bundle):
    for name in ("b.png", "a.png"):
        (image.parent / name).write_bytes(image.read_bytes())
    lines = read("--json", "--bundle", bundle, image.parent).stdout.splitlines()
    names = [Path(json.loads(line)["source"]).name for line in lines]
    assert names == ["a.png", "b.png", "car.png"]


def test_a_clip_gives_two_valid_events(bundle, tmp_path):
    clip = write_video(tmp_path / "clip.mp4", count=40)
    done = read("--json", "--bundle", bundle, clip)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["event_type"] for event in events] == ["plate_seen", "plate_left"]
    for event in events:
        VALIDATOR.validate(event)
        assert event["camera"] == str(clip)


def test_out_gets_annotated_copies(image, bundle, tmp_path):
    clip = write_video(tmp_path / "clip.mp4", count=10)
    done = read("--bundle", bundle, "--out", tmp_path / "out", image, clip)
    assert done.returncode == 0, done.stderr
    drawn = cv2.imread(str(tmp_path / "out" / "car.png"))
    assert drawn.shape == (320, 640, 3)
    assert (drawn != 90).any()
    with av.open(str(tmp_path / "out" / "clip.mp4")) as copy:
        assert sum(1 for _ in copy.decode(video=0)) == 10


def test_out_never_writes_over_a_source_nor_over_another_copy(image, bundle, tmp_path):
    before = image.read_bytes()
    done = read("--bundle", bundle, "--out", image.parent, image)
    assert done.returncode == 1
    assert "--out would write the copy over it" in done.stderr
    assert image.read_bytes() == before
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "car.png").write_bytes(before)
    read("--bundle", bundle, "--out", tmp_path / "out", image, tmp_path / "other" / "car.png")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"car.png", "car-2.png"}


def test_a_copy_does_not_take_the_place_of_another_source(image, tmp_path, bundle):
    other = tmp_path / "other" / "car.png"
    other.parent.mkdir()
    untouched = b"not read yet"
    other.write_bytes(untouched)
    done = read("--bundle", bundle, "--out", other.parent, image, other)
    assert done.returncode == 1, "the second is no picture"
    assert other.read_bytes() == untouched
    assert {path.name for path in other.parent.iterdir()} == {"car.png", "car-2.png"}


def test_a_copy_that_is_being_written_takes_no_name_of_a_source(bundle, tmp_path):
    sources = [write_video(tmp_path / name, count=5) for name in ("gate.mkv", "gate.part.mp4")]
    before = [source.read_bytes() for source in sources]
    read("--bundle", bundle, "--out", tmp_path, tmp_path / "gate.mkv")
    assert [source.read_bytes() for source in sources] == before
    names = {path.name for path in tmp_path.glob("*.m*")}
    assert names == {"gate.mkv", "gate.part.mp4", "gate.mp4"}


def test_a_lower_score_finds_more_in_clips_too(tmp_path):
    unsure = write_bundle(
        tmp_path / "unsure", detector_network([(32, 16, 20, 8, 0.3)]), reader_network("-AA-B-11-2")
    )
    clip = write_video(tmp_path / "clip.mp4", count=40)
    assert "no vehicle" in read("--bundle", unsure, clip).stdout
    assert "AB 12" in read("--bundle", unsure, "--min-score", "0.2", clip).stdout


def test_vehicles_that_nobody_can_read_are_not_said_to_be_none(tmp_path):
    detector, reader = detector_network([(32, 16, 20, 8, 0.9)]), reader_network("-A-")
    bundle = write_bundle(tmp_path / "short", detector, reader)
    clip = write_video(tmp_path / "clip.mp4", count=40)
    said = read("--bundle", bundle, clip).stdout
    assert said == f"{clip}: no vehicle that can be read surely, of 1\n"


def test_a_full_disk_behind_the_output_is_one_line(image, bundle):
    with Path("/dev/full").open("w") as full:
        command = [*PLATEID, "read", "--json", "--bundle", str(bundle), str(image)]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == "the output cannot be written: No space left on device"


def test_a_clip_that_is_cut_off_gives_its_events_and_one_line(bundle, tmp_path):
    clip = write_video(tmp_path / "clip.mp4", count=90)
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    done = read("--json", "--bundle", bundle, clip)
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr.startswith(f"{clip}: is truncated")


def test_a_name_too_long_and_a_name_of_odd_bytes_are_only_names(image, bundle):
    odd = os.fsencode(image.parent) + b"/caf\xe9.png"
    Path(os.fsdecode(odd)).write_bytes(image.read_bytes())
    done = read("--json", "--bundle", bundle, "x" * 300, os.fsdecode(odd))
    assert done.returncode == 1
    assert "File name too long" in done.stderr
    assert json.loads(done.stdout)["width"] == 640


def test_pictures_of_other_kinds_texts_and_pipes_are_refused_not_read_as_nothing(bundle, tmp_path):
    (tmp_path / "notes.txt").write_text(Path("README.md").read_text())
    still = write_video(tmp_path / "still.mp4", count=1)
    os.mkfifo(tmp_path / "pipe.jpg")
    done = read("--bundle", bundle, tmp_path / "notes.txt", still, tmp_path / "pipe.jpg")
    assert done.returncode == 1
    assert done.stdout == ""
    reasons = [line.rsplit(": ", 1)[1] for line in done.stderr.splitlines()]
    assert reasons == [
        "is neither a file nor a folder",
        "is not a video",
        "holds a single picture; convert it to JPEG or PNG",
    ]


def test_a_clip_without_a_vehicle_says_so_to_people(bundle, tmp_path):
    clip = write_video(tmp_path / "clip.mp4", count=5)
    assert read("--bundle", bundle, "--min-score", "0.99", clip).stdout == f"{clip}: no vehicle\n"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--regions", "xx"], "--regions: unknown region xx"),
        (["--strict"], "--regions: strict needs at least one region"),
        (["--formats", "nowhere.toml"], "nowhere.toml: No such file"),
        (["--min-score", "2"], "--min-score"),
        (["--min-score", "nan"], "--min-score"),
        (["--colour"], "--colour"),
        (["--out", "/proc/nowhere"], "--out /proc/nowhere: No such file"),
    ],
)
def test_a_bad_option_is_named_with_exit_code_2(image, option, message):
    done = read(*option, image)
    assert done.returncode == 2
    assert message in done.stderr


def test_a_bad_bundle_is_one_line(image, bundle):
    (bundle / "reader.onnx").write_bytes(b"x")
    done = read("--bundle", bundle, image)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{bundle / 'reader.onnx'}: its SHA-256")
    assert len(done.stderr.splitlines()) == 1


def test_progress_is_shown_on_a_terminal_only(image, bundle):
    (image.parent / "other.png").write_bytes(image.read_bytes())
    leader, follower = pty.openpty()
    command = [*PLATEID, "read", "--bundle", str(bundle), str(image.parent)]
    with subprocess.Popen(command, stdout=follower, stderr=follower) as process:
        os.close(follower)
        shown = b""
        while chunk := _chunk(leader):
            shown += chunk
    os.close(leader)
    assert process.returncode == 0
    assert b"reading" in shown
    lines = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]|\r", b"\n", shown).splitlines()
    assert sum(line.endswith(b".png: AB12 97%") for line in lines) == 2
    assert all(line.startswith(b"/") for line in lines if b"AB12" in line)
    assert "reading" not in read("--bundle", bundle, image.parent).stderr


def _chunk(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:  # the other end of a pseudo-terminal is gone
        return b""
