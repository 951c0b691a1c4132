"""The MQTT topics of a device."""

from dataclasses import dataclass


@dataclass(frozen=True)
class MqttDevice:
    """One installation of plateid, as MQTT and Home Assistant know it.

    Its topics begin with `prefix` and `device`. `instance` is random, and lives as long as the
    store. `images` says whether the cameras have snapshots.
    """

    prefix: str
    device: str
    instance: str
    cameras: tuple[str, ...]
    images: bool = True

    def topic(self, *levels: str) -> str:
        """Returns a topic: `status` or `health`, or the name of a camera and what it publishes."""
        return "/".join((self.prefix, self.device, *levels))
