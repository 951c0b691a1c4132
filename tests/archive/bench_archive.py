"""Measures `plateid archive`: speed for a core, memory of a worker, a query. `make archive-bench`.

The quiet video shows an empty street and 2 % of the time the demo's traffic. Speeds are seconds of
video for a second of processor time, so that other programs change them little; "wall" is what the
clock says. Runs with 1 and 2 workers, and on a Ray cluster (`--address`), take turns. `--hours`
reads the quiet video so long, again and again, in one chunk: its memory must be that of one round.
"""

import argparse
import itertools
import resource
import tempfile
import time
from functools import partial
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from plateid.archive.chunk_reader import ReadOptions
from plateid.archive.output import NAME, SCHEMA
from plateid.archive.run import Run, RunOptions
from plateid.archive.search import search
from plateid.archive.workers import ProcessPool

DEMO = Path("plateid/demo/demo.mp4")
FPS = 25
show = partial(print, flush=True)


def write_video(path: Path, seconds: int, share: float) -> None:
    """Writes 1080p25: the demo's traffic for a share of the time, then its first frame."""
    with av.open(str(DEMO)) as demo, av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264", rate=FPS, options={"preset": "ultrafast", "g": "50"}
        )
        stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
        still = None
        frames = demo.decode(video=0)
        for number in range(seconds * FPS):
            if still is None or number < share * seconds * FPS:
                frame = next(frames).reformat(1920, 1080, "yuv420p")
                still = frame.to_ndarray() if still is None else still
            else:
                frame = av.VideoFrame.from_ndarray(still, format="yuv420p")
            frame.pts = None
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_loop(path: Path, out: Path, hours: float) -> None:
    """Copies a video again and again until it has a length."""
    with av.open(str(path)) as source, av.open(str(out), "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        packets = [each for each in source.demux(video=0) if each.dts is not None]
        times = [(each.pts, each.dts) for each in packets]
        length = packets[-1].dts + packets[-1].duration
        rounds = round(hours * 3600 / float(length * packets[0].time_base))
        for number, (packet, (pts, dts)) in itertools.product(
            range(rounds), [*zip(packets, times, strict=True)]
        ):
            packet.pts, packet.dts = pts + number * length, dts + number * length
            packet.time_base, packet.stream = source.streams.video[0].time_base, stream
            container.mux(packet)


def measure(path: Path, out: Path, workers: int, address: str = "", **options: float) -> str:
    fast, chunk_s = bool(options["fast"]), options.get("chunk_s", 30)
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    chosen = RunOptions((path,), out, ReadOptions(fast=fast), chunk_s=chunk_s)
    start = partial(ProcessPool, count=workers)
    if address:
        from plateid.archive.ray_pool import RayPool

        start = partial(RayPool, address=address, count=workers)
    progress = Run(chosen, start, lambda _: None).run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    wall_s = time.monotonic() - started
    figures = f"{progress.total_s / cpu_s:5.1f}x a core, {after.ru_maxrss / 1024:.0f} MB a worker"
    return (
        f"{path.stem:6} {'fast' if fast else 'exact':6} {workers} workers: "
        f"{'Ray' if address else figures}, wall {progress.total_s / wall_s:5.1f}x, "
        f"{progress.passes} passes"
    )


def write_rows(out: Path, count: int) -> None:
    """Writes passes of 3 million British plates, in row groups of 5,000."""
    draw, group, made = np.random.default_rng(1), 5000, min(count, 3_000_000)
    parts = [np.frombuffer(text, np.uint8) for text in (b"ABCDEFGHJKLMNPRSTUVWXYZ", b"0123456789")]
    letters = np.empty((made, 7), np.uint8)
    for place, digits in enumerate((0, 0, 1, 1, 0, 0, 0)):
        letters[:, place] = draw.choice(parts[digits], made)
    plates = pa.array(letters.view("S7").ravel().astype("U7"))
    with pq.ParquetWriter(out / NAME, SCHEMA, compression="zstd") as parquet:
        rest = [pa.nulls(group, field.type) for field in SCHEMA]
        for _ in range(count // group):
            rest[SCHEMA.get_field_index("plate")] = plates.take(draw.integers(0, made, group))
            parquet.write_table(pa.table(rest, schema=SCHEMA))


def query(out: Path, pattern: str, *, similar: bool) -> str:
    cpu_s, started = time.process_time(), time.monotonic()
    count = sum(1 for _ in search(out, pattern, ["plate"], similar=similar))
    cpu_s, wall_s = time.process_time() - cpu_s, time.monotonic() - started
    kind = "similar" if similar else ""
    return f"{pattern:8} {kind:8} {count} rows: {cpu_s:.2f} s a core, wall {wall_s:.2f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--address", default="", help="Ray cluster, as plateid archive read")
    parser.add_argument("--hours", type=float, default=0.0)
    parser.add_argument("--rows", type=int, default=20_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, quiet = Path(name), Path(name, "quiet.mp4")
        write_video(quiet, options.seconds, 0.02)
        pools = ["", options.address] if options.address else [""]
        for number, (path, fast, workers, pool) in enumerate(
            itertools.product((quiet, DEMO), (False, True), options.workers, pools)
        ):
            show(measure(path, folder / f"{number}", workers, pool, fast=fast))
        if options.hours:
            write_loop(quiet, folder / "loop.mkv", options.hours)
            show(measure(folder / "loop.mkv", folder / "loop", 1, fast=True, chunk_s=1e6))
        write_rows(folder, options.rows)
        for pattern in ("B68*", "AB68SPK", "*SPK"):
            for similar in (False, True):
                show(query(folder, pattern, similar=similar))


if __name__ == "__main__":
    main()
