"""Deletes retained messages of earlier configurations, such as those of a renamed camera."""

from collections.abc import Collection
from typing import Protocol

from plateid.backoff import Backoff, Outage
from plateid.errors import StoreError
from plateid.outputs.mqtt_device import MqttDevice
from plateid.outputs.retained_messages import RetainedMessages

BACKOFF = Backoff()


class TopicStore(Protocol):
    """Remembers the topics that the broker may keep messages of. Both may raise StoreError."""

    def topics(self) -> set[str]:
        """Returns the remembered topics."""
        ...

    def set_topics(self, topics: Collection[str]) -> None:
        """Replaces what `topics` returns."""
        ...


class OldTopics:
    """The retained topics of this device before its configuration changed."""

    def __init__(self, device: MqttDevice, store: TopicStore) -> None:
        self._present = device.retained
        self._store = store
        self._old: frozenset[str] | None = None
        self._outage = Outage("list of MQTT topics", BACKOFF)

    def step(self, retained: RetainedMessages) -> None:
        """Sets old topics to empty messages, and forgets them once the broker has these."""
        is_done = self._old is not None and not self._old
        if is_done or self._outage.wait_s:
            return
        try:
            if self._old is None:
                known = self._store.topics()
                self._store.set_topics(known | self._present)
                self._old = frozenset(known - self._present)
                for topic in self._old:
                    retained.set(topic, "")
            elif all(retained.is_acknowledged(topic) for topic in self._old):
                self._store.set_topics(self._present)
                self._old = frozenset()
            self._outage.recovered()
        except StoreError as error:
            self._outage.failed(error)
