"""A model bundle: two networks and the description that is needed to run them."""

import hashlib
import re
import tomllib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import Field, ValidationError

from plateid.config.models import SHIPPED, shipped_bundles
from plateid.config.section import Probability, Section
from plateid.core.taught_syntax import MAX_SHAPES
from plateid.core.text import CHARSET
from plateid.errors import BundleError, os_errors_as, reason_of
from plateid.files import read_file

MAX_SPEC_BYTES, MAX_FILE_BYTES = 1_000_000, 500_000_000
"""Largest `bundle.toml`, and largest network or golden image."""
FORMATS = 1, 2
"""Versions of `bundle.toml` that this version of plateid reads. `reader.syntax` needs 2: versions
that do not use it refuse the bundle."""
Pixels = Annotated[int, Field(ge=8, le=4096)]
Margin = Annotated[float, Field(gt=-0.5, le=1)]
Shape = Annotated[str, Field(pattern=r"^[DL]{1,12}$")]
Temperature = Annotated[float, Field(gt=0, allow_inf_nan=False)]
S = TypeVar("S", bound=Section)


class NetworkSpec(Section):
    """Description of one network."""

    file: str = Field(pattern=r"^[\w.-]+\.onnx$", description="File name inside the bundle")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the file, hexadecimal")
    name: str = Field(description="Published as `model` in each event")
    width: Pixels = Field(description="Width of the input, pixels")
    height: Pixels = Field(description="Height of the input, pixels")
    origin: str = Field(default="", description="Training run that produced it")
    precision: Literal["float32", "float16", "int8"] = Field(
        default="float32",
        description="Precision of the weights; float16 is loaded as float32, int8 needs a CPU",
    )


class DetectorSpec(NetworkSpec):
    """A YOLO detector of one class.

    Input: RGB float32 (1, 3, H, W) in 0-1, or BGR uint8 (1, H, W, 3) if the network declares uint8.
    Output: float32 (1, 5, N), rows cx, cy, w, h in input pixels and score.
    """

    threshold: Probability = Field(description="Minimum score of a detection")
    nms_iou: Probability = Field(description="IoU above which NMS drops the lower score")


class ReaderSpec(NetworkSpec):
    """A CTC reader.

    Input: float32 (N, C, H, W) in 0-255. Output: probabilities float32 (N, T, 1 + len(charset)).
    """

    colour: Literal["grey", "bgr"] = Field(description="Colour of the input: 1 or 3 channels")
    fit: Literal["pad", "stretch"] = Field(description="How a crop is fitted into the input")
    margin_x: Margin = Field(description="Margin left and right, as a fraction of the box's width")
    margin_y: Margin = Field(description="Margin above and below, as a fraction of its height")
    charset: str = Field(description="Characters of output columns 1 and up; 0 is the CTC blank")
    regions: tuple[()] = Field(default=(), description="Reserved; empty")
    temperature: Temperature = Field(
        default=1.0, description="Temperature of the probabilities (scaling: Guo et al. 2017)"
    )
    syntax: dict[Shape, Annotated[int, Field(ge=1)]] = Field(
        default_factory=dict,
        max_length=MAX_SHAPES,
        description="Shapes of the taught plates (D: digit, L: letter), each with its number of "
        "vehicles; only in format 2",
    )


class TrainingData(Section):
    """One data set that the networks were trained on."""

    name: str
    licence: str
    used_for: Literal["detector", "reader", "both"]


class GoldenImage(Section):
    """An image that the bundle has to read correctly on every device."""

    file: str = Field(pattern=r"^golden/\w[\w.-]*$", description="Path inside the bundle")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the file, hexadecimal")
    plates: tuple[str, ...] = Field(min_length=1, description="Plates that must be read in it")


class BundleSpec(Section):
    """The content of `bundle.toml`."""

    format: int = Field(description="Version of this file format")
    name: str
    version: int = Field(default=0, ge=0, description="Rises with each release; 0: not packed yet")
    expires: datetime | None = Field(
        default=None, description="Time with zone after which devices refuse to install it"
    )
    licence: str
    detector: DetectorSpec
    reader: ReaderSpec
    training_data: tuple[TrainingData, ...]
    metrics: dict[str, float] = Field(default_factory=dict, description="Metrics of the model card")
    limits: tuple[str, ...] = Field(default=(), description="Known limitations")
    golden: tuple[GoldenImage, ...] = ()


class Bundle:
    """A verified bundle: `spec` and the bytes of both ONNX files."""

    def __init__(self, folder: Path) -> None:
        """Reads it; raises BundleError if it is incomplete, altered or of another format."""
        self.spec = read_spec(folder)
        detector, reader = self.spec.detector, self.spec.reader
        self.detector = verified(folder / detector.file, detector.sha256)
        self.reader = verified(folder / reader.file, reader.sha256)


def read_spec(folder: Path) -> BundleSpec:
    """Reads `bundle.toml`; raises BundleError if it is missing, invalid, or of another format."""
    path = folder / "bundle.toml"
    if not folder.is_dir():
        raise BundleError(folder, "is neither a shipped bundle nor a directory")
    spec = validated(BundleSpec, path, _table)
    if spec.reader.charset != CHARSET:
        raise BundleError(path, f"reader.charset: this version reads {CHARSET} only")
    return spec


def newest_bundle(name: str) -> str:
    """Returns the newest of `name`, such as default-0.9, and the shipped bundles of its kind."""
    names = [name, *(read_spec(SHIPPED / each).name for each in shipped_bundles())]
    kind = name.rpartition("-")[0]
    same = (each for each in names if each.rpartition("-")[0] == kind)
    return max(same, key=lambda each: [int(number) for number in re.findall(r"\d+", each)])


def _table(text: str) -> dict[str, Any]:
    table = tomllib.loads(text)
    number, reader = table.get("format"), table.get("reader")
    if number not in FORMATS:
        known = " and ".join(map(str, FORMATS))
        raise ValueError(f"format {number}; this version of plateid reads formats {known}")
    if number == FORMATS[0] and isinstance(reader, dict) and reader.get("syntax"):
        raise ValueError(f"reader.syntax: needs format {FORMATS[1]}")
    return table


def validated(kind: type[S], path: Path, parse: Callable[[str], Any]) -> S:
    """Reads a file that describes networks; raises BundleError if it is not valid."""
    try:
        with os_errors_as(BundleError, path):
            text = read_file(path, limit_bytes=MAX_SPEC_BYTES).decode()
        return kind.model_validate(parse(text))
    except ValidationError as error:
        first = error.errors()[0]
        reason = [".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")]
        raise BundleError(path, ": ".join(filter(None, reason))) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BundleError(path, " ".join(reason_of(error).split())) from error


def bundle_file(path: Path, *, limit_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Returns the content of a file of a bundle; raises BundleError if it cannot be read."""
    with os_errors_as(BundleError, path):
        return read_file(path, limit_bytes=limit_bytes)


def verified(path: Path, sha256: str) -> bytes:
    """Returns the content of a file of a bundle; raises BundleError if it has another hash."""
    data = bundle_file(path)
    if hashlib.sha256(data).hexdigest() != sha256:
        reason = "its SHA-256 is not the one in bundle.toml; the file was altered or truncated"
        raise BundleError(path, reason)
    return data
