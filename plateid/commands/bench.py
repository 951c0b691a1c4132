"""`plateid bench`: measures the speed and accuracy of this device."""

import functools
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np

from plateid.bench.capacity import Load, measure
from plateid.bench.report import Accuracy, Report, accuracy_of
from plateid.bench.scenes import FPS, write_still, write_traffic
from plateid.bench.stages import STAGES, Bench, Crowd, Profile, decode_ms
from plateid.commands.options import BUNDLE, to_counts
from plateid.config.models import bundle_path
from plateid.demo import DEMO_VIDEO

PLATE_COUNTS = (0, 1, 5, 20)
"""Numbers of plates in a frame for which the time is measured."""


@click.command(epilog="Example: plateid bench --cameras 1,4 --seconds 60")
@click.option(
    "--video", type=click.Path(path_type=Path), help="Video file instead of the demo video."
)
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
    type=click.FloatRange(1),
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
    report, show = Report(), _ignore if as_json else click.echo
    with tempfile.TemporaryDirectory(prefix="plateid-bench-") as name:
        folder = Path(name)
        traffic, still = folder / "traffic.mp4", folder / "still.mp4"
        _step("writing test videos")
        write_traffic(traffic, video or DEMO_VIDEO)
        write_still(still, video or DEMO_VIDEO)
        report.still_decode_ms = decode_ms(still)
        _measure_stages(report, traffic, Path(bundle_path(bundle)), demo=video is None)
        show(_stages_text(report))
        measured = functools.partial(measure, bundle=Path(bundle_path(bundle)), seconds=seconds)
        if cameras:
            _step("measuring a still scene")
            report.still = measured(still, 1, folder=folder / "still")
            show(_still_text(report.still, report.still_decode_ms))
        for count in cameras:
            _step(f"measuring {count} of {max(cameras)} cameras")
            report.loads.append(measured(traffic, count, folder=folder / f"traffic-{count}"))
            show(_load_text(report.loads[-1]))
    if cameras:
        held = [load.cameras for load in report.loads if load.held]
        show(f"streams held in real time: {max(held, default=0)}")
    if as_json:
        click.echo(json.dumps(report.to_dict(), indent=1))


def _measure_stages(report: Report, traffic: Path, bundle: Path, *, demo: bool) -> None:
    _step("loading the networks")
    bench = Bench(bundle)
    _step("measuring the stages of a frame")
    report.profile = bench.profile(traffic)
    report.accuracy = accuracy_of(report.profile.left) if demo else None
    report.crowds = [bench.crowd(plates) for plates in PLATE_COUNTS]


def _step(text: str) -> None:
    click.echo(f"{text} ...", err=True)


def _ignore(_text: str) -> None:
    """Prints nothing, because JSON follows at the end."""


def _stages_text(report: Report) -> str:
    parts = [_profile_text(report.profile)] if report.profile else []
    parts += [_accuracy_text(report.accuracy)] if report.accuracy else []
    return "\n".join([*parts, *map(_crowd_text, report.crowds)])


def _profile_text(profile: Profile) -> str:
    lines = [f"{'stage':10} {'median':>9} {'95 %':>9} {'share':>7}"]
    for stage, about in STAGES.items():
        median, high = np.percentile(profile.times_ms[stage], [50, 95])
        share = profile.share(stage)
        lines.append(f"{stage:10} {median:6.2f} ms {high:6.2f} ms {share:7.1%}  {about}")
    with_plates, without = profile.frame_rates()
    frames = profile.frames
    lines.append(
        f"{frames} frames of 1080p, {profile.events} events; frames a second: "
        f"{with_plates:.1f} with plates, {without:.1f} without"
    )
    lines.append(
        f"CPU time {profile.cpu_ms / frames:.2f} ms a frame, decoding and networks alone "
        f"{profile.bare_ms / frames:.2f} ms: ratio {profile.ratio:.3f}"
    )
    return "\n".join(lines)


def _accuracy_text(accuracy: Accuracy) -> str:
    return (
        f"accuracy: {accuracy.right} of {accuracy.vehicles} vehicles right, {accuracy.wrong} wrong"
    )


def _crowd_text(crowd: Crowd) -> str:
    return (
        f"{crowd.plates:2} plates in a frame: {crowd.frame_ms:6.1f} ms without decoding, "
        f"{crowd.found:g} found"
    )


def _still_text(load: Load, still_decode_ms: float) -> str:
    decoding = FPS * still_decode_ms / 1000
    return (
        f"still scene of 1080p, {FPS} frames a second: {load.cores:.1%} of a core, "
        f"{load.cores - decoding:.1%} beyond decoding"
    )


def _load_text(load: Load) -> str:
    median, high = load.latency(50), load.latency(95)
    latency = "no event" if median is None else f"{median:.0f} ms, 95 % within {high:.0f} ms"
    return (
        f"{load.cameras:2} x 1080p, {FPS} frames a second: {load.cores:.2f} cores, "
        f"{load.dropped:.1%} dropped, {load.skipped:.1%} skipped "
        f"({load.min_rate:.1f} to {load.max_rate:.1f} a second processed), "
        f"capture to MQTT {latency}, {load.memory_mb:.0f} MB"
    )
