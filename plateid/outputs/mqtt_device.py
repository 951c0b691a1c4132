"""The MQTT topics of a device."""

from dataclasses import dataclass


@dataclass(frozen=True)
class MqttDevice:
    """One installation of plateid, as MQTT and Home Assistant know it.

    Its topics begin with `prefix` and `device`. `instance` is random, and lives as long as the
    store. `images` says whether the cameras have snapshots, `occupancy` and `capacity` whether the
    vehicles inside are counted, and the free places too.
    """

    prefix: str
    device: str
    instance: str
    cameras: tuple[str, ...]
    images: bool = True
    occupancy: bool = False
    capacity: bool = False

    @property
    def retained(self) -> frozenset[str]:
        """All topics of which the broker keeps the last message."""
        kinds = ("status", "last", *(["snapshot"] if self.images else []))
        own = ("status", "disk", *(["occupancy"] if self.occupancy else []))
        of_cameras = (self.topic(camera, kind) for camera in self.cameras for kind in kinds)
        return frozenset({*map(self.topic, own), *of_cameras})

    def topic(self, *levels: str) -> str:
        """Returns a topic: `status` or `health`, or the name of a camera and what it publishes."""
        return "/".join((self.prefix, self.device, *levels))
