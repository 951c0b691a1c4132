"""`python -m train`: one command for each step from pictures to a bundle."""

import sys
from pathlib import Path
from typing import Any

import click

from train.errors import TrainError

FOLDER = click.Path(path_type=Path)


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
@click.option("--detector", "weights", type=FOLDER, required=True, help="Trained weights (.pt).")
@click.option("--easyocr", type=FOLDER, help="Folder of english_g2.pth; downloaded when left out.")
@click.option("--out", type=FOLDER, default=Path("plateid/models/default"), show_default=True)
def export(weights: Path, easyocr: Path | None, out: Path) -> None:
    """Fills a bundle with detector and reader as ONNX, checked against torch."""
    from train.export import export_bundle  # noqa: PLC0415

    export_bundle(weights, easyocr, out)


@main.command()
@click.option("--out", type=FOLDER, default=Path("plateid/demo"), show_default=True)
@click.option("--seed", default=0, show_default=True)
def scene(out: Path, seed: int) -> None:
    """Renders the demo's clip and its ground truth."""
    from train.scene import render_clip  # noqa: PLC0415

    render_clip(out, seed=seed)


if __name__ == "__main__":
    try:
        main()
    except TrainError as error:
        click.echo(error, err=True)
        sys.exit(1)
