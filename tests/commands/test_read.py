"""`plateid read` as a process."""

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

from plateid.commands import progress_report
from tests.support.bundles import detector_network, reader_network, write_bundle
from tests.support.videos import write_video

SCHEMA = Path("plateid/core/schema/plate-event.v1.json")
VALIDATOR = Draft202012Validator(json.loads(SCHEMA.read_text()))
PLATEID = [sys.executable, "-m", "plateid"]


def read(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [*PLATEID, "read", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_image_gives_one_documented_json_object(image, bundle):
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


def test_image_without_plate_gives_a_line_as_well(image, bundle):
    done = read("--json", "--bundle", bundle, "--min-score", "0.99", image)
    assert json.loads(done.stdout)["plates"] == []


def plates(*arguments: object) -> list[str]:
    done = read("--json", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return [plate["plate"] for plate in json.loads(done.stdout)["plates"]]


def test_strict_regions_leave_only_plates_of_their_syntax(image, bundle):
    assert plates("--bundle", bundle, "--regions", "ro", image) == ["AB12"]
    assert plates("--bundle", bundle, "--regions", "ro", "--strict", image) == [""]


def test_formats_file_adds_and_replaces_countries(image, bundle, tmp_path):
    own = tmp_path / "own.toml"
    own.write_text('[ro]\npatterns = ["LL DD"]\n')
    options = ["--bundle", bundle, "--strict", "--formats", own]
    assert plates(*options, "--regions", "ro", image) == ["AB12"]
    assert plates(*options, "--regions", "br", image) == [""]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[ro]\npatterns = ["LL-DD"]', "2: ro: pattern \"LL-DD\": unknown pattern character '-'"),
        ('[ro]\npatterns = ["[9-1]"]', '2: ro: pattern "[9-1]": the range 9-1 is empty'),
        ("[ro]\npatterns = []", "1: ro: has no list of patterns"),
        (
            '[xx]\npatterns = ["LL"]',
            "1: xx: is not a country's code: ISO 3166-1, two lower-case letters",
        ),
    ],
)
def test_error_in_formats_file_names_line_and_reason(image, tmp_path, text, reason):
    (tmp_path / "own.toml").write_text(text)
    done = read("--formats", tmp_path / "own.toml", image)
    assert (done.returncode, done.stderr) == (2, f"{tmp_path}/own.toml: line {reason}\n")


def test_crops_are_read_without_detection(image, bundle):
    (plate,) = json.loads(read("--json", "--crops", "--bundle", bundle, image).stdout)["plates"]
    assert plate["box"] == [0.0, 0.0, 640.0, 320.0]
    assert plate["detection_confidence"] == 1.0


def test_text_output_is_one_line_an_image(image, bundle):
    assert read("--bundle", bundle, image).stdout == f"{image}: AB12 97%\n"


def test_plate_without_text_is_printed_as_unreadable(image, tmp_path):
    detector, reader = detector_network([(32, 16, 20, 8, 0.9)]), reader_network("----")
    bundle = write_bundle(tmp_path / "blank", detector, reader)
    assert read("--bundle", bundle, image).stdout == f"{image}: unreadable plate\n"


def test_bad_source_is_one_line_on_stderr_and_the_others_are_read(image, bundle, tmp_path):
    bad = {"empty.jpg": b"", "text.jpg": b"no picture", "cut.png": image.read_bytes()[:200]}
    for name, data in bad.items():
        (tmp_path / name).write_bytes(data)
    missing = tmp_path / "missing.jpg"
    done = read("--json", "--bundle", bundle, *(tmp_path / n for n in bad), missing, image)
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 1
    messages = done.stderr.splitlines()
    assert len(messages) == 4
    for name in (*bad, "missing.jpg"):
        assert sum(name in message for message in messages) == 1


def test_plate_in_the_readable_part_of_a_damaged_image_is_printed(bundle, tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (320, 640, 3), np.uint8)
    data = bytearray(cv2.imencode(".jpg", noise)[1].tobytes())
    data[-9000:-8960] = bytes(40)
    (tmp_path / "car.jpg").write_bytes(data)
    done = read("--bundle", bundle, "--out", tmp_path / "out", tmp_path / "car.jpg")
    assert (done.returncode, done.stdout) == (1, f"{tmp_path}/car.jpg: AB12 97%\n")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{tmp_path}/car.jpg: is damaged: ")
    assert (tmp_path / "out" / "car.jpg").exists()
    found = json.loads(read("--json", "--bundle", bundle, tmp_path / "car.jpg").stdout)
    assert found["damaged"] and len(found["plates"]) == 1
    unseen = read("--json", "--bundle", bundle, "--min-score", "1", tmp_path / "car.jpg")
    assert (unseen.returncode, unseen.stdout) == (1, ""), "no plate would be no answer"


def test_directory_is_read_in_order_of_names(image, bundle):
    for name in ("b.png", "a.png"):
        (image.parent / name).write_bytes(image.read_bytes())
    lines = read("--json", "--bundle", bundle, image.parent).stdout.splitlines()
    names = [Path(json.loads(line)["source"]).name for line in lines]
    assert names == ["a.png", "b.png", "car.png"]


def test_video_gives_two_valid_events(bundle, tmp_path):
    video = write_video(tmp_path / "video.mp4", count=40)
    done = read("--json", "--bundle", bundle, video)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["event_type"] for event in events] == ["plate_seen", "plate_left"]
    for event in events:
        VALIDATOR.validate(event)
        assert event["camera"] == str(video)


def test_out_gets_annotated_copies(image, bundle, tmp_path):
    video = write_video(tmp_path / "video.mp4", count=10)
    done = read("--bundle", bundle, "--out", tmp_path / "out", image, video)
    assert done.returncode == 0, done.stderr
    drawn = cv2.imread(str(tmp_path / "out" / "car.png"))
    assert drawn.shape == (320, 640, 3)
    assert (drawn != 90).any()
    with av.open(str(tmp_path / "out" / "video.mp4")) as copy:
        assert sum(1 for _ in copy.decode(video=0)) == 10


@pytest.mark.parametrize("suffix", [".mkv", ".avi", ".mov", ".ts", ".MP4"])
def test_out_gets_annotated_video_of_any_container(bundle, tmp_path, suffix):
    video = write_video(tmp_path / f"video{suffix}", count=10)
    assert read("--bundle", bundle, "--out", tmp_path / "out", video).returncode == 0
    (copy,) = (tmp_path / "out").iterdir()
    assert copy.suffix.lower() == ".mp4"
    with av.open(str(copy)) as opened:
        assert sum(1 for _ in opened.decode(video=0)) == 10


def test_out_replaces_neither_a_source_nor_another_copy(image, bundle, tmp_path):
    before = image.read_bytes()
    done = read("--bundle", bundle, "--out", image.parent, image)
    assert done.returncode == 1
    assert "--out would replace it with its annotated copy" in done.stderr
    assert image.read_bytes() == before
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "car.png").write_bytes(before)
    read("--bundle", bundle, "--out", tmp_path / "out", image, tmp_path / "other" / "car.png")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"car.png", "car-2.png"}


def test_copy_does_not_replace_a_later_source(image, tmp_path, bundle):
    other = tmp_path / "other" / "car.png"
    other.parent.mkdir()
    untouched = b"not read yet"
    other.write_bytes(untouched)
    done = read("--bundle", bundle, "--out", other.parent, image, other)
    assert done.returncode == 1, "the second is no picture"
    assert other.read_bytes() == untouched
    assert {path.name for path in other.parent.iterdir()} == {"car.png", "car-2.png"}


def test_unfinished_copy_has_no_name_of_a_source(bundle, tmp_path):
    sources = [write_video(tmp_path / name, count=5) for name in ("gate.mkv", "gate.part.mp4")]
    before = [source.read_bytes() for source in sources]
    read("--bundle", bundle, "--out", tmp_path, tmp_path / "gate.mkv")
    assert [source.read_bytes() for source in sources] == before
    names = {path.name for path in tmp_path.glob("*.m*")}
    assert names == {"gate.mkv", "gate.part.mp4", "gate.mp4"}


def test_lower_score_detects_more_in_videos(tmp_path):
    unsure = write_bundle(
        tmp_path / "unsure", detector_network([(32, 16, 20, 8, 0.3)]), reader_network("-AA-B-11-2")
    )
    video = write_video(tmp_path / "video.mp4", count=40)
    assert "no vehicle" in read("--bundle", unsure, video).stdout
    assert "AB 12" in read("--bundle", unsure, "--min-score", "0.2", video).stdout


def test_vehicle_with_unreadable_plate_is_counted(tmp_path):
    detector, reader = detector_network([(32, 16, 20, 8, 0.9)]), reader_network("-A-")
    bundle = write_bundle(tmp_path / "short", detector, reader)
    video = write_video(tmp_path / "video.mp4", count=40)
    said = read("--bundle", bundle, video).stdout
    assert said == f"{video}: 1 vehicle with an unreadable plate\n"


def test_full_disk_behind_stdout_is_one_line(image, bundle):
    with Path("/dev/full").open("w") as full:
        command = [*PLATEID, "read", "--json", "--bundle", str(bundle), str(image)]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == "the output cannot be written: No space left on device"


def test_truncated_video_gives_its_events_its_annotated_part_and_one_error(bundle, tmp_path):
    video = write_video(tmp_path / "video.mp4", count=90)
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    done = read("--json", "--bundle", bundle, "--out", tmp_path / "out", video)
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr.startswith(f"{video}: is truncated")
    with av.open(str(tmp_path / "out" / "video.mp4")) as copy:
        assert 20 < sum(1 for _ in copy.decode(video=0)) < 90


def test_long_names_and_names_of_any_bytes_are_accepted(image, bundle):
    odd = os.fsencode(image.parent) + b"/caf\xe9.png"
    Path(os.fsdecode(odd)).write_bytes(image.read_bytes())
    done = read("--json", "--bundle", bundle, "x" * 300, os.fsdecode(odd))
    assert done.returncode == 1
    assert "File name too long" in done.stderr
    assert json.loads(done.stdout)["width"] == 640


def test_texts_pipes_and_still_videos_are_refused(bundle, tmp_path):
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
        "holds a single image, not a video; convert HEIC and AVIF images to JPEG or PNG",
    ]


def test_video_without_vehicle_says_so(bundle, tmp_path):
    video = write_video(tmp_path / "video.mp4", count=5)
    assert read("--bundle", bundle, "--min-score", "0.99", video).stdout == f"{video}: no vehicle\n"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--regions", "xx"], "regions: unknown region xx"),
        (["--strict"], "regions: strict needs at least one region"),
        (["--formats", "nowhere.toml"], "nowhere.toml: No such file"),
        (["--min-score", "2"], "--min-score"),
        (["--min-score", "nan"], "--min-score"),
        (["--colour"], "--colour"),
        (["--out", "/proc/nowhere"], "--out /proc/nowhere: No such file"),
    ],
)
def test_bad_option_is_named_with_exit_code_2(image, option, message):
    done = read(*option, image)
    assert done.returncode == 2
    assert message in done.stderr


def test_bad_bundle_is_one_line(image, bundle):
    (bundle / "reader.onnx").write_bytes(b"x")
    done = read("--bundle", bundle, image)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{bundle / 'reader.onnx'}: its SHA-256")
    assert len(done.stderr.splitlines()) == 1


def test_piped_progress_is_a_plain_line_now_and_then(capsys, monkeypatch):
    monkeypatch.setattr(progress_report, "LINE_INTERVAL_S", 0.0)
    with progress_report.ProgressReport() as report:
        assert list(report.report("abc", "reading", 3)) == ["a", "b", "c"]
    assert capsys.readouterr().err.splitlines() == [f"reading: {n} of 3 done" for n in range(3)]


def test_progress_bar_is_shown_on_a_terminal_only(image, bundle):
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
