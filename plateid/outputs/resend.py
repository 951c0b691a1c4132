"""Answers a hub that asks for events again."""

import time
from collections.abc import Sequence
from typing import Annotated, Protocol

import structlog
from paho.mqtt.client import MQTTMessage
from pydantic import BaseModel, Field, ValidationError

from plateid.errors import StoreError
from plateid.outputs.output_thread import EventQueue

INTERVAL_S = 5.0
"""Shortest time between two requests that are answered, seconds."""
Seq = Annotated[int, Field(ge=0, lt=1 << 63, strict=True)]
log = structlog.get_logger()


class ResendQueue(EventQueue, Protocol):
    """A queue that takes stored events again."""

    def resend(self, ranges: Sequence[tuple[int, int]]) -> int:
        """Queues events by first and last sequence number; returns how many; or StoreError."""


class Request(BaseModel):
    """The payload of the topic `resend`: first and last sequence numbers, inclusive."""

    ranges: list[tuple[Seq, Seq]] = Field(max_length=1000)


class ResendRequests:
    """The requests of a hub, of which it answers one every few seconds."""

    def __init__(self, queue: ResendQueue) -> None:
        self._queue = queue
        self._next_at = 0.0

    def receive(self, message: MQTTMessage) -> None:
        """Queues the events that a message asks for; the hub repeats what is not answered."""
        if time.monotonic() < self._next_at:
            return
        self._next_at = time.monotonic() + INTERVAL_S
        try:
            request = Request.model_validate_json(message.payload)
            log.info("events queued again", events=self._queue.resend(request.ranges))
        except (ValidationError, StoreError) as error:
            reason = "not a list of ranges" if isinstance(error, ValidationError) else str(error)
            log.warning("request to resend refused", reason=reason)
