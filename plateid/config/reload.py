"""Separates changes of a configuration that take effect at once from those at a restart."""

from plateid.config.root import Config

RELOADABLE = ("events",)
"""Sections that take effect at a reload. The values of each camera do so as well."""


def merged(running: Config, wanted: Config) -> tuple[Config, list[str]]:
    """Applies the changes that need no restart.

    Returns:
        The configuration to continue with, and the sections of `wanted` that wait for a restart.
        `camera` is one of them if cameras were added or removed.
    """
    cameras = {camera.name: camera for camera in wanted.camera}
    live = {section: getattr(wanted, section) for section in RELOADABLE}
    live["camera"] = tuple(cameras.get(camera.name, camera) for camera in running.camera)
    config = running.model_copy(update=live)
    waiting = [
        section
        for section in Config.model_fields
        if section != "camera" and getattr(config, section) != getattr(wanted, section)
    ]
    if cameras.keys() != {camera.name for camera in running.camera}:
        waiting.append("camera")
    return config, waiting
