"""The MQTT topics of a device, and its retained messages that the broker does not have yet."""

import threading
from dataclasses import dataclass

from plateid.outputs.mqtt_connection import OFFLINE, ONLINE


@dataclass(frozen=True)
class MqttDevice:
    """One installation of plateid, as MQTT and Home Assistant know it.

    Its topics begin with `prefix` and `device`. `instance` is random, and lives as long as the
    store. `images` says whether the cameras have snapshots, `occupancy` and `capacity` whether the
    vehicles inside are counted, and the free places too. `url` is the address of the web UI for
    users, `newest_bundle` the name of the newest bundle; empty: unknown.
    """

    prefix: str
    device: str
    instance: str
    cameras: tuple[str, ...]
    images: bool = True
    occupancy: bool = False
    capacity: bool = False
    url: str = ""
    newest_bundle: str = ""

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


class RetainedMessages:
    """The payload of each retained topic. May be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._payloads: dict[str, str] = {}
        self._due: dict[str, str] = {}
        self._images: dict[str, bytes] = {}
        self._acknowledged: set[str] = set()

    def set(self, topic: str, payload: str) -> None:
        """Makes a payload due, now and on every new connection."""
        with self._lock:
            self._payloads[topic] = self._due[topic] = payload
            self._acknowledged.discard(topic)

    def change(self, topic: str, payload: str) -> bool:
        """Makes a payload due if it is another one than before; returns whether it is."""
        if self._payloads.get(topic) == payload:
            return False
        self.set(topic, payload)
        return True

    def set_image(self, topic: str, image: bytes) -> None:
        """Makes an image due once: an image that ended a connection must not end the next one."""
        with self._lock:
            self._images[topic] = image

    def take_image(self) -> tuple[str, bytes] | None:
        """Returns a topic and its latest image, which is no longer due; None if none is due."""
        with self._lock:
            return self._images.popitem() if self._images else None

    def renew(self) -> None:
        """Makes every payload due again, for a new connection: the broker may be another one."""
        with self._lock:
            self._due = dict(self._payloads)
            self._acknowledged.clear()

    def all_offline(self) -> None:
        """Makes every status due as `offline`."""
        with self._lock:
            statuses = [key for key, value in self._payloads.items() if value in (ONLINE, OFFLINE)]
            offline = dict.fromkeys(statuses, OFFLINE)
            self._payloads |= offline
            self._due |= offline

    def take(self) -> tuple[str, str] | None:
        """Returns a topic and its payload, which is no longer due; None if none is due."""
        with self._lock:
            for topic in self._due:
                return topic, self._due.pop(topic)
            return None

    def acknowledge(self, topic: str) -> None:
        """Notes that the broker has the payload that was taken last."""
        with self._lock:
            if topic not in self._due:
                self._acknowledged.add(topic)

    def is_acknowledged(self, topic: str) -> bool:
        """Returns whether the broker has the payload of this topic."""
        return topic in self._acknowledged
