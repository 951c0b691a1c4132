"""`python -m train`: one command for each step from pictures to a bundle."""

import sys
from pathlib import Path
from typing import Any

import click

from plateid.config import DEFAULT_BUNDLE
from plateid.errors import PlateidError
from plateid.models.bundle import Bundle
from train.errors import TrainError

FOLDER = click.Path(path_type=Path)
EASYOCR = click.option(
    "--easyocr", type=FOLDER, help="Folder of english_g2.pth; left out: EasyOCR's own download."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Adapts plateid to your camera and country."""


@main.command()
@click.option(
    "--data", multiple=True, required=True, help="Folder with labels.csv; may be repeated."
)
@click.option("--base", default="yolov8n.pt", show_default=True, help="Detector to start from.")
@click.option("--out", default="runs/detector", show_default=True, help="Folder of the run.")
@click.option("--epochs", default=15, show_default=True)
@click.option("--imgsz", default=640, show_default=True, help="Longest side in training, pixels.")
@click.option("--batch", default=16, show_default=True)
def detector(**options: Any) -> None:
    """Fine-tunes a detector; call it again to go on after an interruption."""
    from train.detector import DetectorRun, train_detector  # noqa: PLC0415 - torch loads slowly

    run = DetectorRun(**options)
    click.echo(f"{run.out}/run.json: {train_detector(run)['metrics']}")


@main.command()
@click.option(
    "--data", multiple=True, required=True, help="Folder with labels.csv; may be repeated."
)
@EASYOCR
@click.option(
    "--bundle", type=FOLDER, default=DEFAULT_BUNDLE, help="Whose reader section to train for."
)
@click.option("--out", default="runs/reader", show_default=True, help="Folder of the run.")
@click.option("--minutes", default=60.0, show_default=True, help="How long to train.")
def reader(bundle: Path, **options: Any) -> None:
    """Fine-tunes EasyOCR's recogniser; call it again to go on after an interruption."""
    from train.reader import ReaderRun, train_reader  # noqa: PLC0415 - as above

    run = ReaderRun(**options)
    record = train_reader(run, Bundle(bundle).spec.reader)
    click.echo(f"{run.out}/run.json: {record['metrics']}")


@main.command()
@click.option("--out", type=FOLDER, default=Path("sheet.png"), show_default=True)
@click.option("--seed", default=0, show_default=True)
def sheet(out: Path, seed: int) -> None:
    """Draws a contact sheet of rendered crops."""
    from train.synth import draw_sheet  # noqa: PLC0415 - as above

    draw_sheet(out, seed=seed)


@main.command()
@click.option("--detector", type=FOLDER, required=True, help="Weights of `train detector`.")
@click.option("--reader", type=FOLDER, help="Weights of `train reader`; left out: EasyOCR's own.")
@EASYOCR
@click.option("--out", type=FOLDER, default=DEFAULT_BUNDLE, help="Folder of the bundle.")
def export(detector: Path, reader: Path | None, easyocr: Path | None, out: Path) -> None:
    """Fills a bundle with detector and reader as ONNX, checked against torch."""
    from train.easyocr_reader import load  # noqa: PLC0415 - as above
    from train.export import export_bundle  # noqa: PLC0415

    export_bundle(detector, load(easyocr, reader), out)


@main.command()
@click.argument("folders", nargs=-1, required=True, type=FOLDER)
@click.option("--bundle", type=FOLDER, default=DEFAULT_BUNDLE, help="Bundle to evaluate.")
def evaluate(folders: tuple[Path, ...], bundle: Path) -> None:
    """Finds and reads the labelled plates of folders, as the device does."""
    from train import evaluate as evaluation  # noqa: PLC0415 - as above

    click.echo(f"{'folder':12} {'plates':>6} {'found':>6} {'exact':>6} {'folded':>6} {'IoU':>6}")
    for folder in folders:
        score = evaluation.evaluate(folder, bundle)
        shares = (score.found, score.exact, score.folded, score.mean_iou)
        click.echo(f"{folder.name:12} {score.plates:6} " + " ".join(f"{s:6.3f}" for s in shares))


@main.command()
@click.option("--out", type=FOLDER, default=Path("plateid/demo"), show_default=True)
@click.option("--seed", default=0, show_default=True)
def scene(out: Path, seed: int) -> None:
    """Renders the demo's clip and its ground truth."""
    from train.scene import render_clip  # noqa: PLC0415 - as above

    render_clip(out, seed=seed)


if __name__ == "__main__":
    try:
        main()
    except (TrainError, PlateidError) as error:
        click.echo(error, err=True)
        sys.exit(1)
