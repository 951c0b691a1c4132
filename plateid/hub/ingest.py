"""Takes messages from a broker, stores them in batches, and acknowledges what is stored."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import UTC, datetime
from typing import Protocol

import structlog

from plateid.backoff import Backoff, Outage
from plateid.config.hub import HubConfig
from plateid.errors import BrokerError, StoreError
from plateid.hub.database import migrate
from plateid.hub.gaps import LOOK_S, MAX_EVENTS, Gap, look
from plateid.hub.messages import Event, Message, RejectedError, parse
from plateid.hub.mqtt_source import MqttSource
from plateid.hub.recording import Batch, Recorder
from plateid.outputs.self_pipe import SelfPipe

BURST = 10_000
"""Number of events that a device may send at once, after it was away."""
REPORT_S = 60.0
"""Shortest interval of the log lines with the counts, seconds."""
MAX_DEVICES = 200_000
"""Maximum number of devices whose rate is known: without ACL, names may be invented."""
BACKOFF = Backoff(first_s=0.5, cap_s=2.0)
"""Waits for database and broker: all events of the fleet wait as long."""
log = structlog.get_logger()


class Source(Protocol):
    """A connection to a broker. Each method may raise BrokerError."""

    def take(self, max_messages: int, batch_s: float) -> list[Message]:
        """Returns messages at the latest `batch_s` after the first, or none."""

    def acknowledge(self) -> None:
        """Acknowledges all messages that `take` returned."""

    def wait(self, seconds: float) -> None:
        """Keeps the connection alive for a time."""

    def publish(self, topic: str, payload: str) -> None:
        """Sends a message at QoS 0."""

    def close(self) -> None:
        """Closes the connection."""


class FloodLimits:
    """A token bucket for each device: `rate` events a second, `BURST` at once."""

    def __init__(self, rate: float, now: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._now = now
        self._buckets: dict[str, tuple[float, float]] = {}

    def admits(self, device: str) -> bool:
        """Takes one event of a device; returns False if it sends too many."""
        now = self._now()
        tokens, at = self._buckets.pop(device, (float(BURST), now))
        tokens = min(float(BURST), tokens + (now - at) * self._rate)
        admitted = tokens >= 1
        self._buckets[device] = (tokens - admitted, now)
        if len(self._buckets) > MAX_DEVICES:  # forgets the one that was silent for longest
            del self._buckets[next(iter(self._buckets))]
        return admitted


def checked(messages: Iterable[Message], limits: FloodLimits | None = None) -> Batch:
    """Sorts out the messages that are not stored."""
    batch, now = Batch(), datetime.now(UTC)
    for message in messages:
        try:
            found = parse(message, now)
            if limits and isinstance(found, Event) and not limits.admits(message.device):
                raise RejectedError("flood")  # noqa: TRY301 - as any other reason
            batch.accepted.append((message, found))
        except RejectedError as error:
            batch.refused.append((message, str(error)))
    return batch


class Ingest:
    """One process of the hub. Several on one database share the messages.

    Messages stay unacknowledged until their transaction is committed, so that the broker gives
    those of a killed hub to another one.
    """

    def __init__(self, config: HubConfig) -> None:
        self.counts, self._reported = Counter[str](), Counter[str]()
        self._config = config
        self._pipe = SelfPipe()
        self._recorder = Recorder(config.database)
        self._limits = FloodLimits(config.ingest.device_rate)
        self._database = Outage("database", BACKOFF)
        self._broker = Outage("broker", BACKOFF)
        self._brokers = deque(config.mqtt.each())
        self._look_at = self._report_at = 0.0

    def stop(self) -> None:
        """Ends `run`; signal handlers may call it."""
        self._pipe.stop()

    def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Works until `stop`; retries whatever fails for ever. `ready` is called once."""
        while not self._pipe.stopping and not self._is_open():
            self._pipe.pause(self._database.wait_s)
        is_started = False
        while not self._pipe.stopping:
            with self._broker.noted(BrokerError), closing(self._connected()) as source:
                if not is_started:
                    database, number = self._config.database.endpoint, self._recorder.instance
                    log.info("started", database=database, hub=number)
                    is_started = True
                    ready()
                self._work(source)
            self._pipe.pause(self._broker.wait_s)
        self._recorder.close()
        self._pipe.close()
        log.info("stopped", **self.counts)

    def _is_open(self) -> bool:
        with self._database.noted(StoreError):
            migrate(self._config.database)
            self._recorder.open()
            return True
        return False

    def _connected(self) -> Source:
        config = self._config
        size = config.ingest.batch_events
        if config.nats.servers:
            from plateid.hub.nats_source import NatsSource  # noqa: PLC0415 - slow to load

            return NatsSource(config, self._pipe, max_messages=size)
        self._brokers.rotate(-1)
        number = self._recorder.instance
        return MqttSource(self._brokers[-1], self._pipe, instance=number, max_messages=size)

    def _work(self, source: Source) -> None:
        """Stores messages until `stop`; raises BrokerError."""
        ingest = self._config.ingest
        while not self._pipe.stopping:
            messages = source.take(ingest.batch_events, ingest.batch_ms / 1000)
            self._broker.recovered()
            if messages and self._store(source, checked(messages, self._limits)):
                source.acknowledge()
            self._ask(source)
            if self.counts != self._reported and time.monotonic() >= self._report_at:
                self._report_at = time.monotonic() + REPORT_S
                self._reported = self.counts.copy()
                log.info("events", **self.counts)

    def _store(self, source: Source, batch: Batch) -> bool:
        """Stores a batch, at any number of attempts; returns False after `stop`.

        Raises BrokerError if the connection to the broker ends.
        """
        while not self._pipe.stopping:
            with self._database.noted(StoreError):
                self.counts += self._recorder.store(batch)
                return True
            source.wait(self._database.wait_s)
        return False

    def _ask(self, source: Source) -> None:
        """Asks devices for missing events, every few seconds."""
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + LOOK_S
        gaps: list[Gap] = []
        with self._database.noted(StoreError):
            gaps = self._recorder.use(look)
        for gap in gaps:
            topic = f"{self._config.mqtt.prefix}/{gap.device}/resend"
            source.publish(topic, gap.to_request())
            self.counts["requested"] += min(gap.events, MAX_EVENTS)
            log.info("events requested again", device=gap.device, missing=gap.events)
