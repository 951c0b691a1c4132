"""Measures `plateid archive read`: speed for a core, and memory of a worker. `make archive-bench`.

The quiet video shows an empty street and 2 % of the time the demo's traffic. Speeds are seconds of
video for a second of processor time, so that other programs change them little; "wall" is what the
clock says.
"""

import argparse
import resource
import tempfile
import time
from functools import partial
from pathlib import Path

import av

from plateid.archive.chunk_reader import ReadOptions
from plateid.archive.run import Run, RunOptions
from plateid.archive.workers import ProcessPool

DEMO = Path("plateid/demo/demo.mp4")
FPS = 25


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


def measure(path: Path, out: Path, workers: int, *, fast: bool) -> str:
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    options = RunOptions((path,), out, ReadOptions(fast=fast), chunk_s=30)
    progress = Run(options, partial(ProcessPool, count=workers), lambda _: None).run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    wall_s = time.monotonic() - started
    return (
        f"{path.stem:6} {'fast' if fast else 'exact':6} {workers} workers: "
        f"{progress.total_s / cpu_s:5.1f}x a core, wall {progress.total_s / wall_s:5.1f}x, "
        f"{after.ru_maxrss / 1024:.0f} MB a worker, {progress.passes} passes"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        quiet, busy = Path(folder, "quiet.mp4"), DEMO
        write_video(quiet, options.seconds, 0.02)
        for path in (quiet, busy):
            for fast in (False, True):
                for workers in options.workers:
                    out = Path(folder, f"{path.stem}-{fast}-{workers}")
                    print(measure(path, out, workers, fast=fast), flush=True)  # noqa: T201 - a command


if __name__ == "__main__":
    main()
