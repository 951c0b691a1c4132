"""`python -m train`: a command for each step from labelled images to a bundle."""

import sys
from pathlib import Path
from typing import Any

import click

from plateid.config.models import DEFAULT_BUNDLE, bundle_path
from plateid.errors import PlateidError
from train.train_error import TrainError

# Each command imports what it needs: torch loads slowly.
# ruff: noqa: PLC0415

FOLDER = click.Path(path_type=Path)
COUNT = click.IntRange(min=1)
SIDE = click.IntRange(min=32)
SHARE = click.FloatRange(0, 1)


def to_bundle(text: str | Path) -> Path:
    """Returns the folder of a bundle, given by its name or its path."""
    return Path(bundle_path(text))


def example(arguments: str) -> str:
    """Returns the last paragraph of a command's help."""
    return f"\b\nExample:\n  python -m train {arguments}"


DATA = click.option(
    "--data", multiple=True, required=True, help="Folder of labelled images; repeatable."
)
SEED = click.option("--seed", default=0, show_default=True, help="Seed of all random numbers.")


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="train/README.md explains each step; train/recipes/ has the shipped bundles' commands.",
)
def main() -> None:
    """Trains plateid's networks on your images and exports them as a bundle."""


@main.command(
    epilog=example("detector --data my-images --base default --lr0 5e-4 --epochs 16"),
)
@DATA
@click.option(
    "--base",
    default="yolov8n.pt",
    show_default=True,
    help="Where to start: weights or yaml of an ultralytics YOLO detector, or a bundle.",
)
@click.option(
    "--out", default="runs/detector", show_default=True, help="Folder of the run; new or resumed."
)
@click.option(
    "--epochs", default=20, show_default=True, type=COUNT, help="Passes over the training images."
)
@click.option("--lr0", default=1e-3, show_default=True, help="Peak learning rate.")
@click.option(
    "--imgsz", default=640, show_default=True, type=SIDE, help="Longest side of an image, pixels."
)
@click.option("--batch", default=16, show_default=True, type=COUNT, help="Images per step.")
@click.option(
    "--plates", multiple=True, help="Folder of cropped plates to paste into images; repeatable."
)
@click.option(
    "--teacher",
    "teachers",
    multiple=True,
    help="Detector (weights or bundle) to distil from in place of the labels; repeatable.",
)
@click.option(
    "--score-width",
    type=COUNT,
    help="Train only new score branches, with this number of channels.",
)
@click.option("--limit", type=COUNT, help="Number of training images to use.  [default: all]")
@click.option(
    "--validate/--no-validate",
    default=True,
    show_default=True,
    help="Validate after each epoch, or after the last one only.",
)
@SEED
def detector(**options: Any) -> None:
    """Fine-tunes a plate detector (YOLO). The same command resumes an interrupted run.

    It checks the data first, holds a sixth of it out for validation, and writes OUT/run.json and
    OUT/fit/weights.
    """
    from train.detector.detector_run import DetectorRun
    from train.detector.finetune import train_detector

    run = DetectorRun(**options)
    click.echo(f"{run.out}/run.json: {train_detector(run)['metrics']}")


@main.command(epilog=example("curve --data my-images --seeds 3 --steps 100"))
@DATA
@click.option("--base", default="yolov8n.pt", show_default=True, help="Weights to fine-tune.")
@click.option(
    "--scratch",
    default="yolov8n.yaml",
    show_default=True,
    help="The same network, to train from random weights.",
)
@click.option("--out", default="runs/curve", show_default=True, help="Folder of the runs.")
@click.option("--seeds", default=3, show_default=True, type=COUNT, help="Runs of each point.")
@click.option("--steps", default=200, show_default=True, type=COUNT, help="Steps of each run.")
@click.option(
    "--imgsz", default=416, show_default=True, type=SIDE, help="Longest side of an image, pixels."
)
def curve(seeds: int, **options: Any) -> None:
    """Plots mAP50 against the number of training images.

    Each point is trained twice: from the base's weights, and from random weights. The same command
    resumes an interrupted curve.
    """
    from train.detector.curve import Curve, run_curve

    click.echo(run_curve(Curve(seeds=tuple(range(seeds)), **options)))


@main.command(epilog=example("reader --data my-images --base default --minutes 60"))
@DATA
@click.option("--store", type=FOLDER, help="File of `train synth`.  [default: render as needed]")
@click.option("--base", type=FOLDER, help="Checkpoint of another run, or a bundle, to start from.")
@click.option(
    "--out", default="runs/reader", show_default=True, help="Folder of the run; new or resumed."
)
@click.option("--minutes", default=60.0, show_default=True, help="Duration of the training.")
@click.option("--processes", default=1, show_default=True, type=COUNT, help="Parallel processes.")
@click.option("--batch", default=64, show_default=True, type=COUNT, help="Crops per step.")
@click.option("--lr", default=1e-3, show_default=True, help="Peak learning rate.")
@click.option("--real", default=0.2, show_default=True, type=SHARE, help="Share of real crops.")
@SEED
def reader(**options: Any) -> None:
    """Trains a plate reader (CTC). The same command resumes an interrupted run.

    Crops are your plates that have a text, and rendered ones. It writes OUT/run.json and
    OUT/last.pt.
    """
    from train.reader.reader_run import ReaderRun, train_reader

    run = ReaderRun(**options)
    click.echo(f"{run.out}/run.json: {train_reader(run)['metrics']}")


@main.command(epilog=example("synth --out runs/samples.sqlite3 --count 160000"))
@click.option("--sheet", type=FOLDER, help="Contact sheet to draw: some crops and their texts.")
@click.option("--beside", type=FOLDER, help="Folder of real plates to draw into the sheet as well.")
@click.option("--out", type=FOLDER, help="File of crops to fill, for `train reader --store`.")
@click.option(
    "--plates",
    type=FOLDER,
    help="Folder of crops and texts to write, for `train evaluate --crops`. Use a --seed that no "
    "reader was trained with.",
)
@click.option(
    "--like",
    multiple=True,
    type=FOLDER,
    help="For --plates: folder of real plates with texts; only crops that look like them are "
    "written. Repeatable.",
)
@click.option("--count", default=300_000, show_default=True, type=COUNT, help="Number of crops.")
@click.option("--workers", type=COUNT, help="Processes.  [default: one per core]")
@SEED
def synth(
    sheet: Path | None,
    beside: Path | None,
    out: Path | None,
    plates: Path | None,
    *,
    like: tuple[Path, ...],
    **options: Any,
) -> None:
    """Renders plates as a camera sees them. The same command resumes an interrupted --out."""
    from train.reader.contact_sheet import write_contact_sheet
    from train.reader.real_plates import appearance_of
    from train.synth.crop_database import fill_crop_database
    from train.synth.crop_folder import write_crop_folder

    if not (sheet or out or plates):
        raise click.UsageError("give --sheet, --out or --plates")
    if like and not plates:
        raise click.UsageError("--like is for --plates")
    if out and plates:
        raise click.UsageError("--out and --plates: give one of them, each needs its own --seed")
    if sheet:
        write_contact_sheet(sheet, beside=beside, seed=options["seed"])
    if out:
        fill_crop_database(out, **options)
    if plates:
        write_crop_folder(plates, like=appearance_of(like) if like else None, **options)


@main.command(
    epilog=example("export --detector runs/detector/fit/weights/best.pt --out my-bundle"),
)
@click.option("--detector", type=FOLDER, help="Weights that `train detector` wrote.")
@click.option("--reader", type=FOLDER, help="Checkpoint that `train reader` wrote.")
@click.option(
    "--average-with",
    type=to_bundle,
    metavar="NAME|PATH",
    multiple=True,
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
@click.option(
    "--data", multiple=True, help="Folder of labelled images that calibrate int8; repeatable."
)
@click.option(
    "--out", type=FOLDER, default=Path("runs/bundle"), show_default=True, help="Folder to fill."
)
def export(**options: Any) -> None:
    """Exports networks as ONNX into a bundle.

    Each network must give the outputs of torch in ONNX Runtime. int8 is refused if it costs
    accuracy on the held-out part of --data.

    A network that you do not give stays that of the bundle. A new bundle starts as a copy of the
    shipped default; edit data, licences and limits in its bundle.toml.
    """
    from train.export.bundle_export import Export, export_bundle

    export_bundle(Export(**options))


@main.command(epilog=example("latency default my-bundle"))
@click.argument("bundles", nargs=-1, type=to_bundle)
def latency(bundles: tuple[Path, ...]) -> None:
    """Measures the inference time of bundles on one core.

    The ratio compares it with YOLOv8n at 640 x 640, timed by turns on the same machine.
    """
    from train.export.latency import measure

    for row in measure(list(bundles) or [DEFAULT_BUNDLE]):
        click.echo(f"{row.name:40} {row.size:>8} {row.median_ms:6.1f} ms  ratio {row.ratio:.2f}")


@main.command(epilog=example("evaluate --held-out my-images --bundle my-bundle"))
@click.argument("folders", nargs=-1, type=FOLDER)
@click.option(
    "--crops",
    multiple=True,
    type=FOLDER,
    help="Folder of cropped plates with a labels.csv of image and text; repeatable.",
)
@click.option(
    "--bundle",
    type=to_bundle,
    default=DEFAULT_BUNDLE,
    metavar="NAME|DIRECTORY",
    help="Bundle to evaluate: the name of a shipped one, or a directory.  [default: default]",
)
@click.option(
    "--held-out", is_flag=True, help="Use only the held-out part of folders of the training."
)
@click.option("--open", "is_open", is_flag=True, help="Images may show plates without a label.")
@click.option(
    "--negatives",
    multiple=True,
    type=FOLDER,
    help="Image, video file or folder of them without plates; repeatable.",
)
@click.option(
    "--choose-threshold", is_flag=True, help="Choose the detector's threshold; needs --held-out."
)
@click.option(
    "--calibrate", is_flag=True, help="Fit the temperature of the confidences; needs --held-out."
)
@click.option(
    "--write", is_flag=True, help="Write metrics, threshold and temperature into the bundle."
)
@click.option(
    "--out",
    type=FOLDER,
    default=Path("runs/evaluation"),
    show_default=True,
    help="Folder of report.html and report.json.",
)
def evaluate(**options: Any) -> None:
    """Measures the accuracy of a bundle on labelled images.

    Plates are found and read with the code of the device.
    """
    from train.evaluation.bundle_metrics import update_bundle
    from train.evaluation.evaluate import evaluate as evaluate_bundle
    from train.evaluation.evaluation_report import write_report
    from train.evaluation.evaluation_run import EvaluationRun, training_data
    from train.evaluation.evaluation_tables import tables

    run = EvaluationRun(**options)
    if not (run.folders or run.crops):
        raise click.UsageError("give folders of labelled images, or --crops")
    for line in training_data(run):
        if run.write and not run.held_out:
            raise TrainError(f"--write: {line}")
        click.echo(line, err=True)
    evaluation = evaluate_bundle(run)
    for table in tables(evaluation):
        click.echo(f"{table}\n")
    click.echo(write_report(evaluation))
    if run.write:
        update_bundle(evaluation)


@main.command(epilog=example("street train/street/streets/demo.toml --out street.mp4"))
@click.argument("street_file", type=FOLDER, metavar="STREET")
@click.option("--out", type=FOLDER, required=True, help="Video file to write, MP4.")
@click.option("--size", type=(SIDE, SIDE), default=(1280, 720), show_default=True, help="Pixels.")
@click.option("--fps", type=COUNT, default=30, show_default=True, help="Frames per second.")
def street(street_file: Path, out: Path, size: tuple[int, int], fps: int) -> None:
    """Renders a test video of a street.

    STREET is a TOML file of vehicles, such as train/street/streets/demo.toml. The ground truth is
    written as JSON beside the video.
    """
    from train.street import read_street, write_video

    write_video(read_street(street_file), out, size=size, fps=fps)


if __name__ == "__main__":
    try:
        main()
    except (TrainError, PlateidError) as error:
        click.echo(error, err=True)
        sys.exit(1)
