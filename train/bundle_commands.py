"""The commands that export and measure bundles, and render test videos."""

from pathlib import Path
from typing import Any

import click

from plateid.config.models import DEFAULT_BUNDLE, ModelsConfig
from plateid.core.option_types import FilePath
from train.cli_options import COUNT, FOLDER, SEED, SIDE, example, repeatable, to_bundle
from train.reader.plate_groups import GROUPS

# Each command imports what it needs: torch loads slowly.
# ruff: noqa: PLC0415

BUNDLE = click.option(
    "--bundle",
    type=to_bundle,
    default=DEFAULT_BUNDLE,
    show_default=False,
    metavar="NAME|DIRECTORY",
    help="Bundle to measure: the name of a shipped one, or a directory.  [default: default]",
)


@click.command(
    epilog=example("export --detector runs/detector/fit/weights/best.pt --out my-bundle")
)
@click.option("--detector", type=FOLDER, help="Weights that `train detector` wrote.")
@click.option("--reader", type=FOLDER, help="Checkpoint that `train reader` wrote.")
@repeatable(
    "--average-with",
    type=to_bundle,
    metavar="NAME|PATH",
    help="Weights or bundle to average the new networks with; repeatable.",
)
@click.option(
    "--name", help="Name of the bundle and its new networks.  [default: as before, or the folder's]"
)
@click.option(
    "--size", help="Input of the detector: WIDTHxHEIGHT, multiples of 32.  [default: as before]"
)
@click.option(
    "--precision",
    type=click.Choice(["float32", "float16", "int8"]),
    help="Precision of the new networks; int8 is for CPUs.  [default: float16]",
)
@repeatable(
    "--data",
    type=FilePath(str),
    help="Folder of labelled images that calibrate int8; repeatable.",
)
@click.option(
    "--for",
    "maker",
    type=click.Choice(["rknn", "hailo", "coral", "imx500"]),
    help="Write OUT-MAKER.onnx as well: the detector without its decode tail, for an NPU's tools.",
)
@click.option("--out", type=FOLDER, default=Path("runs/bundle"), help="Folder to fill.")
def export(**options: Any) -> None:
    """Exports networks as ONNX into a bundle.

    Each network must give the outputs of torch in ONNX Runtime. int8 is refused if it costs
    accuracy on the held-out part of --data.

    A network that you do not give stays that of the bundle. A new bundle starts as a copy of the
    shipped default; edit data, licences and limits in its bundle.toml.
    """
    from train.export.bundle_export import Export, export_bundle

    export_bundle(Export(**options))


@click.command(epilog=example("latency default my-bundle"))
@click.argument("bundles", nargs=-1, type=to_bundle)
def latency(bundles: tuple[Path, ...]) -> None:
    """Measures the inference time of bundles on one core.

    The ratio compares it with YOLOv8n at 640 x 640, timed by turns on the same machine.
    """
    from train.export.latency import measure

    for row in measure(list(bundles) or [DEFAULT_BUNDLE]):
        click.echo(f"{row.name:40} {row.size:>8} {row.median_ms:6.1f} ms  ratio {row.ratio:.2f}")


@click.command(epilog=example("evaluate --held-out my-images --bundle my-bundle"))
@click.argument("folders", nargs=-1, type=FOLDER)
@repeatable(
    "--crops",
    type=FOLDER,
    help="Folder of cropped plates with a labels.csv of image and text; repeatable.",
)
@BUNDLE
@click.option(
    "--held-out", is_flag=True, help="Use only the held-out part of folders of the training."
)
@click.option("--open", "is_open", is_flag=True, help="Images may show plates without a label.")
@repeatable(
    "--negatives",
    type=FOLDER,
    help="Image, video file or folder of them without plates; repeatable.",
)
@click.option(
    "--calibrate",
    is_flag=True,
    help="Fit the temperature of the confidences, with --held-out or without training data.",
)
@click.option(
    "--reader",
    type=FOLDER,
    help="Drop-in reader to measure; --calibrate writes its temperature into a file beside it.",
)
@click.option("--write", is_flag=True, help="Write metrics and temperature into the bundle.")
@click.option(
    "--out",
    type=FOLDER,
    default=Path("runs/evaluation"),
    help="Folder of report.html and report.json.",
)
@repeatable(
    "--leave-out",
    type=click.Choice([*GROUPS]),
    help="Train a reader on the folders without a group of plates first, and measure it on these; "
    "repeatable. The report's folder holds its checkpoint. --bundle has no effect.",
)
@click.option("--minutes", default=20.0, help="For --leave-out: duration of the training.")
@click.option("--store", type=FOLDER, help="For --leave-out: file of `train synth`.")
@click.option(
    "--base",
    type=to_bundle,
    help="For --leave-out: weights that do not know the group, to start from.  [default: random]",
)
def evaluate(
    leave_out: tuple[str, ...],
    minutes: float,
    store: Path | None,
    base: Path | None,
    **options: Any,
) -> None:
    """Measures the accuracy of a bundle on labelled images.

    Plates are found and read with the code of the device.
    """
    folders = (*options["folders"], *options["crops"])
    if not folders:
        raise click.UsageError("give folders of labelled images, or --crops")
    if leave_out:
        from train.evaluation.leave_out import leave_out as measure_left_out
        from train.reader.reader_run import ReaderRun

        data = tuple(map(str, folders))
        left_out = ReaderRun(data, str(options["out"]), store, base, minutes, without=leave_out)
        for part in measure_left_out(left_out):
            click.echo(
                f"{part.name:22} {part.plates:5} plates  accuracy {part.plate_accuracy:.3f}  "
                f"folded {part.plate_accuracy_folded:.3f}"
            )
        return
    from train.evaluation.bundle_metrics import update_bundle, write_calibration
    from train.evaluation.evaluate import EvaluationRun
    from train.evaluation.evaluate import evaluate as evaluate_bundle
    from train.evaluation.evaluation_report import write_report
    from train.evaluation.evaluation_tables import tables

    run = EvaluationRun(**options)
    evaluation = evaluate_bundle(run)
    for table in tables(evaluation):
        click.echo(f"{table}\n")
    click.echo(write_report(evaluation))
    if run.reader:
        write_calibration(run.reader, evaluation)
    elif run.write:
        update_bundle(evaluation)


@click.command(epilog=example("tracks --bundle my-bundle"))
@BUNDLE
@click.option("--count", default=2000, type=COUNT, help="Number of tracks.")
@SEED
def tracks(bundle: Path, count: int, seed: int) -> None:
    """Compares ways to read five frames of a plate at low resolution.

    Each rendered track has characters of 5 to 12 pixels. Use a --seed that no reader was trained
    with.
    """
    from train.evaluation.tracks import compare_fusion

    accuracy = compare_fusion(ModelsConfig(bundle=bundle), count=count, seed=seed)
    for method, value in accuracy.items():
        click.echo(f"{method:36} {value:.3f}")


@click.command(epilog=example("street train/street/streets/demo.toml --out street.mp4"))
@click.argument("street_file", type=FOLDER, metavar="STREET")
@click.option("--out", type=FOLDER, required=True, help="Video file to write, MP4.")
@click.option("--size", type=(SIDE, SIDE), default=(1280, 720), help="Pixels.")
@click.option("--fps", type=COUNT, default=30, help="Frames per second.")
def street(street_file: Path, out: Path, size: tuple[int, int], fps: int) -> None:
    """Renders a test video of a street.

    STREET is a TOML file of vehicles, such as train/street/streets/demo.toml. The ground truth is
    written as JSON beside the video.
    """
    from train.street import read_street, write_video

    write_video(read_street(street_file), out, size=size, fps=fps)
