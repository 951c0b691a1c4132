"""Whether the device and its cameras are online, and what the broker has yet to be told of it."""

import threading

from plateid.events.connection import OFFLINE, ONLINE


class Statuses:
    """The state behind each status topic, and which of them the broker has yet to be told."""

    def __init__(self) -> None:
        """No topic is known."""
        self._lock = threading.Lock()
        self._states: dict[str, str] = {}
        self._due: dict[str, str] = {}

    def set(self, topic: str, *, online: bool) -> None:
        """Makes a state due; may be called from any thread."""
        with self._lock:
            self._states[topic] = self._due[topic] = ONLINE if online else OFFLINE

    def renew(self) -> None:
        """Makes every state due again."""
        with self._lock:
            self._due = dict(self._states)

    def all_offline(self) -> None:
        """Makes every state due as `offline`."""
        with self._lock:
            self._states = dict.fromkeys(self._states, OFFLINE)
            self._due = dict(self._states)

    def take(self) -> tuple[str, str] | None:
        """A topic and its state, which is no longer due; None when nothing is."""
        with self._lock:
            for topic in self._due:
                return topic, self._due.pop(topic)
            return None
