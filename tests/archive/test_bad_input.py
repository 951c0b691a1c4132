"""Recordings that no planner likes: gaps, clocks that jump, tiny files; and disks that are full."""

import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pyarrow.parquet as pq
import pytest

from plateid.archive.plan import plan
from plateid.archive.probe import Recording, probe
from plateid.capture.images import find_videos
from tests.support.archives import chunked_run, read_archive
from tests.support.sighted import FPS, Vehicle, write_street

START = datetime(2026, 11, 24, 9, 12, tzinfo=UTC)
FIRST = Recording(
    *("in/gate/a.mp4", "stamp", "print", "gate", START, True, 0.0, 60.0),
    *((0.0, 10.0, 20.0, 30.0, 40.0, 50.0), "h264 256x128 10.0", 1.0),
)
LIMITED = """
mount -t tmpfs -o size=100k,mode=755 tmpfs "$1"
"${@:2}"; echo "exit $?"
mount -o remount,size=9m "$1"
"${@:2}"; echo "exit $?"
cp "$1/events.parquet" "$1.parquet"
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_street(tmp_path_factory.mktemp("tiny") / "one.mp4", [], [0.0])


@pytest.mark.parametrize(
    ("after_s", "changes", "count"),
    [
        (60, {}, 1),
        (61.9, {}, 1),
        (75, {}, 2),
        (30, {}, 2),
        (-3600, {}, 2),
        (60, {"states_start": False}, 2),
        (60, {"kind": "hevc 256x128 10.0"}, 2),
        (60, {"source": "in/yard/b.mp4", "camera": "yard"}, 2),
    ],
    ids=["adjoins", "late", "gap", "overlap", "clock set back", "file time", "codec", "camera"],
)
def test_only_adjoining_recordings_join(after_s, changes, count):
    start = START + timedelta(seconds=after_s)
    second = replace(FIRST, **{"source": "in/gate/b.mp4", "start": start} | changes)
    timelines = plan([FIRST, second], 20)
    assert len(timelines) == count
    assert sum(chunk.read_s for chunks in timelines for chunk in chunks) == 120


def test_gap_is_in_the_report(tmp_path, sighted):
    for minute in (12, 14):
        path = tmp_path / "gate" / f"gate_20261124_09{minute}00.mp4"
        path.parent.mkdir(exist_ok=True)
        write_street(path, [Vehicle(0, 1)], [n / FPS for n in range(60)])
    progress = read_archive([tmp_path], tmp_path / "out", sighted)
    assert (progress.passes, progress.failed) == (2, {})
    day = START.strftime("%Y-%m-%d")
    gap = tuple(
        datetime.fromisoformat(f"{day} 09:{at}").astimezone(UTC).strftime("%H:%M:%S")
        for at in ("12:06", "14:00")
    )
    assert f"{day} {gap[0]} to {day} {gap[1]}" in (tmp_path / "out" / "report.html").read_text()


def test_recording_whose_clock_jumps_gives_the_passes_of_one_run(tmp_path, sighted):
    moments = [n / FPS for n in range(8 * FPS)]
    parts = [write_street(tmp_path / f"{n}.ts", [Vehicle(0, 1)], moments) for n in range(2)]
    joined = tmp_path / "joined.ts"  # the timestamps of the second part begin anew
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert probe(str(joined), None).keys_s == (0.0,)
    found = chunked_run(sighted, [joined], 5)
    assert [plate for plate, *_ in found] == ["B68SPK", "B68SPK"]
    assert found[1][1] - found[0][1] == pytest.approx(8, abs=0.5)


def test_ten_thousand_files_are_planned_and_files_of_one_frame_are_read(tmp_path, tiny, sighted):
    for number in range(10_000):
        folder = tmp_path / f"{number // 200:02}"
        folder.mkdir(exist_ok=True)
        os.link(tiny, folder / f"{number:05}.mp4")
    sources = [source for source, _ in find_videos([tmp_path])]
    one = probe(str(tiny), START)
    assert len(plan([replace(one, source=source) for source in sources], 120)) == 10_000
    progress = read_archive([tmp_path / "00"], tmp_path / "out", sighted)
    assert (progress.files, progress.total_files, progress.failed) == (200, 200, {})


def test_run_on_a_full_disk_resumes_and_lists_what_it_may_not_read(tmp_path, sighted):
    moments = [n / FPS for n in range(20 * FPS)]
    for camera in "ab":
        path = tmp_path / "in" / camera / "a_20261124_091200.mp4"
        path.parent.mkdir(parents=True)
        write_street(path, [Vehicle(0, 1), Vehicle(1, 9, y=56)], moments)
    read_archive([tmp_path / "in"], tmp_path / "whole", sighted, chunk_s=10)
    secret = tmp_path / "in" / "secret.mp4"
    secret.touch(mode=0)
    (tmp_path / "out").mkdir()
    powerless = ["setpriv", "--inh-caps=-all", "--bounding-set=-all", sys.executable]  # even root
    read = ["-m", "plateid", "archive", "read", tmp_path / "in", "--out", tmp_path / "out"]
    options = ["--bundle", sighted, "--chunk-s", "10", "--workers", "1"]
    words = ["unshare", "--map-root-user", "--mount", "bash", "-c", LIMITED, "bash"]
    words += [tmp_path / "out", *powerless, *read, *options]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=100)
    assert done.stdout.count("exit 1") == 2, done.stdout + done.stderr
    assert "full" in done.stderr or "No space left" in done.stderr
    assert f"{secret}: Permission denied" in done.stderr
    assert pq.read_table(tmp_path / "out.parquet").equals(
        pq.read_table(tmp_path / "whole" / "events.parquet")
    )
