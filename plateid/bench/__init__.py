"""`plateid bench`: what this machine does with a frame, and how many cameras it holds."""

import functools
import json
import os
import platform
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

import click
import numpy as np

from plateid.bench.capacity import Load, measure
from plateid.bench.chart import ORANGE, Line, bars, plot, svg
from plateid.bench.scenes import FPS, write_still, write_traffic
from plateid.bench.stages import STAGES, Bench, Profile
from plateid.capture.video_file import read_video
from plateid.demo import CLIP

PLATES = (0, 1, 5, 20)


@dataclass(frozen=True)
class BenchOptions:
    """The options of `plateid bench`.

    Attributes:
        clip: What the cameras see; a camera's resolution and rate are made of it.
        bundle: Folder of the networks.
        cameras: Numbers of cameras to try; none: the service is not run.
        seconds: That each number of cameras is watched.
        json: File for all figures, if wanted.
        picture: SVG file for a picture of them, if wanted.
    """

    clip: Path | None
    bundle: Path
    cameras: tuple[int, ...]
    seconds: float
    json: TextIO | None
    image: TextIO | None


def run_bench(options: BenchOptions) -> None:
    """Measures, prints as it goes, and writes the files that are wanted.

    Raises:
        PlateidError: The clip or the bundle cannot be used, or the service does not run.
    """
    clip = options.clip or CLIP
    with tempfile.TemporaryDirectory(prefix="plateid-bench-") as name:
        folder = Path(name)
        traffic, still = folder / "traffic.mp4", folder / "still.mp4"
        write_traffic(traffic, clip)
        write_still(still, clip)
        still_ms = decode_ms(still)
        bench = Bench(options.bundle)
        profile = bench.profile(traffic)
        _print_profile(profile)
        accuracy = None if options.clip else accuracy_of(profile.left)
        if accuracy:
            right, every, wrong = (accuracy[key] for key in ("right", "vehicles", "wrong"))
            click.echo(f"accuracy: {right} of {every} vehicles told right, {wrong} wrong")
        crowds = {plates: bench.crowd(plates) for plates in PLATES}
        _print_crowds(crowds)
        del bench
        measured = functools.partial(measure, bundle=options.bundle, seconds=options.seconds)
        quiet = measured(still, 1, folder=folder / "still") if options.cameras else None
        if quiet:
            _print_still(quiet, still_ms)
        loads = []
        for cameras in options.cameras:
            loads.append(measured(traffic, cameras, folder=folder / f"traffic-{cameras}"))
            _print_load(loads[-1])
        _print_held(loads)
        figures = _figures(profile, crowds, quiet, loads) | {
            "still_decode_ms": still_ms,
            "accuracy": accuracy,
        }
    if options.json:
        options.json.write(json.dumps(figures, indent=1) + "\n")
    if options.image:
        options.image.write(image(profile, crowds, loads))


def decode_ms(clip: Path) -> float:
    """Processor milliseconds that decoding a frame of a clip takes."""
    started = time.process_time()
    frames = sum(1 for _ in read_video(clip))
    return 1000 * (time.process_time() - started) / frames


def _print_profile(profile: Profile) -> None:
    total_ms = float(profile.frame_ms.sum())
    click.echo(f"{'stage':10} {'median':>9} {'95 %':>9} {'share':>7}")
    for stage, about in STAGES.items():
        times = profile.times_ms[stage]
        median, high = np.percentile(times, [50, 95])
        share = float(times.sum()) / total_ms
        click.echo(f"{stage:10} {median:6.2f} ms {high:6.2f} ms {share:7.1%}  {about}")
    with_plates, without = _rates(profile)
    click.echo(
        f"{len(profile.read)} frames of 1080p, {profile.events} events; frames a second: "
        f"{with_plates:.1f} with plates, {without:.1f} without"
    )
    click.echo(
        f"processor time {profile.cpu_ms / len(profile.read):.2f} ms a frame, decoding and "
        f"networks alone {profile.bare_ms / len(profile.read):.2f} ms: {profile.ratio:.3f} times"
    )


def accuracy_of(told: Sequence[str]) -> dict[str, int]:
    """How many vehicles of the demo's clip were told right, and how many plates are none of it."""
    vehicles = json.loads(CLIP.with_suffix(".json").read_text())["vehicles"]
    right = (Counter(each["plate"] for each in vehicles) & Counter(told)).total()
    return {"vehicles": len(vehicles), "right": right, "wrong": len(told) - right}


def _rates(profile: Profile) -> tuple[float, float]:
    """Frames a second with plates and without; 0 where there is no such frame."""
    with_plates, without = (
        1000 / float(times.mean()) if len(times) else 0.0
        for times in (profile.frame_ms[profile.read], profile.frame_ms[~profile.read])
    )
    return with_plates, without


def _print_crowds(crowds: dict[int, tuple[float, float]]) -> None:
    for plates, (ms, found) in crowds.items():
        click.echo(f"{plates:2} plates in a frame: {ms:6.1f} ms without decoding, {found:g} found")


def _print_still(load: Load, decode: float) -> None:
    decoding = FPS * decode / 1000
    click.echo(
        f"a still street of 1080p, {FPS} frames a second: {load.cores:.1%} of a core, "
        f"{load.cores - decoding:.1%} beyond decoding"
    )


def _print_load(load: Load) -> None:
    median, high = load.latency(50), load.latency(95)
    late = "no event" if median is None else f"{median:.0f} ms, 95 % within {high:.0f} ms"
    click.echo(
        f"{load.cameras:2} cameras of 1080p, {FPS} frames a second: {load.cores:.2f} cores, "
        f"{load.dropped:.1%} dropped, {load.spared:.1%} spared "
        f"({load.least:.1f} to {load.most:.1f} a second looked at), "
        f"capture to MQTT {late}, {load.memory_mb:.0f} MB"
    )


def _print_held(loads: Sequence[Load]) -> None:
    held = [load.cameras for load in loads if load.held]
    if loads:
        click.echo(f"streams held in real time: {max(held, default=0)}")


def _figures(
    profile: Profile,
    crowds: dict[int, tuple[float, float]],
    still: Load | None,
    loads: Sequence[Load],
) -> dict[str, Any]:
    stages = {
        stage: {
            "median_ms": float(np.median(times)),
            "p95_ms": float(np.percentile(times, 95)),
            "share": float(times.sum() / profile.frame_ms.sum()),
        }
        for stage, times in profile.times_ms.items()
    }
    with_plates, without = _rates(profile)
    return {
        "machine": {"processor": platform.machine(), "cores": len(os.sched_getaffinity(0))},
        "stages": stages,
        "frames_a_second": {"with_plates": with_plates, "without": without},
        "cpu_ms": profile.cpu_ms / len(profile.read),
        "bare_ms": profile.bare_ms / len(profile.read),
        "ratio": profile.ratio,
        "plates_ms": {plates: ms for plates, (ms, _) in crowds.items()},
        "still": asdict(still) if still else None,
        "cameras": [
            asdict(load) | {"latency_p50_ms": load.latency(50), "latency_p95_ms": load.latency(95)}
            for load in loads
        ],
    }


def image(profile: Profile, crowds: dict[int, tuple[float, float]], loads: Sequence[Load]) -> str:
    """All of it as SVG."""
    parts = [
        bars(
            "A frame of 1080p, mean of each stage",
            {stage: float(times.mean()) for stage, times in profile.times_ms.items()},
            unit="ms",
        ),
        plot(
            "Plates in a frame",
            [Line("a frame without decoding", [(n, ms) for n, (ms, _) in crowds.items()])],
            x="plates",
            y="ms",
        ),
    ]
    if loads:
        looked_at = [
            (load.cameras, load.cameras * FPS * (1 - load.dropped - load.spared)) for load in loads
        ]
        sent = [(load.cameras, float(load.cameras * FPS)) for load in loads]
        parts += [
            plot(
                f"Cameras of 1080p, {FPS} frames a second",
                [Line("sent", sent, ORANGE), Line("looked at", looked_at)],
                x="cameras",
                y="frames a second",
            ),
            plot(
                "Their cost",
                [Line("cores", [(load.cameras, load.cores) for load in loads])],
                x="cameras",
                y="cores",
            ),
            plot(
                "Their memory",
                [Line("resident", [(load.cameras, load.memory_mb) for load in loads])],
                x="cameras",
                y="MB",
            ),
        ]
    return svg(parts)
