"""`plateid bench`: measures the speed and accuracy of this device."""

import json
import os
import platform
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from plateid.alpr import ALPR
from plateid.bench.capacity import FPS, Load, measure, write_traffic
from plateid.bench.compare import accuracy, compare, disagreements, plates_of
from plateid.bench.stages import STAGES, Bench, Profile, accuracy_of
from plateid.commands.options import BUNDLE, to_counts
from plateid.config.models import bundle_path
from plateid.core.drawing import contact_sheet, encode_jpeg
from plateid.core.option_types import FilePath
from plateid.core.wording import counted
from plateid.demo import DEMO_VIDEO
from plateid.errors import ConfigError, os_errors_as
from plateid.files import write_whole

SHEET_QUALITY, SHEET_PLATES = 90, 1000
"""JPEG quality of --sheet, and most plates on it: a JPEG has up to 65,500 rows of pixels."""


@click.command(epilog="Example: plateid bench --cameras 1,4 --seconds 60")
@click.option("--video", type=FilePath(), help="Video file instead of the demo video.")
@BUNDLE
@click.option(
    "--cameras",
    callback=to_counts,
    default="1,2,4,8,16",
    help='Numbers of cameras to try; "": measure only the cost of one frame.',
)
@click.option(
    "--seconds",
    type=click.IntRange(1, 86_400),
    default=24,
    help="Duration of the measurement of each number of cameras.",
)
@click.option(
    "--compare",
    "models",
    type=FilePath(),
    multiple=True,
    help="Drop-in reader: measure it and the bundle's reader on the same plates, and nothing else; "
    "repeatable.",
)
@click.option(
    "--plates",
    type=FilePath(),
    help="For --compare: folder of images, with or without labels.csv.  [default: demo video]",
)
@click.option(
    "--sheet",
    type=FilePath(),
    help=f"For --compare: JPEG of the plates that are read differently, the first {SHEET_PLATES}.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def bench(  # noqa: PLR0913 - the options of the command
    video: Path | None,
    *,
    bundle: str,
    cameras: Sequence[int],
    seconds: int,
    models: tuple[Path, ...],
    plates: Path | None,
    sheet: Path | None,
    as_json: bool,
) -> None:
    """Measure the speed and accuracy of this device.

    It measures each stage of a frame in one thread. Then it runs the service with more and more
    cameras of 1080p and 15 frames a second.
    """
    if models:
        click.echo(_comparison(bundle, models, plates, sheet, as_json=as_json))
        return
    show = (lambda _: None) if as_json else click.echo
    with tempfile.TemporaryDirectory(prefix="plateid-bench-") as name:
        folder = Path(name)
        traffic, loads = folder / "traffic.mp4", []
        _step("writing the test video")
        write_traffic(traffic, video or DEMO_VIDEO)
        _step("loading the networks")
        networks = Bench(bundle)
        _step("measuring the stages of a frame")
        profile = networks.profile(traffic)
        accuracy = None if video else accuracy_of(profile.events)
        show(_stages_text(profile, accuracy))
        for count in cameras:
            _step(f"measuring {count} of {max(cameras)} cameras")
            place = folder / f"traffic-{count}"
            path = Path(bundle_path(bundle))
            loads.append(measure(traffic, count, folder=place, bundle=path, seconds=seconds))
            show(_load_text(loads[-1]))
    if cameras:
        held = [load.cameras for load in loads if load.held]
        show(f"streams held in real time: {max(held, default=0)}")
    if as_json:
        report = {
            "machine": {"processor": platform.machine(), "cores": len(os.sched_getaffinity(0))},
            **profile.to_dict(),
            "cameras": [asdict(load) | load.percentiles for load in loads],
            "accuracy": accuracy,
        }
        click.echo(json.dumps(report, indent=1))


def _comparison(
    bundle: str, models: Sequence[Path], folder: Path | None, sheet: Path | None, *, as_json: bool
) -> str:
    alprs = [ALPR(bundle), *(ALPR(bundle, reader=model) for model in models)]
    compared = compare(alprs, plates_of(folder, alprs[0]))
    names = [alpr.networks.names.reader for alpr in alprs]
    names = [
        name if names.count(name) == 1 else f"{name} ({source})"
        for name, source in zip(names, (bundle, *models), strict=True)
    ]
    rows = {name: accuracy(compared, n) for n, name in enumerate(names)}
    different = disagreements(compared)
    if sheet and different:
        with os_errors_as(ConfigError, f"--sheet {sheet}"):
            write_whole(sheet, encode_jpeg(contact_sheet(different[:SHEET_PLATES]), SHEET_QUALITY))
    if as_json:
        return json.dumps({"plates": len(compared), "different": len(different), "readers": rows})
    lines = [f"{'reader':24} {'labels':>6} {'correct':>8} {'folded':>7} {'median':>9}"]
    for name, row in rows.items():
        exact, folded = (
            "-" if (share := row[key]) is None else f"{share:.3f}"
            for key in ("plate_accuracy", "plate_accuracy_folded")
        )
        lines.append(
            f"{name:24} {row['plates']:6} {exact:>8} {folded:>7} {row['median_ms']:6.2f} ms"
        )
    return "\n".join([*lines, f"{len(different)} of {counted(len(compared), 'plate')} differ"])


def _step(text: str) -> None:
    click.echo(f"{text} ...", err=True)


def _stages_text(profile: Profile, accuracy: dict[str, int] | None) -> str:
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
    return "\n".join(lines)


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
        f"capture to webhook {latency}, {load.memory_mb:.0f} MB"
    )
