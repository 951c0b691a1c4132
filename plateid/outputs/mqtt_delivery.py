"""What goes out over one connection: retained messages, and the outbox in order."""

import json
import math
import time
from collections import deque
from datetime import UTC, datetime

import structlog

from plateid.backoff import Backoff, Outage
from plateid.core.records import json_line, rfc3339
from plateid.errors import BrokerError, StoreError
from plateid.outputs.mqtt_connection import Connection
from plateid.outputs.retained import Retained
from plateid.store.event_store import EventStore, Outgoing

ACKNOWLEDGED_S = 180.0
"""A broker that acknowledges nothing for so long has lost it; a new connection sends it again."""
HEADER_BYTES = 16
"""What MQTT needs for a PUBLISH, beside topic and payload."""
log = structlog.get_logger()


class Outages:
    """What fails at present: broker, store, and the cameras whose events the broker refuses.

    Outlives a connection.
    """

    def __init__(self, backoff: Backoff) -> None:
        """Everything is in working order."""
        self.broker = Outage("broker", backoff)
        self.store = Outage("outbox of mqtt", backoff)
        self._backoff = backoff
        self._refused: dict[str, set[str]] = {}
        self._cameras: dict[str, Outage] = {}
        self._too_large: set[str] = set()

    def refused(self, outgoing: Outgoing, reason: str) -> None:
        """The broker refuses an event: its camera has to wait."""
        camera = outgoing.camera
        outage = self._cameras.setdefault(camera, Outage(f"events of {camera}", self._backoff))
        self._refused.setdefault(camera, set()).add(outgoing.id)
        if not outage.wait_s:
            outage.failed(reason)

    def taken(self, outgoing: Outgoing) -> None:
        """The broker has an event; its camera is well when none is left that was refused.

        Older ones that were refused left the outbox another way: they were too many, or purged.
        """
        self.broker.recovered()
        if refused := self._refused.get(outgoing.camera):
            refused -= {id_ for id_ in refused if id_ <= outgoing.id}
            if not refused:
                self._cameras[outgoing.camera].recovered()

    def one_by_one(self, camera: str) -> bool:
        """Whether the camera's events are to be sent singly, so that they stay in order."""
        return bool(self._refused.get(camera))

    def too_large(self, topic: str, limit: int) -> None:
        """The broker takes no message so long, and none was sent; said once for each topic."""
        if topic not in self._too_large:
            self._too_large.add(topic)
            log.warning("message too large for broker", topic=topic, broker_takes=limit)

    def waiting(self) -> list[str]:
        """Cameras whose turn has not come again."""
        return [camera for camera, outage in self._cameras.items() if outage.wait_s]


class Delivery:
    """Sends over one connection, with a bounded number of messages unacknowledged."""

    def __init__(
        self,
        connection: Connection,
        store: EventStore,
        *,
        root: str,
        retained: Retained,
        outages: Outages,
    ) -> None:
        """Topics are `root`/camera/event and `root`/camera/last; all of `retained` is due."""
        self._connection = connection
        self._store = store
        self._root = root
        self._retained = retained
        self._outages = outages
        self._in_flight: dict[int, tuple[str, Outgoing | None, float]] = {}
        self._answered_at = time.monotonic()
        self._acknowledged: deque[Outgoing] = deque()
        retained.renew()

    def step(self, timeout_s: float) -> None:
        """Sends what can be sent, then takes what the broker answers within the time.

        Raises:
            BrokerError: The connection has ended.
        """
        self._send()
        self._receive(timeout_s)

    def drain(self, until: float) -> None:
        """Goes on until nothing is left that can be sent now, or `time.monotonic()` is `until`.

        Raises:
            BrokerError: The connection has ended.
        """
        self._send()
        while self._in_flight and (left_s := until - time.monotonic()) > 0:
            self._receive(left_s)
            self._send()

    def _send(self) -> None:
        while self._room() and (due := self._retained.take()):
            topic, payload = due
            if self._fits(topic, payload.encode()):
                message = self._connection.publish(topic, payload, qos=1, retain=True)
                self._in_flight[message] = topic, None, time.monotonic()
        if self._outages.store.wait_s:
            return
        try:
            self._forget_acknowledged()
            self._send_events()
        except StoreError as error:
            self._outages.store.failed(error)

    def _send_images(self) -> None:
        """At QoS 0, before their events: the PUBACK of the event says that the broker has both."""
        while self._room() and (due := self._retained.take_image()):
            topic, image = due
            if self._fits(topic, image):
                self._connection.publish(topic, image, qos=0, retain=True)

    def _fits(self, topic: str, payload: bytes) -> bool:
        """Whether the broker takes it: one that does not would hang up."""
        limit = self._connection.max_packet_bytes
        fits = len(payload) + HEADER_BYTES + len(topic) <= limit
        if not fits:
            self._outages.too_large(topic, limit)
        return fits

    def _send_events(self) -> None:
        now = datetime.now(UTC)
        chosen = [(each, _payload(each, now)) for each in self._choose()[: self._room()]]
        self._send_images()  # now: each was set before its event was stored
        chosen = [pair for pair in chosen if self._takes(*pair)]
        if first_time := [outgoing.id for outgoing, _ in chosen if not outgoing.sent]:
            self._store.mark_sent(first_time)
        for outgoing, payload in chosen:
            self._send_event(outgoing, payload)

    def _takes(self, outgoing: Outgoing, payload: str) -> bool:
        """Whether the broker takes an event of this length; else it is refused, unsent."""
        topic = self._topic(outgoing)
        fits = self._fits(topic, payload.encode())
        if not fits:
            self._outages.refused(outgoing, f"{topic}: larger than the broker takes")
        return fits

    def _topic(self, outgoing: Outgoing) -> str:
        return f"{self._root}/{outgoing.camera}/event"

    def _choose(self) -> list[Outgoing]:
        in_flight = [outgoing for _, outgoing, _ in self._in_flight.values() if outgoing]
        ids = {outgoing.id for outgoing in in_flight}
        cameras = {outgoing.camera for outgoing in in_flight}
        chosen = []
        for outgoing in self._store.pending(self._connection.window, skip=self._outages.waiting()):
            blocked = outgoing.camera in cameras and self._outages.one_by_one(outgoing.camera)
            if outgoing.id not in ids and not blocked:
                chosen.append(outgoing)
                cameras.add(outgoing.camera)
        return chosen

    def _send_event(self, outgoing: Outgoing, payload: str) -> None:
        """`last` goes first, at QoS 0: the PUBACK of the event says that the broker has both."""
        topic = self._topic(outgoing)
        self._connection.publish(
            f"{self._root}/{outgoing.camera}/last", payload, qos=0, retain=True
        )
        message = self._connection.publish(topic, payload, qos=1, retain=False)
        self._in_flight[message] = topic, outgoing, time.monotonic()

    def _receive(self, timeout_s: float) -> None:
        for ack in self._connection.poll(timeout_s):
            self._answered_at = time.monotonic()
            topic, outgoing, _ = self._in_flight.pop(ack.message)
            if outgoing is None:
                self._settle(topic, ack.failure)
            elif ack.failure is not None:
                self._outages.refused(outgoing, f"{topic}: {ack.failure}")
            else:
                self._outages.taken(outgoing)
                self._acknowledged.append(outgoing)
        topic, _, sent_at = next(iter(self._in_flight.values()), ("", None, math.inf))  # the oldest
        if time.monotonic() - max(sent_at, self._answered_at) > ACKNOWLEDGED_S:
            raise BrokerError(topic, f"not acknowledged within {ACKNOWLEDGED_S:g} s")

    def _settle(self, topic: str, failure: str | None) -> None:
        if failure is None:
            self._retained.acknowledged(topic)
        else:
            log.warning("broker refuses message", topic=topic, reason=failure)

    def _forget_acknowledged(self) -> None:
        if self._acknowledged:
            self._store.acknowledge([outgoing.id for outgoing in self._acknowledged])
            self._acknowledged.clear()
            self._outages.store.recovered()

    def _room(self) -> int:
        return self._connection.window - len(self._in_flight)


def _payload(outgoing: Outgoing, now: datetime) -> str:
    fields = json.loads(outgoing.payload) | {"sent_at": rfc3339(now), "replayed": outgoing.sent}
    return json_line(fields)
