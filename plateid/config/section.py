"""What all tables of `plateid.toml` have in common; relative paths are relative to the file.

The directory is the `folder` in the context of the validation; without it, paths stay as they are.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    IPvAnyAddress,
    StrictFloat,
    StrictInt,
    ValidationInfo,
    field_validator,
)

CREDSTORE = Path("/etc/credstore")
"""Directory from which systemd takes the credentials of the service."""
CREDENTIALS = frozenset(
    {"mqtt-password", "mqtt-key", "webhook-secret", "web-key", "postgres-password"}
)
"""Names of the credentials that the service's unit loads from `CREDSTORE`."""


def in_folder(path: Path, info: ValidationInfo) -> Path:
    """Returns a path relative to the folder of the file that is validated."""
    return info.context["folder"] / path if info.context else path


def _credential(path: Path, info: ValidationInfo) -> Path:
    """Returns the first file that exists: loaded by systemd, in `folder`, or in `CREDSTORE`.

    systemd loads credentials for the service only (systemd.exec(5), CREDENTIALS), so
    `plateid check` needs the others.
    """
    if not info.context:
        return path
    folder: Path = info.context["folder"]
    folders = [Path(os.environ.get("CREDENTIALS_DIRECTORY", folder)), folder]
    if str(path) in CREDENTIALS:
        folders.append(CREDSTORE)
    found = (file for each in folders if os.access(file := each / path, os.F_OK))
    return next(found, folder / path)


def _not_empty(path: Any) -> Any:
    """Refuses an empty path, which would be the current directory."""
    if path == "":
        raise ValueError("must not be empty")
    return path


def _no_number(address: Any) -> Any:
    """Refuses numbers: `ipaddress` takes 1 for 0.0.0.1."""
    if isinstance(address, int):
        raise ValueError("must be an IP address")  # noqa: TRY004 - pydantic needs a ValueError
    return address


ConfigPath = Annotated[Path, BeforeValidator(_not_empty), AfterValidator(in_folder)]
"""A path of a file or directory."""
CredentialPath = Annotated[Path, BeforeValidator(_not_empty), AfterValidator(_credential)]
"""A path of a file, or the name of a systemd credential."""
Address = Annotated[IPvAnyAddress, BeforeValidator(_no_number)]
"""An IPv4 or IPv6 address."""
SourceUrl = Annotated[
    str,
    Field(min_length=1),
    AfterValidator(lambda url, info: url if "://" in url else str(in_folder(Path(url), info))),
]
"""A URL, a device, or the path of a video file."""


def matching(pattern: str, wanted: str) -> AfterValidator:
    """Returns a validator that refuses text without this pattern and says what is wanted."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"must be {wanted}")
        return text

    return AfterValidator(check)


Name = Annotated[str, matching(r"[a-zA-Z0-9_-]{1,64}", "1 to 64 letters, digits, - or _")]
Probability = Annotated[StrictFloat, Field(ge=0, le=1)]
Port = Annotated[StrictInt, Field(ge=1, le=65535)]
Seconds = Annotated[StrictFloat, Field(gt=0, le=1e7)]
"""A duration, seconds; at most 115 days."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
"""Characters that file names, hosts and URLs never have. Libraries fail in many ways at NUL."""


class Section(BaseModel):
    """One table of the file: immutable, without unknown keys."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    @field_validator("*", mode="before")
    @classmethod
    def _check_characters(cls, value: Any) -> Any:
        if isinstance(value, str) and _CONTROL.search(value):
            raise ValueError("must not contain control characters")
        return value
