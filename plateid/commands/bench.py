"""`plateid bench`: measures the speed and accuracy of this device."""

import functools
import json
import os
import platform
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from plateid.bench.capacity import Load, measure
from plateid.bench.scenes import FPS, write_still, write_traffic
from plateid.bench.stages import STAGES, Bench, Profile, accuracy_of, decode_ms
from plateid.commands.options import BUNDLE, FilePath, not_nan, to_counts
from plateid.config.models import bundle_path
from plateid.demo import DEMO_VIDEO

PLATE_COUNTS = (0, 1, 5, 20)
"""Numbers of plates in a frame for which the time is measured."""


@click.command(epilog="Example: plateid bench --cameras 1,4 --seconds 60")
@click.option("--video", type=FilePath(), help="Video file instead of the demo video.")
@BUNDLE
@click.option(
    "--cameras",
    callback=to_counts,
    default="1,2,4,8,16",
    show_default=True,
    help='Numbers of cameras to try; "": measure only the cost of one frame.',
)
@click.option(
    "--seconds",
    type=click.FloatRange(1, 86_400),
    callback=not_nan,
    default=24.0,
    show_default=True,
    help="Duration of the measurement of each number of cameras.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def bench(
    video: Path | None, *, bundle: str, cameras: Sequence[int], seconds: float, as_json: bool
) -> None:
    """Measure the speed and accuracy of this device.

    It measures each stage of a frame in one thread. Then it runs the service with more and more
    cameras of 1080p and 15 frames a second.
    """
    show = _ignore if as_json else click.echo
    with tempfile.TemporaryDirectory(prefix="plateid-bench-") as name:
        folder = Path(name)
        traffic, still = folder / "traffic.mp4", folder / "still.mp4"
        _step("writing test videos")
        write_traffic(traffic, video or DEMO_VIDEO)
        write_still(still, video or DEMO_VIDEO)
        still_decode_ms = decode_ms(still)
        _step("loading the networks")
        networks = Bench(Path(bundle_path(bundle)))
        _step("measuring the stages of a frame")
        profile = networks.profile(traffic)
        accuracy = None if video else accuracy_of(profile.events)
        crowds = {plates: networks.crowd(plates) for plates in PLATE_COUNTS}
        show(_stages_text(profile, accuracy, crowds))
        measured = functools.partial(measure, bundle=Path(bundle_path(bundle)), seconds=seconds)
        still_load, loads = None, []
        if cameras:
            _step("measuring a still scene")
            still_load = measured(still, 1, folder=folder / "still")
            show(_still_text(still_load, still_decode_ms))
        for count in cameras:
            _step(f"measuring {count} of {max(cameras)} cameras")
            loads.append(measured(traffic, count, folder=folder / f"traffic-{count}"))
            show(_load_text(loads[-1]))
    if cameras:
        held = [load.cameras for load in loads if load.held]
        show(f"streams held in real time: {max(held, default=0)}")
    if as_json:
        report = {
            "machine": {"processor": platform.machine(), "cores": len(os.sched_getaffinity(0))},
            **profile.to_dict(),
            "plates_ms": {plates: frame_ms for plates, (frame_ms, _) in crowds.items()},
            "still": still_load and asdict(still_load),
            "cameras": [asdict(load) | load.percentiles for load in loads],
            "still_decode_ms": still_decode_ms,
            "accuracy": accuracy,
        }
        click.echo(json.dumps(report, indent=1))


def _step(text: str) -> None:
    click.echo(f"{text} ...", err=True)


def _ignore(_text: str) -> None:
    """Prints nothing, because JSON follows at the end."""


def _stages_text(
    profile: Profile, accuracy: dict[str, int] | None, crowds: dict[int, tuple[float, float]]
) -> str:
    report, frames = profile.to_dict(), len(profile.read)
    lines = [f"{'stage':10} {'median':>9} {'95 %':>9} {'share':>7}"]
    lines += [
        f"{name:10} {stage['median_ms']:6.2f} ms {stage['p95_ms']:6.2f} ms {stage['share']:7.1%}  "
        f"{STAGES[name]}"
        for name, stage in report["stages"].items()
    ]
    lines.append(
        f"{frames} frames of 1080p, {len(profile.events)} events; frames a second: "
        "{with_plates:.1f} with plates, {without:.1f} without".format(**report["frames_a_second"])
    )
    lines.append(
        "CPU time {cpu_ms:.2f} ms a frame, decoding and networks alone {bare_ms:.2f} ms: "
        "ratio {ratio:.3f}".format(**report)
    )
    if accuracy:
        right = "accuracy: {right} of {vehicles} vehicles right, {wrong} wrong"
        lines.append(right.format(**accuracy))
    lines += [
        f"{plates:2} plates in a frame: {frame_ms:6.1f} ms without decoding, {found:g} found"
        for plates, (frame_ms, found) in crowds.items()
    ]
    return "\n".join(lines)


def _still_text(load: Load, still_decode_ms: float) -> str:
    decoding = FPS * still_decode_ms / 1000
    return (
        f"still scene of 1080p, {FPS} frames a second: {load.cores:.1%} of a core, "
        f"{load.cores - decoding:.1%} beyond decoding"
    )


def _load_text(load: Load) -> str:
    latency = "no event"
    if load.latency_ms:
        latency = "{latency_p50_ms:.0f} ms, 95 % within {latency_p95_ms:.0f} ms".format(
            **load.percentiles
        )
    return (
        f"{load.cameras:2} x 1080p, {FPS} frames a second: {load.cores:.2f} cores, "
        f"{load.dropped:.1%} dropped, {load.skipped:.1%} skipped "
        f"({load.min_rate:.1f} to {load.max_rate:.1f} a second processed), "
        f"capture to MQTT {latency}, {load.memory_mb:.0f} MB"
    )
