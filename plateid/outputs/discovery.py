"""When Home Assistant is told of the box: on each connection, and when it says that it is up."""

import random
import time
from collections.abc import Callable, Sequence

import structlog

from plateid.backoff import Backoff, Outage
from plateid.config.outputs import HomeAssistantConfig
from plateid.errors import StoreError
from plateid.outputs.homeassistant import announcement, components, device_id
from plateid.outputs.mqtt_connection import OFFLINE, ONLINE, Message
from plateid.outputs.mqtt_device import Box
from plateid.outputs.retained import Retained
from plateid.store.event_store import EventStore

BIRTH_DELAY_S = 3.0
"""All devices of a house hear that Home Assistant is up: each answers within this time."""
log = structlog.get_logger()


class Announcer:
    """Keeps the announcement at the broker; all calls come from one thread.

    A component that is gone is announced by its platform alone, once, and then no more; for this
    the store remembers what was announced. Where `enabled` is off, so is the whole device.
    """

    def __init__(
        self,
        config: HomeAssistantConfig,
        box: Box,
        store: EventStore,
        *,
        listed: Callable[[], Sequence[str]] = tuple,
        birth_delay_s: float = BIRTH_DELAY_S,
    ) -> None:
        """Announces nothing yet; `listed` gives the names of the lists, which may change."""
        self.subscription = config.status_topic if config.enabled else None
        self._topic = f"{config.prefix}/device/{device_id(box)}/config"
        self._box = box
        self._listed = listed
        self._store = store
        self._compose(listed())
        self._birth_delay_s = birth_delay_s
        self._due_at: float | None = None
        self._removing = False
        self._outage = Outage("announcement", Backoff())
        self._warned = False

    def renew(self) -> None:
        """It is time to announce, as on each new connection."""
        self._due_at = time.monotonic()

    def receive(self, message: Message) -> None:
        """Takes what came from the status topic; nothing but `online` and `offline` is known.

        What is retained is from before our connection, on which all was announced.
        """
        if message.payload == ONLINE.encode() and not message.retained:
            delay_s = random.uniform(0, self._birth_delay_s)  # noqa: S311 nothing secret
            self._due_at = self._due_at or time.monotonic() + delay_s
        elif message.payload not in (ONLINE.encode(), OFFLINE.encode()) and not self._warned:
            self._warned = True
            log.warning("unknown status of home assistant ignored", bytes=len(message.payload))

    def step(self, retained: Retained) -> bool:
        """Makes due what has to be announced now, and says whether there was anything.

        A store that fails puts it off.
        """
        if (names := self._listed()) != self._names:
            self._compose(names)
            self.renew()
        finish = self._removing and retained.is_known(self._topic)
        due = self._due_at is not None and time.monotonic() >= self._due_at
        if self._outage.wait_s or not (due or finish):
            return False
        try:
            self._announce(retained) if due else self._finish(retained)
            self._outage.recovered()
        except StoreError as error:
            self._outage.failed(error)
        return due

    def _compose(self, names: Sequence[str]) -> None:
        self._names = names
        self._parts = components(self._box, names) if self.subscription else {}
        self._platforms = {key: part["platform"] for key, part in self._parts.items()}

    def _announce(self, retained: Retained) -> None:
        before = self._store.announced()
        gone = {key: before[key] for key in before.keys() - self._platforms.keys()}
        if self._platforms.keys() - before.keys():
            self._store.set_announced(before | self._platforms)  # on disk before it is said
        if self._parts or before:
            retained.set(self._topic, self._payload(gone))
        self._removing = bool(gone)
        self._due_at = None

    def _finish(self, retained: Retained) -> None:
        """The broker has what removes them."""
        self._store.set_announced(self._platforms)
        if self._parts:
            retained.set(self._topic, self._payload({}))
        self._removing = False

    def _payload(self, gone: dict[str, str]) -> str:
        """Empty, which removes the device, where there is nothing to announce."""
        return announcement(self._box, self._parts, gone=gone) if self._parts else ""
