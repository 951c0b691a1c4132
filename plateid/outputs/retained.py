"""Retained messages, and which of them the broker has yet to be told."""

import threading

from plateid.outputs.mqtt_connection import OFFLINE, ONLINE


class Retained:
    """The payload behind each retained topic. May be used from any thread."""

    def __init__(self) -> None:
        """No topic is known."""
        self._lock = threading.Lock()
        self._payloads: dict[str, str] = {}
        self._due: dict[str, str] = {}
        self._images: dict[str, bytes] = {}
        self._statuses: set[str] = set()
        self._known: set[str] = set()

    def set(self, topic: str, payload: str) -> None:
        """Makes a payload due, now and on every connection."""
        with self._lock:
            self._payloads[topic] = self._due[topic] = payload
            self._known.discard(topic)

    def set_status(self, topic: str, *, online: bool) -> None:
        """Makes a state due, which `all_offline` ends."""
        self._statuses.add(topic)
        self.set(topic, ONLINE if online else OFFLINE)

    def set_image(self, topic: str, image: bytes) -> None:
        """Makes a picture due, once: a connection that it ended would not outlive it again."""
        with self._lock:
            self._images[topic] = image

    def take_image(self) -> tuple[str, bytes] | None:
        """A topic and its latest picture, which is no longer due; None when none is."""
        with self._lock:
            return self._images.popitem() if self._images else None

    def renew(self) -> None:
        """Makes every payload due again: the broker may be another one."""
        with self._lock:
            self._due = dict(self._payloads)
            self._known.clear()

    def all_offline(self) -> None:
        """Makes every status due as `offline`."""
        with self._lock:
            offline = dict.fromkeys(self._statuses, OFFLINE)
            self._payloads |= offline
            self._due |= offline

    def take(self) -> tuple[str, str] | None:
        """A topic and its payload, which is no longer due; None when nothing is."""
        with self._lock:
            for topic in self._due:
                return topic, self._due.pop(topic)
            return None

    def acknowledged(self, topic: str) -> None:
        """The broker has what was taken last."""
        with self._lock:
            if topic not in self._due:
                self._known.add(topic)

    def is_known(self, topic: str) -> bool:
        """Whether the broker has the payload of this topic."""
        return topic in self._known
