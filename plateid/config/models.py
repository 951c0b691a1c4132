"""Section `[models]`, and the paths of shipped and installed bundles."""

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StrictInt, ValidationInfo

from plateid.config.section import ConfigPath, Section, in_folder, matching
from plateid.errors import ConfigError

SHIPPED = Path(__file__).parents[1] / "models"
"""Directory of the shipped bundles."""
DEFAULT_BUNDLE = SHIPPED / "default"
"""Bundle that plateid runs if no other is configured or installed."""
BUNDLE, EASYOCR = "bundle", "easyocr"
"""Values of `models.reader`; the first one is also a value of `models.detector`."""
AUTO_BUNDLE = SHIPPED / "auto"
"""Stands for the shipped bundle that suits this device; no such directory exists."""
ACTIVE = "active"
"""Name of the symlink that points to the installed bundle in use."""
TRIAL = Path("/run/plateid-trial")
"""Symlink to the bundle on trial, which `plateid models install` sets. A reboot deletes it."""

Provider = Annotated[
    str,
    matching(
        r"auto|cpu|cuda|tensorrt|openvino(:[A-Za-z]+(\.\d+)?)?(:(f32|bf16|f16))?",
        "auto, cpu, openvino, cuda or tensorrt",
    ),
]
"""A backend that runs the networks."""


def shipped_bundles() -> tuple[str, ...]:
    """Returns the names of the shipped bundles, the default first."""
    names = (file.parent.name for file in SHIPPED.glob("*/bundle.toml"))
    return tuple(sorted(names, key=lambda name: (name != DEFAULT_BUNDLE.name, name)))


def bundle_path(bundle: Any) -> Any:
    """Returns the directory of a shipped bundle given its name, and any other value unchanged."""
    return SHIPPED / bundle if bundle in (*shipped_bundles(), AUTO_BUNDLE.name) else bundle


def link_target(link: Path) -> Path | None:
    """Returns the target of a symlink, which need not exist; None if there is no symlink.

    Raises ConfigError if the symlink cannot be read.
    """
    try:
        return Path(os.path.realpath(link.parent / link.readlink()))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(link, error.strerror) from error


def bundle_in_use(installed: Path) -> Path:
    """Returns the bundle on trial, else the one installed last, else the default one.

    Raises ConfigError if the directory of installed bundles cannot be read.
    """
    trial = link_target(TRIAL)
    if trial is not None and trial in (DEFAULT_BUNDLE.resolve(), installed.resolve() / trial.name):
        return trial
    return link_target(installed / ACTIVE) or DEFAULT_BUNDLE


def _network(text: str, info: ValidationInfo) -> str:
    """Resolves the path of a drop-in model; `bundle` and `easyocr` stay as they are."""
    names = [BUNDLE] if info.field_name == "detector" else [BUNDLE, EASYOCR]
    if text in names:
        return text
    if not text.endswith(".onnx"):
        raise ValueError(f"must be {', '.join(names)} or the path of an .onnx file")
    return str(in_folder(Path(text), info))


Network = Annotated[str, AfterValidator(_network)]
"""A name of a network, or the path of a drop-in model."""


class ModelsConfig(Section):
    """Section `[models]`: the networks, and the backend that runs them."""

    bundle: Annotated[ConfigPath, BeforeValidator(bundle_path)] = DEFAULT_BUNDLE
    """Model bundle: the name of a shipped one (default, accurate, small), a directory, or auto: the
    most accurate shipped one that holds the cameras' frame rate; without this key, the bundle that
    `plateid models install` installed last, else default."""
    installed: ConfigPath = Path("/var/lib/plateid-models")
    """Directory of installed bundles."""
    trusted_keys: ConfigPath = Path("/etc/plateid/keys")
    """Directory of the public keys (Ed25519, *.pem) that may sign bundles."""
    provider: Provider = "cpu"
    """Backend of the networks: cpu (ONNX Runtime), cuda, tensorrt; openvino (pip install
    'plateid[openvino]'), with a precision or a device of Intel after a colon, such as openvino:bf16
    or openvino:GPU; or auto: the fastest that computes the same as cpu. plateid never falls back
    from a backend that is named here."""
    engine_cache: ConfigPath | None = None
    """Directory of TensorRT engines and of measurements of backends; default: engines/ in the
    service's cache directory, else plateid/engines/ in the user's cache."""
    threads: StrictInt = Field(default=1, ge=1, le=64)
    """Threads of one inference; TensorRT ignores it."""
    workers: StrictInt = Field(
        default_factory=lambda: min(64, len(os.sched_getaffinity(0))), ge=1, le=64
    )
    """Parallel inferences; default: one for each CPU core."""
    detector: Network = BUNDLE
    """Detector: the bundle's network, or a YOLO export of ultralytics or open-image-models (drop-in
    model, *.onnx)."""
    detector_class: str | None = None
    """Name of the class of plates in a drop-in detector; default: its only class, or the only one
    whose name has "plate" in it."""
    reader: Network = BUNDLE
    """Reader: the bundle's network, a model of fast-plate-ocr (drop-in model, *.onnx, with its
    *_config.yaml beside it), or easyocr: EasyOCR's english_g2 on the CPU, which is slower and less
    accurate (pip install 'plateid[easyocr]')."""
    easyocr_folder: ConfigPath | None = None
    """Directory of english_g2.pth; default: EasyOCR downloads the file."""
