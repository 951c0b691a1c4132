"""`python -m train`: one command for each step from pictures to a bundle."""

import sys
from pathlib import Path
from typing import Any

import click

from plateid.config.models import DEFAULT_BUNDLE, bundle_path
from plateid.errors import PlateidError
from train.train_error import TrainError

FOLDER = click.Path(path_type=Path)
COUNT = click.IntRange(min=1)
SIDE = click.IntRange(min=32)
SHARE = click.FloatRange(0, 1)


def to_bundle(text: str | Path) -> Path:
    """The folder of a bundle that is given by its name or its path."""
    return Path(bundle_path(text))


DATA = click.option(
    "--data", multiple=True, required=True, help="Folder of labelled pictures; may be repeated."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Adapts plateid to your camera and country."""


@main.command()
@DATA
@click.option(
    "--base",
    default="yolov8n.pt",
    show_default=True,
    help="Weights or yaml of any YOLO detector, or a bundle: accurate starts from what ships.",
)
@click.option("--out", default="runs/detector", show_default=True, help="Folder of the run.")
@click.option("--epochs", default=20, show_default=True, type=COUNT)
@click.option("--lr0", default=1e-3, show_default=True, help="Greatest learning rate.")
@click.option(
    "--imgsz", default=640, show_default=True, type=SIDE, help="Longest side in training, pixels."
)
@click.option("--batch", default=16, show_default=True, type=COUNT)
@click.option(
    "--plates", multiple=True, help="Folder of plates cut out, to be put into the pictures."
)
@click.option(
    "--teacher",
    "teachers",
    multiple=True,
    help="Weights of a detector, or a bundle, to answer as; may be repeated: as their mean.",
)
@click.option("--towers", type=COUNT, help="Channels of new towers; all else stays.")
@click.option("--limit", type=COUNT, help="How many of the training pictures to use.")
@click.option(
    "--validate/--no-validate",
    default=True,
    show_default=True,
    help="Measure after each epoch, or at the end only.",
)
@click.option("--seed", default=0, show_default=True)
def detector(**options: Any) -> None:
    """Fine-tunes a detector; call it again to go on after an interruption."""
    from train.detector.finetune import DetectorRun, train_detector  # noqa: PLC0415 - torch loads slowly

    run = DetectorRun(**options)
    click.echo(f"{run.out}/run.json: {train_detector(run)['metrics']}")


@main.command()
@DATA
@click.option("--base", default="yolov8n.pt", show_default=True, help="Weights to fine-tune.")
@click.option(
    "--scratch", default="yolov8n.yaml", show_default=True, help="The same network without weights."
)
@click.option("--out", default="runs/curve", show_default=True, help="Folder of the runs.")
@click.option("--seeds", default=3, show_default=True, type=COUNT, help="Runs of each point.")
@click.option("--steps", default=200, show_default=True, type=COUNT, help="Of each run.")
@click.option(
    "--imgsz", default=416, show_default=True, type=SIDE, help="Longest side in training, pixels."
)
def curve(seeds: int, **options: Any) -> None:
    """Draws AP50 against the number of pictures; call it again to go on."""
    from train.detector.curve import Curve, run_curve  # noqa: PLC0415 - as above

    click.echo(run_curve(Curve(seeds=tuple(range(seeds)), **options)))


@main.command()
@DATA
@click.option("--store", type=FOLDER, help="File of `train synth`; default: render as needed.")
@click.option("--base", type=FOLDER, help="Checkpoint of another run, or a bundle, to start from.")
@click.option("--out", default="runs/reader", show_default=True, help="Folder of the run.")
@click.option("--minutes", default=60.0, show_default=True, help="Duration of the training.")
@click.option("--processes", default=1, show_default=True, type=COUNT, help="Parallel processes.")
@click.option("--batch", default=64, show_default=True, type=COUNT, help="Crops per step.")
@click.option("--lr", default=1e-3, show_default=True, help="Maximum learning rate.")
@click.option("--real", default=0.2, show_default=True, type=SHARE, help="Share of real crops.")
@click.option("--seed", default=0, show_default=True)
def reader(**options: Any) -> None:
    """Trains a reader. The same command resumes an interrupted run.

    Example: python -m train reader --data my-images --base default --minutes 60
    """
    from train.reader.reader_run import ReaderRun, train_reader  # noqa: PLC0415 - torch loads slowly

    run = ReaderRun(**options)
    click.echo(f"{run.out}/run.json: {train_reader(run)['metrics']}")


@main.command()
@click.option("--sheet", type=FOLDER, help="Picture to draw, of some crops and their texts.")
@click.option("--beside", type=FOLDER, help="Folder of real plates, drawn into it as well.")
@click.option("--out", type=FOLDER, help="File of samples to fill, for `train reader --store`.")
@click.option(
    "--plates",
    type=FOLDER,
    help="Folder to make of pictures and their texts, for `train evaluate --crops`; give a --seed "
    "that no reader was trained with.",
)
@click.option(
    "--like",
    multiple=True,
    type=FOLDER,
    help="Folder of real plates with texts; for --plates, those of countries that look like these.",
)
@click.option("--count", default=300_000, show_default=True, type=COUNT, help="Samples, or plates.")
@click.option("--workers", type=COUNT, help="Processes; left out: one a core.")
@click.option("--seed", default=0, show_default=True)
def synth(
    sheet: Path | None,
    beside: Path | None,
    out: Path | None,
    plates: Path | None,
    *,
    like: tuple[Path, ...],
    **options: Any,
) -> None:
    """Renders plates as a camera sees them; --out goes on after an interruption."""
    from train.reader.contact_sheet import write_contact_sheet  # noqa: PLC0415 - as above
    from train.reader.real_plates import appearance_of  # noqa: PLC0415
    from train.synth.crop_database import fill_crop_database  # noqa: PLC0415
    from train.synth.crop_folder import write_crop_folder  # noqa: PLC0415

    if not (sheet or out or plates):
        raise click.UsageError("give --sheet, --out or --plates")
    if like and not plates:
        raise click.UsageError("--like is for --plates")
    if out and plates:
        raise click.UsageError("--out and --plates: one at a time, each with a --seed of its own")
    if sheet:
        write_contact_sheet(sheet, beside=beside, seed=options["seed"])
    if out:
        fill_crop_database(out, **options)
    if plates:
        write_crop_folder(plates, like=appearance_of(like) if like else None, **options)


@main.command()
@click.option("--detector", type=FOLDER, help="Weights of `train detector`.")
@click.option(
    "--name", help="Of the bundle and its new networks; left out: as it is, or that of the folder."
)
@click.option("--size", help="Of the detector's input: WIDTHxHEIGHT, multiples of 32.")
@click.option(
    "--precision",
    type=click.Choice(["float32", "float16", "int8"]),
    help="Of the new networks' weights; int8 is for CPUs.  [default: float16]",
)
@click.option("--data", multiple=True, help="Folder of labelled pictures that calibrate int8.")
@click.option("--reader", type=FOLDER, help="Weights of `train reader`.")
@click.option(
    "--mean",
    type=to_bundle,
    metavar="NAME|PATH",
    multiple=True,
    help="Other weights, or a bundle as default; may be repeated: new networks become the mean.",
)
@click.option(
    "--out", type=FOLDER, default=Path("runs/bundle"), show_default=True, help="Folder to fill."
)
def export(**options: Any) -> None:
    """Fills a bundle with networks as ONNX, checked against torch.

    A network that is not named stays that of the bundle. A bundle that is new starts as a copy of
    the one that ships; what its bundle.toml says of data, licences and limits is yours to edit.
    """
    from train.export.bundle_export import Export, export_bundle  # noqa: PLC0415 - as above

    export_bundle(Export(**options))


@main.command()
@click.argument("bundles", nargs=-1, type=to_bundle)
def latency(bundles: tuple[Path, ...]) -> None:
    """Times the networks of bundles on one core, beside YOLOv8n at 640 x 640."""
    from train.export.latency import measure  # noqa: PLC0415 - as above

    for row in measure(list(bundles) or [DEFAULT_BUNDLE]):
        click.echo(f"{row.name:40} {row.size:>8} {row.median_ms:6.1f} ms  ratio {row.ratio:.2f}")


@main.command()
@click.argument("folders", nargs=-1, type=FOLDER)
@click.option(
    "--crops",
    multiple=True,
    type=FOLDER,
    help="Folder of plates cut out already: labels.csv of image and text; may be repeated.",
)
@click.option(
    "--bundle",
    type=to_bundle,
    default=DEFAULT_BUNDLE,
    metavar="NAME|DIRECTORY",
    help="Bundle to evaluate: one that ships with plateid, by its name, or a directory.",
)
@click.option(
    "--held-out", is_flag=True, help="Only the validation part of folders that were trained on."
)
@click.option(
    "--open", "is_open", is_flag=True, help="Pictures may show plates that have no label."
)
@click.option(
    "--negatives",
    multiple=True,
    type=FOLDER,
    help="Picture, clip or folder of them without plates; may be repeated.",
)
@click.option(
    "--choose-threshold", is_flag=True, help="Pick the detector's threshold; needs --held-out."
)
@click.option(
    "--calibrate",
    is_flag=True,
    help="Fit the reader's temperature, so that confidence is right; needs --held-out.",
)
@click.option("--jitter", is_flag=True, help="Read boxes that are 5 % off at each side as well.")
@click.option(
    "--write", is_flag=True, help="Put the figures, and what was chosen, into the bundle."
)
@click.option(
    "--out",
    type=FOLDER,
    default=Path("runs/evaluation"),
    show_default=True,
    help="Folder of report.html and report.json.",
)
def evaluate(**options: Any) -> None:
    """Finds and reads the labelled plates of folders, as the device does."""
    from train.evaluation import bundle, report  # noqa: PLC0415 - as above
    from train.evaluation.evaluate import evaluate as evaluated  # noqa: PLC0415
    from train.evaluation.run import EvaluationRun, leaks  # noqa: PLC0415

    run = EvaluationRun(**options)
    if not (run.folders or run.crops):
        raise click.UsageError("give folders of labelled pictures, or --crops")
    if run.write and (leak := next(leaks(run, certain=True), None)):
        raise TrainError(f"--write: {leak}")
    for leak in leaks(run):
        click.echo(leak, err=True)
    evaluation = evaluated(run)
    click.echo(f"{report.table(evaluation)}\n{report.write(evaluation)}")
    if run.write:
        bundle.update_bundle(evaluation)


@main.command()
@click.argument("street_file", type=FOLDER, metavar="STREET")
@click.option("--out", type=FOLDER, required=True, help="Video file to write, MP4.")
@click.option("--size", type=(SIDE, SIDE), default=(1280, 720), show_default=True, help="Pixels.")
@click.option("--fps", type=COUNT, default=30, show_default=True, help="Frames per second.")
def street(street_file: Path, out: Path, size: tuple[int, int], fps: int) -> None:
    """Renders a test video of a street, and its ground truth as JSON beside it.

    STREET is a TOML file with the vehicles, as train/street/streets/demo.toml.
    """
    from train.street import read_street, write_video  # noqa: PLC0415 - as above

    write_video(read_street(street_file), out, size=size, fps=fps)


if __name__ == "__main__":
    try:
        main()
    except (TrainError, PlateidError) as error:
        click.echo(error, err=True)
        sys.exit(1)
