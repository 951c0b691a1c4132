"""The small-data curve: detection accuracy (mAP50) against the number of training images."""

import itertools
import json
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

from plateid.config.models import bundle_path
from plateid.files import write_whole
from train.dataset.labelled_image import data_hash
from train.dataset.splits import load_split
from train.detector.finetune import base_hash, train_detector
from train.detector.plate_trainer import DetectorRun
from train.detector.yolo_weights import load_detector
from train.record import begin
from train.train_error import RESUME, TrainError, os_errors

STARTS = ("fine-tuned", "from scratch")
"""The two curves: training from a base, and from random weights."""


@dataclass(frozen=True)
class Curve:
    """Configuration and record of a curve: the options of `train curve`.

    `sizes` are numbers of training images; the last point uses all of them. A seed also draws the
    images. `steps` are rounded to epochs.
    """

    data: tuple[str, ...]
    base: str
    scratch: str = "yolov8n.yaml"
    out: str = "runs/curve"
    sizes: tuple[int, ...] = (25, 50, 100, 200, 400)
    seeds: tuple[int, ...] = (0, 1, 2)
    steps: int = 200
    imgsz: int = 416
    batch: int = 16


def run_curve(curve: Curve) -> Path:
    """Runs the missing points, draws all, and returns the path of the SVG beside `curve.json`."""
    out, points = Path(curve.out), list[dict[str, Any]]()
    _check_starts(curve)
    with os_errors(f"--out {out}", RESUME):
        out.mkdir(parents=True, exist_ok=True)
        split, _ = load_split(map(Path, curve.data))
        data, everything = data_hash(split.images), len(split.training)
        sizes = [*(size for size in curve.sizes if size < everything), everything]
        # seed by seed, so that a whole curve is there early
        for seed, size, start in itertools.product(curve.seeds, sizes, STARTS):
            points.append(_point(curve, out, data, start=start, size=size, seed=seed))
            record = {**asdict(curve), "points": points}
            write_whole(out / "curve.json", json.dumps(record, indent=1).encode())
            draw(points, out / "curve.svg")
    return out / "curve.svg"


def _check_starts(curve: Curve) -> None:
    """Raises a TrainError unless both starts are the same network, apart from its classes."""
    if Path(bundle_path(curve.base)).is_dir():
        return
    starts = (load_detector(each).model.model for each in (curve.base, curve.scratch))
    fine_tuned, scratch = ([weights.shape for weights in each[:-1].parameters()] for each in starts)
    if fine_tuned != scratch:
        raise TrainError(f"--scratch {curve.scratch}: is not the network of --base {curve.base}")


def _point(
    curve: Curve, out: Path, data: str, *, start: str, size: int, seed: int
) -> dict[str, Any]:
    run = DetectorRun(
        data=curve.data,
        base=curve.base if start == STARTS[0] else curve.scratch,
        out=str(out / f"{start.replace(' ', '-')}-{size}-{seed}"),
        epochs=max(1, round(curve.steps / ceil(size / curve.batch))),
        imgsz=curve.imgsz,
        batch=curve.batch,
        seed=seed,
        limit=size,
        validate=False,
    )
    settings = {**run.settings, "data_sha256": data, "base_sha256": base_hash(run.base)}
    done = Path(run.out) / "run.json"
    record = begin(done, settings) if done.is_file() else train_detector(run)
    return {
        "start": start,
        "images": size,
        "seed": seed,
        "epochs": run.epochs,
        "minutes": record["minutes"],
        "mAP50": record["metrics"]["metrics/mAP50(B)"],
        "mAP50_95": record["metrics"]["metrics/mAP50-95(B)"],
    }


def draw(points: list[dict[str, Any]], path: Path) -> None:
    """Draws mAP50 against the number of images: the mean of the seeds, and their range."""
    mpl.rcParams["svg.hashsalt"] = "plateid"  # the same points give the same file
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for start in STARTS:
        drawn = [point for point in points if point["start"] == start]
        sizes = sorted({point["images"] for point in drawn})
        scores = [[p["mAP50"] for p in drawn if p["images"] == size] for size in sizes]
        means = [sum(each) / len(each) for each in scores]
        (line,) = axes.plot(sizes, means, marker="o", label=start)
        low, high = [min(each) for each in scores], [max(each) for each in scores]
        axes.fill_between(sizes, low, high, color=line.get_color(), alpha=0.2)
    ticks = sorted({point["images"] for point in points})
    axes.set_xscale("log")
    axes.set_xticks(ticks, [str(tick) for tick in ticks], minor=False)
    axes.minorticks_off()
    axes.set(xlabel="training images", ylabel="mAP50 on the validation part", ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path.with_suffix(".tmp"), format="svg", metadata={"Date": None})
    path.with_suffix(".tmp").replace(path)
    plt.close(figure)
