"""Which networks are used: `[models]`, and the bundles that ship or were installed."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from plateid.config.section import Section
from plateid.errors import ConfigError

SHIPPED = Path(__file__).parents[1] / "models"
DEFAULT_BUNDLE = SHIPPED / "default"
ACTIVE = "active"
"""Name of the link that shows to the installed bundle in use."""
TRIAL = Path("/run/plateid-trial")
"""Link to the bundle that `plateid models install` lets the service try."""


def shipped_bundles() -> tuple[str, ...]:
    """Names of the bundles that ship with plateid, the default first."""
    names = (file.parent.name for file in SHIPPED.glob("*/bundle.toml"))
    return tuple(sorted(names, key=lambda name: (name != DEFAULT_BUNDLE.name, name)))


def bundle_path(bundle: Any) -> Any:
    """The folder of a bundle that ships, where text is its name; all else is left as it is."""
    return SHIPPED / bundle if bundle in shipped_bundles() else bundle


def bundle_of(link: Path) -> Path | None:
    """What a link shows to, which need not exist; None where there is no link.

    Raises:
        ConfigError: Nobody can tell.
    """
    try:
        return Path(os.path.realpath(link.parent / link.readlink()))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(link, error.strerror) from error


def bundle_in_use(installed: Path) -> Path:
    """The bundle on trial, else the one installed last, else the one that ships.

    Raises:
        ConfigError: The folder of installed bundles cannot be searched.
    """
    trial = bundle_of(TRIAL)
    if trial is not None and trial in (DEFAULT_BUNDLE.resolve(), installed.resolve() / trial.name):
        return trial
    return bundle_of(installed / ACTIVE) or DEFAULT_BUNDLE


class ModelsConfig(Section):
    """Section `[models]`."""

    bundle: Annotated[Path, BeforeValidator(bundle_path)] = Field(
        default=DEFAULT_BUNDLE,
        description="Model bundle: the name of one that ships (default, accurate, small), or a "
        "directory; without this key, what `plateid models install` installed last, else default",
    )
    installed: Path = Field(
        default=Path("/var/lib/plateid-models"),
        description="Directory of the bundles that `plateid models install` installs",
    )
    trusted_keys: Path = Field(
        default=Path("/etc/plateid/keys"),
        description="Directory of public keys (Ed25519, *.pem) whose bundles may be installed",
    )
    provider: Literal["cpu", "cuda", "tensorrt"] = Field(
        default="cpu", description="ONNX Runtime execution provider; never exchanged silently"
    )
    engine_cache: Path | None = Field(
        default=None,
        description="Directory of TensorRT engines; default: engines/ in the cache directory that "
        "systemd gives the service, else plateid/engines/ in the user's cache",
    )
    threads: int = Field(
        default=1, ge=1, le=64, description="Threads of one inference; TensorRT needs none"
    )
    workers: int = Field(
        default_factory=lambda: min(64, len(os.sched_getaffinity(0))),
        ge=1,
        le=64,
        description="Inferences at the same time; default: one for each processor core",
    )
    reader: Literal["bundle", "easyocr"] = Field(
        default="bundle",
        description="Who reads: the bundle's network, or EasyOCR's english_g2, slow and weak, on "
        "the CPU (pip install plateid[easyocr])",
    )
    easyocr_folder: Path | None = Field(
        default=None, description="Folder of english_g2.pth; default: EasyOCR downloads it"
    )
