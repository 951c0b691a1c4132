"""The plate syntax that a configuration expects."""

from pathlib import Path

from plateid.config.cameras import EventsConfig
from plateid.config.root import Config
from plateid.core.formats import Formats, shipped_formats, with_tables
from plateid.errors import ConfigError, reason_of
from plateid.files import read_text


def load_formats(path: Path | None) -> Formats:
    """Returns the shipped plate syntax and that of a user's file, which has priority.

    Raises ConfigError, which names the file, the line and the reason.
    """
    if path is None:
        return shipped_formats()
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(path, reason_of(error)) from error
    return with_tables(text, path)


def expected_formats(events: EventsConfig) -> Formats:
    """Returns the plate syntax that `[events]` expects.

    Raises ConfigError as `load_formats`; or if a region is unknown, or `strict` has no region.
    """
    formats = load_formats(events.formats)
    return formats.expecting(events.regions, key="events.regions", strict=events.strict)


def formats_of(config: Config) -> dict[str, Formats]:
    """Returns the plate syntax that each camera expects, by its name; raises ConfigError."""
    common = expected_formats(config.events)
    formats = {}
    for camera in config.camera:
        try:
            formats[camera.name] = expected_formats(camera.events) if camera.events else common
        except ConfigError as error:
            raise ConfigError(f"camera {camera.name}: {error.subject}", error.reason) from error
    return formats
