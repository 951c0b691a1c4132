"""The commands that render plates and train networks."""

from pathlib import Path
from typing import Any

import click

from plateid.core.option_types import not_nan
from plateid.errors import PlateidError
from train.cli_options import COUNT, DATA, FOLDER, SEED, SIDE, example, repeatable, to_bundle
from train.train_error import BadInputError, TrainError

# Each command imports its modules when it runs, because torch loads slowly.
# ruff: noqa: PLC0415


@click.command(epilog=example("detector --data my-images --base default --lr0 5e-4 --epochs 16"))
@DATA
@click.option(
    "--base",
    default="yolov8n.pt",
    help="Where to start: weights or yaml of an ultralytics YOLO detector, or a bundle.",
)
@click.option("--out", default="runs/detector", help="Folder of the run; new or resumed.")
@click.option("--epochs", default=20, type=COUNT, help="Passes over the training images.")
@click.option("--lr0", default=1e-3, help="Peak learning rate.")
@click.option("--imgsz", default=640, type=SIDE, help="Longest side of an image, pixels.")
@click.option("--batch", default=16, type=COUNT, help="Images per step.")
@repeatable("--plates", help="Folder of cropped plates to paste into images; repeatable.")
@repeatable(
    "--teacher",
    "teachers",
    help="Detector (weights or bundle) to distil from in place of the labels; repeatable.",
)
@click.option(
    "--score-width", type=COUNT, help="Train only new score branches, with this number of channels."
)
@click.option("--limit", type=COUNT, help="Number of training images to use.  [default: all]")
@click.option(
    "--validate/--no-validate",
    default=True,
    help="Validate after each epoch, or after the last one only.",
)
@SEED
def detector(**options: Any) -> None:
    """Fine-tunes a plate detector (YOLO). The same command resumes an interrupted run.

    It first checks the data and holds out a sixth for validation. It writes OUT/run.json and
    OUT/fit/weights.
    """
    from train.detector.finetune import train_detector
    from train.detector.plate_trainer import DetectorRun

    run = DetectorRun(**options)
    click.echo(f"{run.out}/run.json: {train_detector(run)['metrics']}")


@click.command(epilog=example("curve --data my-images --seeds 3 --steps 100"))
@DATA
@click.option("--base", default="yolov8n.pt", help="Weights to fine-tune.")
@click.option(
    "--scratch", default="yolov8n.yaml", help="The same network, to train from random weights."
)
@click.option("--out", default="runs/curve", help="Folder of the runs.")
@click.option("--seeds", default=3, type=COUNT, help="Runs of each point.")
@click.option("--steps", default=200, type=COUNT, help="Steps of each run.")
@click.option("--imgsz", default=416, type=SIDE, help="Longest side of an image, pixels.")
def curve(seeds: int, **options: Any) -> None:
    """Plots mAP50 against the number of training images.

    Each point is trained twice: from the base's weights, and from random weights. The same command
    resumes an interrupted curve.
    """
    from train.detector.curve import Curve, run_curve

    click.echo(run_curve(Curve(seeds=tuple(range(seeds)), **options)))


@click.command(epilog=example("reader --data my-images --base default --minutes 60"))
@DATA
@click.option("--store", type=FOLDER, help="File of `train synth`.  [default: render as needed]")
@click.option("--base", type=FOLDER, help="Checkpoint of another run, or a bundle, to start from.")
@click.option("--out", default="runs/reader", help="Folder of the run; new or resumed.")
@click.option("--minutes", default=60.0, help="Duration of the training.")
@click.option("--processes", default=1, type=COUNT, help="Parallel processes.")
@click.option("--batch", default=64, type=COUNT, help="Crops per step.")
@click.option("--lr", default=1e-3, help="Peak learning rate.")
@click.option(
    "--real",
    default=0.2,
    type=click.FloatRange(0, 1),
    callback=not_nan,
    help="Share of real crops.",
)
@SEED
def reader(**options: Any) -> None:
    """Trains a plate reader (CTC). The same command resumes an interrupted run.

    Crops are your plates that have a text, and rendered ones. It writes OUT/run.json and
    OUT/last.pt.
    """
    from train.reader.reader_run import ReaderRun, train_reader

    run = ReaderRun(**options)
    click.echo(f"{run.out}/run.json: {train_reader(run)['metrics']}")


@click.command(epilog=example("synth --out runs/samples.sqlite3 --count 160000"))
@click.option("--sheet", type=FOLDER, help="Contact sheet to draw: some crops and their texts.")
@click.option("--beside", type=FOLDER, help="Folder of real plates to draw into the sheet as well.")
@click.option("--out", type=FOLDER, help="File of crops to fill, for `train reader --store`.")
@click.option(
    "--plates",
    type=FOLDER,
    help="Folder of crops and texts to write, for `train evaluate --crops`. Use a --seed that no "
    "reader was trained with.",
)
@click.option("--count", default=300_000, type=COUNT, help="Number of crops.")
@click.option("--workers", type=COUNT, help="Processes.  [default: one per core]")
@SEED
def synth(
    sheet: Path | None, beside: Path | None, out: Path | None, plates: Path | None, **options: Any
) -> None:
    """Renders plates as a camera sees them. The same command resumes an interrupted --out."""
    from train.reader.contact_sheet import write_contact_sheet
    from train.synth.crop_database import fill_crop_database, write_crop_folder
    from train.synth.rendering import RenderPlan

    if not (sheet or out or plates):
        raise click.UsageError("give --sheet, --out or --plates")
    if out and plates:
        raise click.UsageError("--out and --plates: give one of them, each needs its own --seed")
    if sheet:
        write_contact_sheet(sheet, beside=beside, seed=options["seed"])
    if out:
        fill_crop_database(out, options["count"], RenderPlan(options["seed"], options["workers"]))
    if plates:
        write_crop_folder(plates, **options)


class GateError(click.ClickException):
    """The new network is not better, or has forgotten other plates."""

    exit_code = 3


@click.command(epilog=example("learn --data my-plates --out my-bundle"))
@repeatable("--data", type=FOLDER, help="Folder or labels.zip of labelled plates; repeatable.")
@repeatable(
    "--device",
    "devices",
    metavar="URL",
    help="Device whose labels are downloaded, such as http://gate.local:8480; repeatable.",
)
@click.option(
    "--self",
    "self_labels",
    is_flag=True,
    help="Learn from self-labels as well: those in --data, and those of the devices.",
)
@click.option("--token-file", type=FOLDER, help="File with the API token of the devices.")
@click.option("--base", type=to_bundle, default="default", help="Bundle to start from.")
@repeatable(
    "--keep",
    type=FOLDER,
    help="Folder of labelled plates that must stay readable; repeatable.",
)
@click.option("--minutes", default=45.0, help="Duration of the whole command.")
@click.option("--trust", is_flag=True, help="Use suspicious labels as well.")
@click.option(
    "--study",
    is_flag=True,
    help="Learn each folder of --data, and rendered countries, from 20 and from 100 labels; write "
    "the accuracy on other plates of it, and of the other countries, to OUT/study.md.",
)
@click.option("--force", is_flag=True, help="Write the bundle although the gate refuses it.")
@click.option("--install", is_flag=True, help="Install the bundle on the devices, after a trial.")
@click.option("--key", type=FOLDER, help="For --install: private key that the devices trust, PEM.")
@click.option("--trial-minutes", default=60.0, help="For --install: duration of the trials.")
@click.option("--out", type=FOLDER, required=True, help="Folder of the new bundle.")
def learn(
    data: tuple[Path, ...], devices: tuple[str, ...], token_file: Path | None, **options: Any
) -> None:
    """Teaches a bundle the plates of your country from 20 or more labels.

    Texts teach the reader and boxes in whole images the detector. The same command resumes an
    interrupted run. It exits with 3 and writes no bundle if the gate finds no gain on held-out
    data, or that other plates are forgotten. OUT/report.html is the proof.
    """
    from train.learn.gather import LearningRun, Sources
    from train.learn.install import install
    from train.learn.learning import RefusedError
    from train.learn.learning import learn as learn_plates
    from train.learn.study import study

    is_study, self_labels = options.pop("study"), options.pop("self_labels")
    if not (data or devices or is_study):
        raise click.UsageError("give --data or --device")
    if is_study and (devices or options["install"]):
        raise click.UsageError("--study: without --device and --install; it learns from --data")
    installs, key, minutes = (options.pop(name) for name in ("install", "key", "trial_minutes"))
    if installs and not (devices and key):
        raise click.UsageError("--install: needs --device and --key")
    sources, out = Sources(data, devices, token_file, self_labels), options["out"]
    try:
        if is_study:
            click.echo(study(LearningRun(sources, **options)))
        elif not (installs and (out / "bundle.toml").is_file()):  # an earlier run has written it
            learn_plates(LearningRun(sources, **options))
            click.echo(f"{out}: report.html has the proof")
        if installs:
            install(out, sources, key, minutes)
    except RefusedError as error:
        raise GateError(str(error)) from error
    except (TrainError, PlateidError) as error:
        raise BadInputError(str(error)) from error
