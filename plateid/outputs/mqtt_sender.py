"""Sends over one connection: retained messages, images, and the events of the outbox in order."""

import math
import time
from collections import deque

import structlog

from plateid.backoff import Backoff, Outage
from plateid.core.records import OutboxEntry
from plateid.errors import BrokerError, StoreError
from plateid.outputs.mqtt_connection import MqttConnection
from plateid.outputs.mqtt_topics import MqttDevice, RetainedMessages
from plateid.outputs.output_thread import EventQueue

PUBACK_TIMEOUT_S = 180.0
"""Seconds without any PUBACK after which a message is lost: a new connection resends it."""
HEADER_BYTES = 16
"""Bytes of a PUBLISH packet beside topic and payload."""
log = structlog.get_logger()


class MqttOutages:
    """The present failures of broker, store, and cameras. Outlives a connection."""

    def __init__(self, backoff: Backoff) -> None:
        self.broker = Outage("broker", backoff)
        self.store = Outage("outbox of mqtt", backoff)
        self._backoff = backoff
        self._refused: dict[str, set[str]] = {}
        self._cameras: dict[str, Outage] = {}
        self._too_large: set[str] = set()

    def refused(self, entry: OutboxEntry, reason: str) -> None:
        """Notes that the broker refuses an event: its camera has to wait."""
        camera = entry.event.camera
        outage = self._cameras.setdefault(camera, Outage(f"events of {camera}", self._backoff))
        self._refused.setdefault(camera, set()).add(entry.event.id)
        if not outage.wait_s:
            outage.failed(reason)

    def acknowledged(self, entry: OutboxEntry) -> None:
        """Notes that the broker has an event. Its camera recovers once no refused event is left.

        Older refused events have left the outbox another way: they were trimmed or purged.
        """
        self.broker.recovered()
        if refused := self._refused.get(entry.event.camera):
            refused -= {id_ for id_ in refused if id_ <= entry.event.id}
            if not refused:
                self._cameras[entry.event.camera].recovered()

    def has_refused(self, camera: str) -> bool:
        """Returns whether to send the camera's events one by one, which keeps their order."""
        return bool(self._refused.get(camera))

    def too_large(self, topic: str, limit: int) -> None:
        """Logs, once a topic, that a message is larger than the broker takes."""
        if topic not in self._too_large:
            self._too_large.add(topic)
            log.warning("message too large for broker", topic=topic, max_packet_bytes=limit)

    def waiting(self) -> list[str]:
        """Returns the cameras whose next try is not due."""
        return [camera for camera, outage in self._cameras.items() if outage.wait_s]


class MqttSender:
    """Sends over one connection, with a bounded number of unacknowledged messages."""

    def __init__(
        self,
        connection: MqttConnection,
        device: MqttDevice,
        *,
        queue: EventQueue,
        retained: RetainedMessages,
        outages: MqttOutages,
    ) -> None:
        self._connection = connection
        self._device = device
        self._queue = queue
        self._retained = retained
        self._outages = outages
        self._in_flight: dict[int, tuple[str, OutboxEntry | None, float]] = {}
        self._answered_at = time.monotonic()
        self._acknowledged: deque[str] = deque()
        retained.renew()

    def step(self, timeout_s: float) -> None:
        """Sends what it can, then receives answers; raises BrokerError if the connection ended."""
        self._send()
        self._receive(timeout_s)

    def drain(self, until: float) -> None:
        """Sends until nothing can be sent, or `time.monotonic()` is `until`; raises BrokerError."""
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
            if self._acknowledged:
                self._queue.remove(self._acknowledged)
                self._acknowledged.clear()
                self._outages.store.recovered()
            self._send_events()
        except StoreError as error:
            self._outages.store.failed(error)

    def _send_events(self) -> None:
        """Sends images first, after the events were chosen: an image is set before its event."""
        chosen = [(entry, entry.to_json()) for entry in self._choose()[: self._room()]]
        self._send_images()
        chosen = [pair for pair in chosen if self._is_taken(*pair)]
        if unsent := [entry.event.id for entry, _ in chosen if not entry.sent]:
            self._queue.mark_sent(unsent)
        for entry, payload in chosen:
            self._send_event(entry, payload)

    def _choose(self) -> list[OutboxEntry]:
        in_flight = [entry.event for _, entry, _ in self._in_flight.values() if entry]
        ids = {event.id for event in in_flight}
        cameras = {event.camera for event in in_flight}
        chosen = []
        for entry in self._queue.pending(self._connection.window, skip=self._outages.waiting()):
            camera = entry.event.camera
            blocked = camera in cameras and self._outages.has_refused(camera)
            if entry.event.id not in ids and not blocked:
                chosen.append(entry)
                cameras.add(camera)
        return chosen

    def _send_images(self) -> None:
        """Sends images at QoS 0: the PUBACK of a later event says that the broker has both."""
        while self._room() and (due := self._retained.take_image()):
            topic, image = due
            if self._fits(topic, image):
                self._connection.publish(topic, image, qos=0, retain=True)

    def _send_event(self, entry: OutboxEntry, payload: str) -> None:
        """Sends `last` first, at QoS 0: the PUBACK of the event says that the broker has both."""
        camera = entry.event.camera
        topic = self._device.topic(camera, "event")
        if not entry.requested:
            self._connection.publish(
                self._device.topic(camera, "last"), payload, qos=0, retain=True
            )
        message = self._connection.publish(topic, payload, qos=1, retain=False)
        self._in_flight[message] = topic, entry, time.monotonic()

    def _is_taken(self, entry: OutboxEntry, payload: str) -> bool:
        """Returns whether the broker takes an event of this length; else notes the refusal."""
        topic = self._device.topic(entry.event.camera, "event")
        fits = self._fits(topic, payload.encode())
        if not fits:
            self._outages.refused(entry, f"{topic}: larger than the broker takes")
        return fits

    def _fits(self, topic: str, payload: bytes) -> bool:
        """Returns whether the broker takes the message. A larger one would end the connection."""
        limit = self._connection.max_packet_bytes
        fits = len(payload) + HEADER_BYTES + len(topic) <= limit
        if not fits:
            self._outages.too_large(topic, limit)
        return fits

    def _receive(self, timeout_s: float) -> None:
        for ack in self._connection.poll(timeout_s):
            self._answered_at = time.monotonic()
            topic, entry, _ = self._in_flight.pop(ack.message)
            if entry is None and ack.failure is None:
                self._retained.acknowledge(topic)
            elif entry is None:
                log.warning("broker refuses message", topic=topic, reason=ack.failure)
            elif ack.failure is not None:
                self._outages.refused(entry, f"{topic}: {ack.failure}")
            else:
                self._outages.acknowledged(entry)
                self._acknowledged.append(entry.event.id)
        topic, _, sent_at = next(iter(self._in_flight.values()), ("", None, math.inf))  # the oldest
        if time.monotonic() - max(sent_at, self._answered_at) > PUBACK_TIMEOUT_S:
            raise BrokerError(topic, f"not acknowledged within {PUBACK_TIMEOUT_S:g} s")

    def _room(self) -> int:
        return self._connection.window - len(self._in_flight)
