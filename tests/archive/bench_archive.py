"""Measures `plateid archive`, and shows that cuts and kills change nothing. `make archive-bench`.

speed     1 and 2 workers of the pool and of Ray in turns; an empty street with 2 % of the time the
          demo's traffic (quiet), and the demo again and again (busy)
memory    `--fast` in one chunk: 10 minutes of the quiet street, then 10 hours
query     searches 20 million passes
equality  random cuts of random streets, compared with `plateid read`; passes that `--fast` loses
kills     kill -9 of the command or a worker, 20 times at random

Each part prints its command line, which repeats it, its seed and the commit. All take about 40
minutes on two idle cores; `--scale 0.1` takes a tenth of all lengths and numbers. "x" is seconds
of video for a second by the clock, from the first chunk on; "x a core" for a second of processor
time, with the start of the command. Needs `unshare` and `ip`: Ray runs in a network of its own.
"""

import argparse
import itertools
import json
import os
import random
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from plateid.alpr import ALPR
from plateid.archive.output import NAME, ROWS, SCHEMA, WRITING
from plateid.archive.search import search
from tests.archive.test_equality import KINDS, random_street, times
from tests.support.archives import assert_equal, chunked_run, read_archive, whole_run
from tests.support.sighted import FPS, write_sighted_bundle, write_street

DEMO, DEMO_S = Path("plateid/demo/demo.mp4"), 24
RATE, QUIET_S, TRAFFIC = 25, 600, 0.02
ADDRESS = "10.9.0.1:6379"
NETWORK = [
    *("unshare", "--map-root-user", "--net", "--pid", "--mount-proc", "--fork", "--kill-child"),
    *("bash", "-euc", 'ip link set lo up; ip address add 10.9.0.1/32 dev lo; "$@"', "bash"),
]
show = partial(print, flush=True)


class Settings(NamedTuple):
    folder: Path
    scale: float
    seed: int

    def size(self, full: float, least: float = 1) -> int:
        return round(max(full * self.scale, least))


def write_quiet(path: Path, seconds: int) -> None:
    """Writes 1080p25: the demo's traffic for 2 % of the time, then its first frame."""
    with av.open(str(DEMO)) as demo, av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264", rate=RATE, options={"preset": "ultrafast", "g": "50"}
        )
        stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
        still = None
        frames = demo.decode(video=0)
        for number in range(seconds * RATE):
            if still is None or number < TRAFFIC * seconds * RATE:
                frame = next(frames).reformat(1920, 1080, "yuv420p")
                still = frame.to_ndarray() if still is None else still
            else:
                frame = av.VideoFrame.from_ndarray(still, format="yuv420p")
            frame.pts = None
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_loop(path: Path, out: Path, seconds: float) -> Path:
    """Copies a video again and again until it has a length."""
    with av.open(str(path)) as source, av.open(str(out), "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        packets = [each for each in source.demux(video=0) if each.dts is not None]
        moments = [(each.pts, each.dts) for each in packets]
        length = packets[-1].dts + packets[-1].duration - packets[0].dts
        rounds = round(seconds / float(length * packets[0].time_base)) or 1
        for number, (packet, (pts, dts)) in itertools.product(
            range(rounds), [*zip(packets, moments, strict=True)]
        ):
            packet.pts, packet.dts = pts + number * length, dts + number * length
            packet.time_base, packet.stream = source.streams.video[0].time_base, stream
            container.mux(packet)
    return out


def quiet(settings: Settings, seconds: float) -> Path:
    """Returns a quiet video of that length; the parts of a run share what is encoded."""
    one = settings.folder / "quiet.mp4"
    if not one.exists():
        write_quiet(one, settings.size(QUIET_S, 100))
    return write_loop(one, settings.folder / f"quiet{seconds:.0f}.mkv", seconds)


def command(source: Path, out: Path, *options: object) -> list[str]:
    words = [sys.executable, "-m", "plateid", "archive", "read", source, "--out", out, "--json"]
    return [*map(str, (*words, *options))]


class Measured(NamedTuple):
    speed: float
    figures: str


def measure(source: Path, out: Path, *options: object) -> Measured:
    """Runs the command; its largest process includes the workers of a pool, not those of Ray."""
    process = subprocess.Popen(command(source, out, *options), stdout=subprocess.PIPE, text=True)
    *_, last, summary = map(json.loads, process.stdout)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    a_core = summary["total_s"] / (usage.ru_utime + usage.ru_stime)
    own = f"{a_core:6.1f}x a core, largest process {usage.ru_maxrss / 1024:.0f} MB"
    text = f"{last['speed']:6.1f}x, {summary['passes']} passes"
    return Measured(last["speed"], f"{text}" if "--address" in options else f"{text}, {own}")


@contextmanager
def ray_cluster(home: Path) -> Iterator[None]:
    """Runs a Ray node of two cores until the end, with a token, in the network of this process."""
    os.environ |= {"HOME": str(home), "RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0"}
    os.environ |= {"RAY_raylet_start_wait_time_s": "300"}
    ray = [sys.executable, "-m", "ray.scripts.scripts"]
    subprocess.run([*ray, "get-auth-token", "--generate"], stdout=subprocess.DEVNULL, check=True)
    words = ["start", "--head", "--num-cpus", "2", "--node-ip-address", ADDRESS[:-5]]
    words += ["--port", "6379", "--include-dashboard=false", "--temp-dir", str(home)]
    words += ["--object-store-memory", "80000000"]
    for _ in range(
        5
    ):  # its parts wait for each other for seconds only, too short where all is busy
        with (home / "ray.log").open("w") as log:
            if not subprocess.run([*ray, *words], stdout=log, stderr=log, check=False).returncode:
                break
        subprocess.run([*ray, "stop", "--force"], stdout=subprocess.DEVNULL, check=False)
    else:
        raise RuntimeError((home / "ray.log").read_text())
    yield  # the end of the namespace ends it


def speed(settings: Settings) -> None:
    busy = write_loop(DEMO, settings.folder / "busy.mkv", settings.size(360, DEMO_S))
    runs = [
        ("quiet", quiet(settings, settings.size(360, 100)), 60, ()),
        ("quiet", quiet(settings, settings.size(1440, 200)), 120, ("--fast",)),
        ("busy", busy, 30, ()),
        ("busy", busy, 30, ("--fast",)),
    ]
    pools = {"pool": (), "Ray": ("--address", ADDRESS)}
    with ray_cluster(settings.folder):
        for kind, source, chunk_s, fast in runs:
            one: dict[str, float] = {}
            for workers, (pool, address) in itertools.product((1, 2), pools.items()):
                out = settings.folder / f"{source.name}-{pool}{workers}{fast}"
                options = ("--workers", workers, "--chunk-s", chunk_s, *fast, *address)
                found = measure(source, out, *options)
                ratio = found.speed / one.setdefault(pool, found.speed)
                mode = "--fast" if fast else "exact"
                show(f"{kind:5} {mode:6} {pool:4} {workers}: {ratio:4.2f} times, {found.figures}")


def memory(settings: Settings) -> None:
    for seconds in (QUIET_S, 36_000):
        source = quiet(settings, settings.size(seconds, 100))
        options = ("--workers", 1, "--fast", "--chunk-s", 86_400)
        found = measure(source, settings.folder / f"memory{seconds}", *options)
        show(f"{settings.size(seconds, 100) / 3600:5.2f} hours: {found.figures}")
        source.unlink()


def write_rows(out: Path, count: int, seed: int) -> str:
    """Writes passes of 3 million British plates, in full row groups; returns a plate."""
    draw, group, made = np.random.default_rng(seed), ROWS, min(count, 3_000_000)
    parts = [np.frombuffer(text, np.uint8) for text in (b"ABCDEFGHJKLMNPRSTUVWXYZ", b"0123456789")]
    letters = np.empty((made, 7), np.uint8)
    for place, digits in enumerate((0, 0, 1, 1, 0, 0, 0)):
        letters[:, place] = draw.choice(parts[digits], made)
    plates = pa.array(letters.view("S7").ravel().astype("U7"))
    with pq.ParquetWriter(out / NAME, SCHEMA, **WRITING) as parquet:
        rest = [pa.nulls(group, field.type) for field in SCHEMA]
        for _ in range(count // group):
            rest[SCHEMA.get_field_index("plate")] = plates.take(draw.integers(0, made, group))
            parquet.write_table(pa.table(rest, schema=SCHEMA))
    return str(rest[SCHEMA.get_field_index("plate")][0])


def query(settings: Settings) -> None:
    count = settings.size(20_000_000, 5000)
    plate = write_rows(settings.folder, count, settings.seed)
    show(f"{count} rows")
    patterns = f"{plate[:4]}*", plate, f"*{plate[4:]}"
    for pattern, similar in itertools.product(patterns, (False, True)):
        cpu_s, started = time.process_time(), time.monotonic()
        found = sum(1 for _ in search(settings.folder, pattern, ["plate"], similar=similar))
        cpu_s, wall_s = time.process_time() - cpu_s, time.monotonic() - started
        kind = "--similar" if similar else ""
        show(f"{pattern:8} {kind:9} {wall_s:5.2f} s, {cpu_s:5.2f} s of all cores: {found} rows")


def equality(settings: Settings) -> None:
    sighted = write_sighted_bundle(settings.folder / "sighted")
    total = lost = 0
    for seed in range(settings.seed, settings.seed + settings.size(40)):
        kind, suffix = [*zip(KINDS, ("mp4", "mkv", "ts", "mp4"), strict=True)][seed % len(KINDS)]
        draw = random.Random(seed)
        path = settings.folder / f"street{seed}.{suffix}"
        write_street(path, random_street(seed), times(draw, varying=not seed % 3), **KINDS[kind])
        wanted, cut_s = whole_run(ALPR(sighted), path), draw.uniform(5, 12)
        assert_equal(chunked_run(sighted, [path], cut_s), wanted)
        fast = Counter(plate for plate, *_ in chunked_run(sighted, [path], 12, fast=True))
        missed = (Counter(plate for plate, *_ in wanted) - fast).total()
        total, lost = total + len(wanted), lost + missed
        cuts = f"{len(wanted)} passes, cut each {cut_s:.2f} s: equal; --fast loses {missed}"
        show(f"seed {seed} {kind:8} {suffix}: {cuts}")
    show(f"{total} passes equal, --fast loses {lost}")


def kills(settings: Settings) -> None:
    sighted, source = write_sighted_bundle(settings.folder / "bundle"), settings.folder / "in"
    for number in range(settings.size(12)):
        path = source / f"camera{number}" / "a_20261124_091200.mp4"
        path.parent.mkdir(parents=True)
        write_street(path, random_street(number), [n / FPS for n in range(120 * FPS)])
    read_archive([source], settings.folder / "whole", sighted, chunk_s=10)
    draw, killed, out = random.Random(settings.seed), Counter[str](), settings.folder / "killed"
    words = command(source, out, "--bundle", sighted, "--chunk-s", 10, "--workers", 2)
    run = partial(subprocess.Popen, words, stdout=subprocess.DEVNULL)
    driver = run()
    while killed.total() < 20:
        time.sleep(draw.uniform(0, 6))
        kind, victims = ("worker", workers_of(driver)) if draw.random() < 0.5 else ("command", [])
        if driver.poll() is not None:
            driver = run()
        elif kind == "command" or victims:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(draw.choice(victims or [driver.pid]), signal.SIGKILL)
                killed[kind] += 1
    driver.kill()
    driver.wait()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    wanted = (settings.folder / "whole" / NAME).read_bytes()
    assert (out / NAME).read_bytes() == wanted
    show(f"killed {dict(killed)}: {len(wanted)} bytes equal those of a run without kills")


def workers_of(driver: subprocess.Popen) -> list[int]:
    """Returns the worker processes of a command that runs."""
    with suppress(OSError):
        pids = Path(f"/proc/{driver.pid}/task/{driver.pid}/children").read_text().split()
        lines = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids}
        return [pid for pid, line in lines.items() if b"spawn_main" in line]
    return []


PARTS = {each.__name__: each for each in (speed, memory, query, equality, kills)}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="run one part in this folder")
    options = parser.parse_args()
    if options.folder:
        PARTS[options.parts[0]](Settings(options.folder, options.scale, options.seed))
        return 0
    commit = ["git", "describe", "--always", "--dirty"]
    commit = subprocess.run(commit, capture_output=True, text=True, check=False).stdout.strip()
    failed = 0
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="bench") as folder:  # sockets: short names
        for part in options.parts or PARTS:
            words = ["-m", "tests.archive.bench_archive", part, "--scale", f"{options.scale:g}"]
            words += ["--seed", f"{options.seed}"]
            show(f"\n{part}: python {shlex.join(words)}; seed {options.seed}, commit {commit}")
            started = time.monotonic()
            run = [*NETWORK, sys.executable, *words, "--folder", folder]
            failed += subprocess.run(run, check=False).returncode != 0
            show(f"{part}: {'FAILED, ' if failed else ''}{time.monotonic() - started:.0f} s")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
