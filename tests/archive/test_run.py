"""A whole run: joined files, resume, damage, what is refused, search and import."""

import fcntl
import multiprocessing
import os
import random
import shutil
import signal
import stat
import struct
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from plateid.archive.chunk_reader import Job, ReadOptions
from plateid.archive.plan import plan
from plateid.archive.search import search
from plateid.archive.workers import ProcessPool
from plateid.errors import ArchiveError, ConfigError
from tests.support.archives import SerialWorkers, read_archive
from tests.support.sighted import FPS, Vehicle, write_street

CHUNK_S = 10


def rows(out):
    return pq.read_table(out / "events.parquet").to_pylist()


@pytest.fixture(scope="module")
def archive(tmp_path_factory, sighted):
    """Three adjoining files of a camera, with vehicles over both borders; and the result."""
    folder = tmp_path_factory.mktemp("archive")
    camera = folder / "in" / "gate"
    camera.mkdir(parents=True)
    vehicles = [Vehicle(0, 2), Vehicle(1, 10.5, y=56), Vehicle(2, 22, y=104), Vehicle(0, 29)]
    for number in range(3):
        moments = [12 * number + n / FPS for n in range(12 * FPS)]
        path = camera / f"gate_20261124_0912{12 * number:02}.mp4"
        write_street(path, vehicles, moments)
    out = folder / "out"
    progress = read_archive([folder / "in"], out, sighted, chunk_s=CHUNK_S)
    assert (progress.failed, progress.total_s, progress.total_files) == ({}, 36, 3)
    return folder / "in", out


def test_vehicle_over_a_file_border_is_one_pass(archive):
    found = {row["plate"]: row for row in rows(archive[1]) if row["confidence"] > 0.9}
    over = found["KX73LPH"]
    assert over["source"].endswith("gate_20261124_091200.mp4")
    assert over["first_seen_s"] < 12 < over["last_seen_s"]
    assert over["first_seen"].minute == 12
    assert {row["camera"] for row in found.values()} == {"gate-gate"}
    assert "gate-gate" in (archive[1] / "report.html").read_text()


def test_search_finds_patterns_and_similar_plates(archive):
    def plates(pattern, *, similar=False):
        return {row["plate"] for row in search(archive[1], pattern, similar=similar)}

    assert plates("KX7*") == plates("?X73LPH") == {"KX73LPH"}
    assert plates("KX73LPX") == set()
    assert "KX73LPH" in plates("KX73LPX", similar=True)
    assert "B68SPK" in plates("8685PK", similar=True)
    assert "KX73LPH" in plates("KX73LP", similar=True)


def test_bloom_filters_exclude_only_plates_that_are_not_there(archive):
    query = "SELECT bloom_filter_excludes FROM parquet_bloom_probe(?, 'plate', ?)"
    with duckdb.connect() as db:
        excluded = [
            db.execute(query, [str(archive[1] / "events.parquet"), plate]).fetchall()
            for plate in ("KX73LPH", "KX73LPX")
        ]
    assert excluded == [[(False,)], [(True,)]]


def test_interrupted_run_resumes_with_the_same_bytes(archive, tmp_path, sighted):
    source, reference = archive
    for stop_after in (1, 4, 1):  # while it probes, while it reads
        workers = partial(SerialWorkers, stop_after=stop_after)
        with pytest.raises(KeyboardInterrupt):
            read_archive([source], tmp_path, sighted, chunk_s=CHUNK_S, workers=workers)
    read_archive([source], tmp_path, sighted, chunk_s=CHUNK_S)
    wanted = (reference / "events.parquet").read_bytes()
    assert (tmp_path / "events.parquet").read_bytes() == wanted


def test_run_that_is_killed_20_times_gives_the_same_bytes(archive, tmp_path, sighted):
    source, reference = archive
    context, draw = multiprocessing.get_context("forkserver"), random.Random(7)
    context.set_forkserver_preload(["tests.support.archives"])
    read = partial(read_archive, [source], tmp_path, sighted, chunk_s=CHUNK_S)
    for _ in range(20):
        driver = context.Process(target=read)
        driver.start()
        driver.join(draw.uniform(0.05, 0.5))
        driver.kill()
        driver.join()
    read()
    wanted = (reference / "events.parquet").read_bytes()
    assert (tmp_path / "events.parquet").read_bytes() == wanted


@pytest.mark.parametrize("from_end", [False, True])
def test_folder_that_grows_gives_what_one_run_gives(archive, tmp_path, sighted, from_end):
    source, reference = archive
    grown = tmp_path / "in" / "gate"
    grown.mkdir(parents=True)
    for file in sorted(source.rglob("*.mp4"), reverse=from_end):
        shutil.copy(file, grown)
        read_archive([grown.parent], tmp_path / "out", sighted, chunk_s=CHUNK_S)
    dropped = ("source", "event")
    found, wanted = (
        [{k: v for k, v in row.items() if k not in dropped} for row in rows(out)]
        for out in (tmp_path / "out", reference)
    )
    assert found == wanted


def test_killed_workers_are_replaced(archive, tmp_path, sighted):
    source, reference = archive
    draw = random.Random(5)

    class Pool(ProcessPool):
        def run(self, tasks, begin):
            def kill():
                time.sleep(draw.uniform(0, 2))
                for worker, _ in [*self._busy.values()]:
                    with suppress(ProcessLookupError):
                        os.kill(worker.process.pid, signal.SIGKILL)

            killer = threading.Thread(target=kill)
            killer.start()
            yield from super().run(tasks, begin)
            killer.join()

    workers = partial(Pool, count=1)
    progress = read_archive([source], tmp_path, sighted, chunk_s=CHUNK_S, workers=workers)
    assert not progress.failed
    wanted = (reference / "events.parquet").read_bytes()
    assert (tmp_path / "events.parquet").read_bytes() == wanted


def test_bad_files_are_listed_and_the_rest_is_read(archive, tmp_path, sighted):
    folder = tmp_path / "in"
    folder.mkdir()
    good = next(archive[0].rglob("*00.mp4")).read_bytes()
    (folder / "good\nname.mp4").write_bytes(good)
    camera = folder / os.fsdecode(b"gate\xfe")
    camera.mkdir()
    (camera / os.fsdecode(b"\xff.mp4")).write_bytes(good)
    (camera / os.fsdecode(b"\xfd.mp4")).write_bytes(good[: len(good) // 2])
    (folder / "cut.mp4").write_bytes(good[: len(good) // 2])
    (folder / "empty.mp4").touch()
    (folder / "text.mkv").write_text("no video")
    with (folder / "sparse.mp4").open("wb") as sparse:
        sparse.truncate(200 << 30)
    out = tmp_path / "out"
    progress = read_archive([folder, folder / "none.mp4"], out, sighted)
    names = {source.rpartition("/")[2] for source in progress.failed}
    damaged = {"\\xfd.mp4", "cut.mp4", "empty.mp4", "text.mkv", "sparse.mp4", "none.mp4"}
    assert names == damaged
    assert "gate\\xfe" in {row["camera"] for row in rows(out)}
    sources = {row["source"].rpartition("/")[2] for row in rows(out)}
    assert sources == {"good\nname.mp4", "\\xff.mp4"}
    assert "empty.mp4: is empty" in (out / "report.html").read_text()


def test_changed_start_counts(tmp_path, sighted):
    path = write_street(tmp_path / "a.mp4", [Vehicle(0, 1)], [n / FPS for n in range(60)])
    for minute in (1, 2):
        start = datetime(2026, 11, 24, 9, minute, tzinfo=UTC)
        read_archive([path], tmp_path, sighted, start=start, force=True)
        assert {row["first_seen"].replace(second=0, microsecond=0) for row in rows(tmp_path)} == {
            start
        }
    read_archive([path], tmp_path / "2", sighted)
    for moment in (1e9, 1.1e9):
        os.utime(path, (moment, moment))
        read_archive([path], tmp_path / "2", sighted)
        first_seen = {row["first_seen"].timestamp() // 60 for row in rows(tmp_path / "2")}
        assert first_seen == {moment // 60}


def test_other_options_or_a_second_run_are_refused(archive, sighted):
    source, out = archive
    with pytest.raises(ConfigError, match=r"chunk_s = 10, now it is 20"):
        read_archive([source], out, sighted, chunk_s=20)
    with pytest.raises(ConfigError, match=r"was read with bundle = .*, now it is \"default-"):
        read_archive([source], out, Path("default"), chunk_s=CHUNK_S)
    with (out / "ledger.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ArchiveError, match="another run works in this folder"):
            read_archive([source], out, sighted, chunk_s=CHUNK_S)


def test_fast_run_finds_the_same_plates(archive, tmp_path, sighted):
    source, reference = archive
    read_archive([source], tmp_path, sighted, chunk_s=CHUNK_S, fast=True)
    assert [row["plate"] for row in rows(tmp_path)] == [row["plate"] for row in rows(reference)]


def test_fast_run_decodes_long_groups_in_full(tmp_path, sighted):
    moments = [n / FPS for n in range(30 * FPS)]
    path = write_street(tmp_path / "s.ts", [], moments, g=str(10 * FPS))  # packets without duration
    job = Job(ReadOptions(bundle=str(sighted), fast=True), None)
    ((chunk,),) = plan([job.probe(str(path))], 60)
    assert job.read(chunk).frames == len(moments)


def test_fast_run_leaves_out_frames_of_a_fast_camera(tmp_path, sighted):
    moments = [n / 25 for n in range(8 * 25)]
    path = write_street(tmp_path / "s.mp4", [Vehicle(0, 1), Vehicle(0, 2, y=88)], moments)
    job = Job(ReadOptions(bundle=str(sighted), fast=True), None)
    ((chunk,),) = plan([job.probe(str(path))], 60)
    result = job.read(chunk)
    assert len(moments) / 5 < result.frames <= len(moments) / 2 + 1
    assert [each["plate"] for each in result.passes] == ["B68SPK", "B68SPK"]


class HalfJob:
    """Dies once while it sends its result."""

    def run(self, mark):
        if not mark.exists():
            mark.touch()
            for name in Path("/proc/self/fd").iterdir():
                with suppress(OSError):
                    if stat.S_ISSOCK(os.fstat(int(name.name)).st_mode):
                        os.write(int(name.name), struct.pack("!i", 1000) + b"half")
            os._exit(1)
        return "whole"


def test_worker_that_dies_while_it_sends_is_replaced(tmp_path):
    with ProcessPool(HalfJob(), 1) as pool:
        task = "run", tmp_path / "mark"
        assert [*pool.run([task], lambda _: None)] == [(task, "whole")]


class ParentJob:
    def run(self, number):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return pool.map(abs, [number])


def test_task_may_start_processes():
    with ProcessPool(ParentJob(), 1) as pool:
        task = "run", -1
        assert [*pool.run([task], lambda _: None)] == [(task, [1])]
