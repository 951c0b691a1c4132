"""The MQTT topics of a device."""

from dataclasses import dataclass


@dataclass(frozen=True)
class MqttDevice:
    """One installation of plateid, as MQTT and Home Assistant know it.

    Attributes:
        prefix: First level of its topics.
        device: Name of the device, the second level.
        instance: Random identifier that lives as long as the store.
        cameras: Names of the cameras.
        images: Whether the cameras have snapshots.
    """

    prefix: str
    device: str
    instance: str
    cameras: tuple[str, ...]
    images: bool = True

    @property
    def root(self) -> str:
        """The beginning of all topics."""
        return f"{self.prefix}/{self.device}"

    @property
    def status_topic(self) -> str:
        """The topic with `online` or `offline`."""
        return f"{self.root}/status"

    @property
    def health_topic(self) -> str:
        """The topic of the health report."""
        return f"{self.root}/health"

    def camera_topic(self, camera: str, name: str) -> str:
        """Returns a topic of a camera: event, last, snapshot or status."""
        return f"{self.root}/{camera}/{name}"
