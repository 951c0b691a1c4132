"""From trained weights to a bundle that a device can use."""

import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tomlkit

from plateid.config.models import DEFAULT_BUNDLE
from plateid.models.bundle import Bundle, DetectorSpec
from train.export.input_size import resize_detector
from train.export.onnx_networks import Form, Precision, export_detector, export_reader
from train.manifest.model_card import card
from train.manifest.weight_origin import averaged_with, detector_origin, reader_origin
from train.reader.reader_weights import SPEC, average_with, trained_reader
from train.train_error import TrainError

STRIDE = 32
"""Of the coarsest map of a YOLO network, in pixels."""


@dataclass(frozen=True)
class Export:
    """Configuration and command line of an export.

    Attributes:
        out: Folder of the bundle; a new one starts as a copy of the one that ships, less its name
            and figures.
        detector: Weights as ultralytics saves them; None: the one that the bundle has.
        reader: Weights of `train reader`; None: the one that the bundle has.
        mean: Other weights, or bundles: the networks that are given become the mean of all.
        name: Of the bundle, and of its networks that are trained or resized; None: as it is, or
            that of the folder if it is new.
        size: WIDTHxHEIGHT of the detector's input; None: as it is.
        precision: Of the networks that the bundle gets, see `Form`; None: float16.
        data: Folders of labelled pictures; they calibrate and judge "int8".
    """

    out: Path
    detector: Path | None = None
    reader: Path | None = None
    mean: tuple[Path, ...] = ()
    name: str | None = None
    size: str | None = None
    precision: Precision | None = None
    data: tuple[str, ...] = ()


def export_bundle(export: Export) -> None:
    """Fills the bundle with networks; it is as before, or whole.

    Raises:
        TrainError: `out` is something else than a bundle, an option lacks the network that it is
            for, one of `mean` is another network, a network's answers differ from those of its
            weights, or nothing can be written.
    """
    _check(export)
    out = export.out
    is_new = not (out / "bundle.toml").is_file()
    if is_new and out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise TrainError(f"--out {out}: holds something that is not a bundle")
    before = DEFAULT_BUNDLE if is_new else out
    spec = Bundle(before).spec.detector
    form = Form(
        *(_pixels(export.size) if export.size else (spec.width, spec.height)),
        export.precision or "float16",
    )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as folder:
            made = Path(shutil.copytree(before, Path(folder) / "made"))
            _put_detector(export, made, form, spec)
            _put_reader(export, made, form)
            if is_new or export.name:
                _put_name(export, made, keep_figures=not is_new)
            (made / "MODEL_CARD.md").write_text(card(Bundle(made).spec))
            replace_folder(made, out)
    except OSError as error:
        raise TrainError(f"--out {out}: {error}") from error


def _put_detector(export: Export, made: Path, form: Form, before: DetectorSpec) -> None:
    if export.detector:
        file = made / "detector.onnx"
        export_detector(export.detector, file, form, mean=export.mean, data=export.data)
        origin = detector_origin(export.detector) + averaged_with("detector", *export.mean)
        edit_spec(made, "detector", {**asdict(form), "origin": origin})
    elif (form.width, form.height) != (before.width, before.height):
        resize_detector(made / "detector.onnx", form.width, form.height)
        edit_spec(made, "detector", {"width": form.width, "height": form.height})


def _put_reader(export: Export, made: Path, form: Form) -> None:
    if export.reader:
        network = trained_reader(export.reader)
        average_with(network, export.mean)
        out = made / "reader.onnx"
        export_reader(network, out, precision=form.precision, data=export.data)
        edit_spec(made, "reader", _described(export.reader, form.precision, export.mean))


def _put_name(export: Export, made: Path, *, keep_figures: bool) -> None:
    networks = {"detector": export.detector or export.size, "reader": export.reader}
    ours = [network for network, given in networks.items() if given]
    name = export.name or export.out.resolve().name
    rename(made, name, networks=ours, keep_figures=keep_figures)


def _check(export: Export) -> None:
    """Refuses what would have no effect, and 8 bits without data."""
    trained_ones = export.detector or export.reader
    int8 = export.precision == "int8"
    for name, given, of, needed in (
        ("mean", export.mean, "detector or --reader", trained_ones),
        ("precision", export.precision, "detector or --reader", trained_ones),
        ("data", export.data, "precision int8", int8),
    ):
        if given and not needed:
            raise TrainError(f"--{name}: only with --{of}")
    if int8 and not export.data:
        raise TrainError("int8 is calibrated with pictures of plates; name their folders: --data")


def rename(folder: Path, name: str, *, networks: Sequence[str], keep_figures: bool) -> None:
    """Gives the bundle and some of its networks another name."""
    path = folder / "bundle.toml"
    table: Any = tomlkit.parse(path.read_text())
    table["name"] = name
    for network in networks:
        table[network]["name"] = name
    if not keep_figures:
        table["metrics"] = {}
    path.write_text(tomlkit.dumps(table))


def replace_folder(made: Path, out: Path) -> None:
    """Puts `made` in the place of `out`; at a failure `out` is as before."""
    aside = made.with_name("before")
    if out.exists():
        out.rename(aside)
    try:
        made.rename(out)
    except OSError:
        if aside.exists():
            aside.rename(out)
        raise


def _described(weights: Path, precision: Precision, mean: Sequence[Path]) -> dict[str, Any]:
    """Returns the reader's section of bundle.toml, without a calibrated temperature."""
    spec = SPEC.model_dump(exclude={"file", "sha256", "name"})
    origin = reader_origin(weights) + averaged_with("reader", *mean)
    return spec | {"precision": precision, "origin": origin}


def edit_spec(folder: Path, section: str, values: dict[str, Any]) -> None:
    """Sets values of a network and each hash in `bundle.toml`; figures of before go."""
    path = folder / "bundle.toml"
    table: Any = tomlkit.parse(path.read_text())
    table[section].update(values)
    table["metrics"] = {}
    for network in (table["detector"], table["reader"]):
        network["sha256"] = hashlib.sha256((folder / network["file"]).read_bytes()).hexdigest()
    path.write_text(tomlkit.dumps(table))


def _pixels(size: str) -> tuple[int, int]:
    width, times, height = size.partition("x")
    if not (times and width.isdecimal() and height.isdecimal()):
        raise TrainError(f"--size {size}: must be WIDTHxHEIGHT, as 640x384")
    if int(width) % STRIDE or int(height) % STRIDE or not int(width) * int(height):
        raise TrainError(f"--size {size}: both must be multiples of {STRIDE}")
    return int(width), int(height)
