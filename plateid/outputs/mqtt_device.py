"""Whose topics and entities they are."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """One installation of plateid.

    Attributes:
        prefix: First level of its topics.
        device: Its name, the second level.
        instance: Random, and the same for as long as its store lives.
        cameras: Their names.
        pictures: Whether they have snapshots.
    """

    prefix: str
    device: str
    instance: str
    cameras: tuple[str, ...]
    images: bool = True

    @property
    def root(self) -> str:
        """What all its topics begin with."""
        return f"{self.prefix}/{self.device}"

    def snapshot_topic(self, camera: str) -> str:
        """Where the best shots of a camera go."""
        return f"{self.root}/{camera}/snapshot"

    @property
    def status_topic(self) -> str:
        """Where it says that it is online."""
        return f"{self.root}/status"

    @property
    def health_topic(self) -> str:
        """Where it says how it is."""
        return f"{self.root}/health"
