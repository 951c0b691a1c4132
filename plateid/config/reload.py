"""Which changes of a configuration take effect at once, and which at the next start."""

from plateid.config.root import Config

LIVE = ("events",)
"""Sections that may change while plateid runs; so may the values of each camera."""


def merged(running: Config, wanted: Config) -> tuple[Config, list[str]]:
    """What to go on with: `wanted`, as far as that needs no restart.

    Returns:
        That configuration, and the sections of `wanted` that have to wait for a restart; `camera`
        is one of them when cameras were added or removed.
    """
    cameras = {camera.name: camera for camera in wanted.camera}
    live = {section: getattr(wanted, section) for section in LIVE}
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
