"""Drop-in models: describes other people's networks, to run in place of those of the bundle.

A reader of fast-plate-ocr is described by the YAML file beside it, a YOLO detector by its ONNX
metadata and shapes. `MODEL.calibration.toml` beside a reader has its fitted temperature.
"""

import ast
import hashlib
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from plateid.config.section import Section
from plateid.errors import BundleError, errors_as
from plateid.models.bundle import BundleSpec, Temperature, bundle_file, validated
from plateid.models.onnx_backend import OnnxBackend
from plateid.models.onnx_detector import COLUMNS, YoloSpec
from plateid.models.session import CPU
from plateid.models.slot_reader import PlateConfig, SlotSpec

ENDS = ("_plate_config.yaml", "_config.yaml")
"""Endings of the names of fast-plate-ocr's configuration files."""
DEFAULTS = {"threshold": 0.25, "nms_iou": 0.7}
"""Minimum score and NMS threshold of a detector: the defaults of ultralytics' `predict`."""
MAX_ROWS = 1000
"""Most rows of an end-to-end output. YOLOv5's raw output has as many columns, and more rows."""


class Calibration(Section):
    """The content of `MODEL.calibration.toml`: of the model with this hash."""

    sha256: str
    temperature: Temperature


def calibration_file(model: Path) -> Path:
    """Returns the path of the calibration of a drop-in reader."""
    return model.with_suffix(".calibration.toml")


def slot_spec(path: Path, bundle: BundleSpec) -> SlotSpec:
    """Describes a reader of fast-plate-ocr; BundleError if it or its configuration is unusable."""
    network, general = _described(path)
    named = [file for end in ENDS if (file := path.with_name(path.stem + end)).is_file()]
    files = named[:1] or list(path.parent.glob("*_config.yaml"))
    if len(files) != 1:
        wanted = path.stem + ENDS[0]
        raise BundleError(path, f"needs fast-plate-ocr's configuration {wanted} beside it")
    plate = validated(PlateConfig, files[0], yaml.safe_load)
    slots, characters = plate.max_plate_slots, len(plate.alphabet)
    _check_input(path, network, "uint8", (plate.img_height, plate.img_width, plate.channels))
    names = [each.name for each in network.outputs]
    output = names.index("plate") if "plate" in names else 0
    shape = network.outputs[output].shape
    if shape[1:] not in ((slots, characters), (slots * characters,)):
        stated = f"its configuration says {slots} slots of {characters} characters"
        raise BundleError(path, f"output shape is {list(shape)}; {stated}")
    general |= {"width": plate.img_width, "height": plate.img_height, "plate": plate}
    general |= {"output": output, "temperature": _temperature(path, general["sha256"])}
    return SlotSpec.model_construct(**vars(bundle.reader) | general)


def yolo_spec(path: Path, bundle: BundleSpec, plate_class: str | None) -> YoloSpec:
    """Describes a YOLO export of ultralytics or open-image-models; BundleError if it is unusable.

    `plate_class` is the name of the class of plates.
    """
    network, general = _described(path)
    if (task := network.metadata.get("task", "detect")) != "detect":
        raise BundleError(path, f"is a network of the task {task}; plateid needs detect")
    _check_input(path, network, "float32", (3, None, None))
    wrong = LookupError, MemoryError, RecursionError, SyntaxError, TypeError, ValueError
    with errors_as(BundleError, path, *wrong, reason="its metadata names is no table of classes"):
        stated = dict(ast.literal_eval(network.metadata.get("names", "{0: 'plate'}")))
        names = {n: str.strip(stated[n]) for n in range(len(stated))}
    general |= zip(("height", "width"), network.inputs[0].shape[2:], strict=True)
    general |= {"layout": _layout(path, network, len(names))}
    general |= {"plate_class": _plate_class(path, names, plate_class), **DEFAULTS}
    return YoloSpec.model_construct(**vars(bundle.detector) | general)


def _described(path: Path) -> tuple[OnnxBackend, dict[str, Any]]:
    """Returns a network and what describes any one; `file` is absolute, so no bundle has it."""
    model = bundle_file(path)
    general = {"file": str(path.absolute()), "sha256": hashlib.sha256(model).hexdigest()}
    general |= {"name": path.stem, "origin": "", "precision": "float32"}
    return OnnxBackend(str(path), model, CPU), general


def _temperature(model: Path, sha256: str) -> float:
    if not (path := calibration_file(model)).exists():
        return 1.0
    calibration = validated(Calibration, path, tomllib.loads)
    if calibration.sha256 != sha256:
        raise BundleError(path, f"was fitted with another {model.name}: fit it again or delete it")
    return calibration.temperature


def _check_input(path: Path, network: OnnxBackend, dtype: str, sides: Sequence[int | None]) -> None:
    """Raises BundleError unless there is one input, for one image, with these fixed sides."""
    first, *others = network.inputs
    batch, *got = [side if isinstance(side, int) else 0 for side in first.shape] or [0]
    stated = [
        got_side if side is None else side for got_side, side in zip(got, sides, strict=False)
    ]
    if others or batch > 1 or got != stated or len(got) != len(sides) or 0 in got:
        wanted = ", ".join(str(side or "fixed") for side in (1, *sides))
        raise BundleError(path, f"input shape is {list(first.shape)}; it must be [{wanted}]")
    if first.dtype != dtype:
        raise BundleError(path, f"input is {first.dtype}; it must be {dtype}")


def _plate_class(path: Path, names: dict[int, str], wanted: str | None) -> int:
    found = [n for n, name in names.items() if name == wanted]
    if wanted is None:
        found = [n for n, name in names.items() if len(names) == 1 or "plate" in name.lower()]
    if len(found) == 1:
        return found[0]
    problem = "the class of plates is unclear" if wanted is None else f"it has no class {wanted}"
    every = ", ".join(names.values())
    raise BundleError(path, f"{problem}: set models.detector_class to one of {every}")


def _layout(path: Path, network: OnnxBackend, classes: int) -> str:
    """Returns how the output is laid out, from its shape."""
    shapes = [list(output.shape) for output in network.outputs]
    if len(shapes) == 1 and shapes[0][1:2] == [4 + classes]:
        return "raw"
    for layout, columns in COLUMNS.items():
        sizes = [size if isinstance(size, int) else 1 for size in shapes[0]]
        if len(shapes) == 1 and sizes[-1] == columns and max(sizes) <= MAX_ROWS:
            return layout
    stated = f"a YOLO detector of {classes} classes has [1, {4 + classes}, N], [1, N, 6] or [N, 7]"
    raise BundleError(path, f"output shape is {', '.join(map(str, shapes))}; {stated}")
