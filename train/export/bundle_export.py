"""Exports networks into a bundle."""

import re
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from plateid.config.models import DEFAULT_BUNDLE
from plateid.models.bundle import Bundle
from train.dataset.splits import load_split
from train.detector.averaging import trained_detector
from train.export.best_candidates import resize_detector
from train.export.onnx_networks import (
    OnnxFormat,
    Precision,
    export_detector,
    export_raw_head,
    export_reader,
)
from train.manifest.bundle_toml import edit_bundle_toml, set_hashes
from train.manifest.weight_origin import averaged_with, detector_origin, reader_origin
from train.reader.reader_weights import SECTION, average_with, trained_reader
from train.reader.real_plates import read_plates
from train.train_error import TrainError, os_errors


@dataclass(frozen=True)
class Export:
    """The options of `train export`."""

    out: Path
    detector: Path | None = None
    reader: Path | None = None
    average_with: tuple[Path, ...] = ()
    name: str | None = None
    size: str | None = None
    precision: Precision | None = None
    data: tuple[str, ...] = ()
    maker: str | None = None  # of an NPU, for a file beside the bundle

    @property
    def is_new(self) -> bool:
        """Whether there is no such bundle yet."""
        return not (self.out / "bundle.toml").is_file()


def export_bundle(export: Export) -> None:
    """Exports the networks into the bundle. A failure leaves the bundle unchanged."""
    _check(export)
    before = DEFAULT_BUNDLE if export.is_new else export.out
    out = export.out
    with os_errors(f"--out {out}"):
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as folder:
            new = Path(shutil.copytree(before, Path(folder) / "new"))
            networks = {"detector": _new_detector(export, new), "reader": _new_reader(export, new)}
            changes = {name: values for name, values in networks.items() if values}
            with edit_bundle_toml(new) as content:
                for name, values in changes.items():
                    content[name].update(values)
                if changes or export.is_new:
                    set_hashes(content, new)
                if export.is_new or export.name:
                    for section in (content, *(content[name] for name in changes)):
                        section["name"] = export.name or out.resolve().name
            if export.maker and export.detector:
                spec = Bundle(new).spec.detector
                file = out.with_name(f"{out.name}-{export.maker}.onnx")
                network = trained_detector(export.detector, export.average_with)
                size = {"width": spec.width, "height": spec.height}
                export_raw_head(network, file, export.maker, **size)
            _replace_folder(new, out)


def _replace_folder(new: Path, out: Path) -> None:
    """Moves `new` to `out`. A failure leaves `out` unchanged."""
    aside = new.with_name("before")
    if out.exists():
        out.rename(aside)
    try:
        new.rename(out)
    except OSError:
        if aside.exists():
            aside.rename(out)
        raise


def _new_detector(export: Export, folder: Path) -> dict[str, Any]:
    """Writes the detector; returns the changes of its section in bundle.toml."""
    spec, file = Bundle(folder).spec.detector, folder / "detector.onnx"
    before = spec.width, spec.height
    width, height = _parse_size(export.size) if export.size else before
    if export.detector:
        form = OnnxFormat(width, height, export.precision or "float16")
        others = export.average_with
        images = load_split(map(Path, export.data))[0] if form.precision == "int8" else None
        export_detector(trained_detector(export.detector, others), file, form, images)
        origin = detector_origin(export.detector) + averaged_with("detector", *others)
        return {**asdict(form), "origin": origin}
    if (width, height) != before:
        resize_detector(file, width, height)
        return {"width": width, "height": height}
    return {}


def _new_reader(export: Export, folder: Path) -> dict[str, Any]:
    """Writes the reader; returns its section in bundle.toml, with the default temperature."""
    if not export.reader:
        return {}
    network, precision = trained_reader(export.reader), export.precision or "float16"
    average_with(network, export.average_with)
    plates = read_plates([Path(each) for each in export.data]) if precision == "int8" else ((), ())
    export_reader(network, folder / "reader.onnx", precision=precision, plates=plates)
    origin = reader_origin(export.reader) + averaged_with("reader", *export.average_with)
    return SECTION | {"precision": precision, "origin": origin}


def _check(export: Export) -> None:
    """Raises TrainError if an option has no effect, INT8 has no images, or `out` is no bundle."""
    is_int8, out = export.precision == "int8", export.out
    for option, value, needed, is_there in (
        ("average-with", export.average_with, "detector or --reader", export.detector),
        ("precision", export.precision, "detector or --reader", export.detector),
        ("data", export.data, "precision int8", is_int8),
        ("for", export.maker, "detector", export.detector),
    ):
        if value and not (is_there or (export.reader and "reader" in needed)):
            raise TrainError(f"--{option}: only with --{needed}")
    if is_int8 and not export.data:
        raise TrainError("int8 is calibrated with images of plates: name their folders with --data")
    if export.is_new and out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise TrainError(f"--out {out}: holds something that is not a bundle")


def _parse_size(size: str) -> tuple[int, int]:
    sides = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", size, re.ASCII)
    if not sides:
        raise TrainError(f"--size {size}: must be WIDTHxHEIGHT, for example 640x384")
    return int(sides[1]), int(sides[2])
