"""A model bundle: two networks, and all that one must know to feed them, checked before use."""

import hashlib
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator

from plateid.config.section import Probability, Section
from plateid.core.text import CHARSET
from plateid.errors import BundleError, reason_of

FORMAT = 1
Pixels = Annotated[int, Field(ge=8, le=4096)]
Margin = Annotated[float, Field(gt=-0.5, le=1)]
Temperature = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Country = Annotated[str, Field(pattern=r"^([a-z]{2})?$")]


class NetworkSpec(Section):
    """What every network says of itself."""

    file: str = Field(pattern=r"^[\w.-]+\.onnx$", description="File name inside the bundle")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of the file")
    name: str = Field(description="Published as `model` in each event")
    width: Pixels = Field(description="Of the input, in pixels")
    height: Pixels = Field(description="Of the input, in pixels")
    origin: str = Field(default="", description="The run that made it")
    precision: Literal["float32", "float16", "int8"] = Field(
        default="float32",
        description="Of its weights; float16 is widened when loaded, int8 runs on CPUs only",
    )


class DetectorSpec(NetworkSpec):
    """YOLO with one class: a picture in, (1, 5, N) cx, cy, w, h, score out.

    In is RGB (1, 3, H, W) 0 to 1, or, where the network declares bytes, BGR (1, H, W, 3) 0 to 255:
    pictures as they are, so that nobody has to convert them.
    """

    threshold: Probability = Field(description="Detections below it are no plates")
    nms_iou: Probability = Field(description="Boxes that overlap more than this are one plate")


class ReaderSpec(NetworkSpec):
    """CTC: (N, C, H, W) 0 to 255 in, probabilities (N, T, 1 + charset), blank first, out.

    With `regions`, a second output (N, regions): how likely the plate is one of each country.
    """

    colour: Literal["grey", "bgr"] = Field(description="Channels of the input: 1 or 3")
    fit: Literal["pad", "stretch"] = Field(description="How a crop of another shape is fitted in")
    margin_x: Margin = Field(description="Box widths added on the left and right before cropping")
    margin_y: Margin = Field(description="Box heights added above and below before cropping")
    charset: str = Field(description="Characters of the output columns, from column 1")
    regions: tuple[Country, ...] = Field(
        default=(),
        description='Countries of the second output\'s columns, "" for all others; empty: it has '
        "no such output",
    )
    temperature: Temperature = Field(
        default=1.0,
        description="Calibration: a character's probabilities are raised to 1 / temperature and "
        "brought back to a sum of 1 (Guo et al. 2017); fitted on held-out plates",
    )

    @field_validator("regions")
    @classmethod
    def _told_apart(cls, regions: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(regions)) < len(regions):
            raise ValueError("a country has two columns")
        return regions


class TrainingData(Section):
    """Where a network's knowledge comes from."""

    name: str
    licence: str
    used_for: Literal["detector", "reader", "both"]


class GoldenImage(Section):
    """A picture that the bundle must read right wherever it is installed."""

    file: str = Field(pattern=r"^golden/\w[\w.-]*$", description="Inside the bundle")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of the file")
    plates: tuple[str, ...] = Field(min_length=1, description="What it shows, at least")


class BundleSpec(Section):
    """The whole of `bundle.toml`."""

    format: int = Field(description="Version of this layout")
    name: str
    licence: str
    detector: DetectorSpec
    reader: ReaderSpec
    training_data: tuple[TrainingData, ...]
    metrics: dict[str, float] = Field(default_factory=dict, description="Figures of the model card")
    limits: tuple[str, ...] = Field(default=(), description="What it cannot do, as far as is known")
    golden: tuple[GoldenImage, ...] = Field(
        default=(), description="What `plateid models install` tests it with"
    )


class Bundle:
    """A checked bundle: `spec`, and the networks' bytes that had the right hashes."""

    def __init__(self, folder: Path) -> None:
        """Reads and verifies the bundle in `folder`.

        Raises:
            BundleError: The bundle is missing or incomplete, of another format, or a file was
                altered.
        """
        self.folder = folder
        self.spec = read_spec(folder)
        detector, reader = self.spec.detector, self.spec.reader
        self.detector = verified(folder / detector.file, detector.sha256)
        self.reader = verified(folder / reader.file, reader.sha256)


def read_spec(folder: Path) -> BundleSpec:
    """What the bundle in `folder` says of itself; its networks are not looked at.

    Raises:
        BundleError: `bundle.toml` is missing, wrong, or of another format.
    """
    path = folder / "bundle.toml"
    try:
        table = tomllib.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(path, reason_of(error)) from error
    _check_format(path, table)
    try:
        spec = BundleSpec.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        raise BundleError(path, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    if spec.reader.charset != CHARSET:
        raise BundleError(path, f"reader.charset: this version reads {CHARSET} only")
    return spec


def _check_format(path: Path, table: dict[str, Any]) -> None:
    if table.get("format") != FORMAT:
        raise BundleError(
            path, f"format {table.get('format')}; this version of plateid reads format {FORMAT}"
        )


def verified(path: Path, sha256: str) -> bytes:
    """What a file of a bundle holds.

    Raises:
        BundleError: It cannot be read, or is another one.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BundleError(path, error.strerror) from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise BundleError(
            path, "its SHA-256 is not the one in bundle.toml; the file was altered or cut off"
        )
    return data
