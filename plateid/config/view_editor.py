"""Changes the view of a camera (region, masks, line) in the text of a configuration file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from plateid.errors import ConfigError


def with_view(file: Path, camera: str, view: Mapping[str, Any]) -> str:
    """Returns the text of the file with other keys for a camera; comments stay.

    Args:
        file: The configuration file.
        camera: Name of the camera.
        view: Values by key, with normalised coordinates (0-1); empty values delete the key.

    Raises:
        ConfigError: The file has no table for this camera.
        OSError: The file cannot be read.
    """
    try:
        document = tomlkit.parse(file.read_text("utf-8-sig"))
        (table,) = (table for table in document["camera"] if table["name"] == camera)
        for key, value in view.items():
            if value:
                table[key] = _rounded(value)
            else:
                table.pop(key, None)
    except (TOMLKitError, KeyError, ValueError, TypeError) as error:
        raise ConfigError(file, f"no [[camera]] table named {camera} to change") from error
    return tomlkit.dumps(document)


def _rounded(value: Any) -> Any:
    return [_rounded(each) for each in value] if isinstance(value, list) else round(value, 3)
