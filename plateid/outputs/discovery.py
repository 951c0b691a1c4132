"""Publishes the entities to Home Assistant: on each connection, and when Home Assistant starts."""

import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

import structlog
from paho.mqtt.client import MQTTMessage

from plateid.backoff import Backoff, Outage
from plateid.config.outputs import HomeAssistantConfig
from plateid.errors import StoreError
from plateid.outputs.homeassistant import (
    camera_components,
    components,
    device_id,
    discovery_payload,
)
from plateid.outputs.mqtt_connection import OFFLINE, ONLINE
from plateid.outputs.mqtt_topics import MqttDevice, RetainedMessages

BIRTH_DELAY_S = 3.0
"""Longest delay of the answer to Home Assistant's start, seconds: all devices of a house answer."""
BACKOFF = Backoff()
STORE_RETRY_S = 30.0
"""Time until the message is published again after the store has failed, seconds."""
log = structlog.get_logger()


class ComponentStore(Protocol):
    """Remembers what was published. Each method may raise StoreError."""

    def components(self) -> dict[str, str]:
        """Returns the platform of each published component, by id."""

    def set_components(self, components: Mapping[str, str]) -> None:
        """Replaces what `components` returns."""

    def topics(self) -> set[str]:
        """Returns the topics that the broker may keep messages of."""

    def set_topics(self, topics: Collection[str]) -> None:
        """Replaces what `topics` returns."""


class OldTopics:
    """The retained topics of this device before its configuration changed, as of a camera."""

    def __init__(self, present: frozenset[str], store: ComponentStore) -> None:
        self._present = present
        self._store = store
        self._old: frozenset[str] | None = None
        self._outage = Outage("list of MQTT topics", BACKOFF)

    def step(self, retained: RetainedMessages) -> None:
        """Sets old topics to empty messages, and forgets them once the broker has these."""
        is_done = self._old is not None and not self._old
        if is_done or self._outage.wait_s:
            return
        with self._outage.noted(StoreError):
            if self._old is None:
                known = self._store.topics()
                self._store.set_topics(known | self._present)
                self._old = frozenset(known - self._present)
                for topic in self._old:
                    retained.set(topic, "")
            elif all(retained.is_acknowledged(topic) for topic in self._old):
                self._store.set_topics(self._present)
                self._old = frozenset()


class DiscoveryPublisher:
    """Keeps the discovery messages at the broker, and old topics away. One thread makes all calls.

    The device and each camera have a message. Home Assistant removes a component whose platform
    alone is published, once. For this, the store remembers the published components of the device.
    If discovery is disabled, all devices are removed.
    """

    def __init__(
        self,
        config: HomeAssistantConfig,
        device: MqttDevice,
        store: ComponentStore,
        *,
        list_names: Callable[[], Sequence[str]] = tuple,
        birth_delay_s: float = BIRTH_DELAY_S,
    ) -> None:
        """Publishes nothing yet; `list_names` gives the names of list entries, which may change."""
        self.subscription = config.status_topic if config.enabled else None
        cameras = device.cameras if config.enabled else ()
        self._topic = f"{config.prefix}/device/{device_id(device)}/config"
        self._messages = {
            f"{config.prefix}/device/{device_id(device, camera)}/config": discovery_payload(
                device, camera_components(device, camera), removed={}, camera=camera
            )
            for camera in cameras
        }
        self._device = device
        self._list_names = list_names
        self._store = store
        self._old_topics = OldTopics(device.retained.union(self._messages), store)
        self._compose(list_names())
        self._birth_delay_s = birth_delay_s
        self._due_at: float | None = None
        self._removing: frozenset[str] = frozenset()
        self._outage = Outage("discovery", Backoff())
        self._warned = False

    def renew(self) -> None:
        """Makes the message due now, as on each new connection."""
        self._due_at = time.monotonic()

    def receive(self, message: MQTTMessage) -> None:
        """Takes `online` of the status topic; a retained one is older than the connection."""
        if message.payload == ONLINE.encode() and not message.retain:
            delay_s = random.uniform(0, self._birth_delay_s)  # noqa: S311 nothing secret
            self._due_at = self._due_at or time.monotonic() + delay_s
        elif message.payload not in (ONLINE.encode(), OFFLINE.encode()) and not self._warned:
            self._warned = True
            log.warning("unknown status of home assistant ignored", bytes=len(message.payload))

    def step(self, retained: RetainedMessages) -> bool:
        """Sets the message if it is due, and returns whether it was; retries if the store fails."""
        self._old_topics.step(retained)
        if (names := self._list_names()) != self._names:
            self._compose(names)
            self.renew()
        removed = bool(self._removing) and retained.is_acknowledged(self._topic)
        due = self._due_at is not None and time.monotonic() >= self._due_at
        if self._outage.wait_s or not (due or removed):
            return False
        with self._outage.noted(StoreError):
            self._publish(retained) if due else self._forget_removed(retained)
        return due

    def _compose(self, names: Sequence[str]) -> None:
        self._names = names
        self._components = components(self._device, names) if self.subscription else {}
        self._platforms = {id_: each["p"] for id_, each in self._components.items()}

    def _publish(self, retained: RetainedMessages) -> None:
        before = self._remembered()
        removed = {id_: before[id_] for id_ in before.keys() - self._platforms.keys()}
        self._removing = frozenset(removed)
        if self._components or before:
            retained.set(self._topic, self._payload(removed))
        for topic, message in self._messages.items():
            retained.set(topic, message)

    def _remembered(self) -> dict[str, str]:
        """Returns the published components, none if the store fails; adds the present ones."""
        self._due_at = time.monotonic() + STORE_RETRY_S
        try:
            before = self._store.components()
            if self._platforms.keys() - before.keys():
                self._store.set_components(before | self._platforms)
        except StoreError:
            return {}
        self._due_at = None
        return before

    def _forget_removed(self, retained: RetainedMessages) -> None:
        """Follows once the broker has the message that removes components."""
        before = self._store.components()
        self._store.set_components({i: before[i] for i in before.keys() - self._removing})
        self._publish(retained)

    def _payload(self, removed: dict[str, str]) -> str:
        """Returns the message; an empty one removes the device."""
        if not self._components:
            return ""
        return discovery_payload(self._device, self._components, removed=removed)
