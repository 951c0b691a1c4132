"""Takes messages from a broker, stores them in batches, and acknowledges what is stored."""

import json
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Protocol

import structlog

from plateid.backoff import Backoff, Outage
from plateid.config.hub import HubConfig
from plateid.errors import BrokerError, StoreError
from plateid.hub.database import database_errors, migrate
from plateid.hub.gaps import LOOK_S, look
from plateid.hub.messages import MAX_BYTES, Message, RejectedError, event_of
from plateid.hub.mqtt_source import MqttSource
from plateid.hub.recording import Batch, Recorder, Refusal
from plateid.outputs.self_pipe import SelfPipe

BURST = 10_000
"""Number of events that a device may send at once, after it was away."""
REPORT_S = 60.0
"""Interval of the log line with the counts, seconds."""
BACKOFF = Backoff(first_s=0.5, cap_s=10.0)
log = structlog.get_logger()


class Source(Protocol):
    """A connection to a broker. Each method but `close` may raise BrokerError."""

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
        tokens, at = self._buckets.get(device, (float(BURST), now))
        tokens = min(float(BURST), tokens + (now - at) * self._rate)
        admitted = tokens >= 1
        self._buckets[device] = (tokens - admitted, now)
        return admitted


class Ingest:
    """One process of the hub. Several on one database share the messages.

    Messages stay unacknowledged until their transaction is committed, so that the broker gives
    those of a killed hub to another one.
    """

    def __init__(self, config: HubConfig) -> None:
        self.counts = Counter[str]()
        self._config = config
        self._pipe = SelfPipe()
        self._recorder = Recorder(config.database)
        self._limits = FloodLimits(config.ingest.device_rate)
        self._outages = {
            StoreError: Outage("database", BACKOFF),
            BrokerError: Outage("broker", BACKOFF),
        }
        self._brokers = config.mqtt.each()
        self._attempts = 0
        self._look_at = self._report_at = 0.0

    def stop(self) -> None:
        """Ends `run`; signal handlers may call it."""
        self._pipe.stop()

    def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Works until `stop`; retries whatever fails for ever. `ready` is called once."""
        self._retry(lambda: migrate(self._config.database))
        self._retry(self._recorder.open)
        log.info("started", database=self._config.database.endpoint, hub=self._recorder.instance)
        while not self._pipe.stopping:
            try:
                source = self._connect()
                try:
                    ready()
                    ready = lambda: None  # noqa: E731 - READY once
                    self._work(source)
                finally:
                    with suppress(BrokerError):
                        source.close()
            except BrokerError as error:
                self._pause(error)
        self._recorder.close()
        self._pipe.close()
        log.info("stopped", **self.counts)

    def _connect(self) -> Source:
        config = self._config
        size = config.ingest.batch_events
        if config.nats.servers:
            from plateid.hub.nats_source import NatsSource  # noqa: PLC0415 - slow to load

            return NatsSource(config, self._pipe, max_messages=size)
        broker = self._brokers[self._attempts % len(self._brokers)]
        self._attempts += 1
        number = self._recorder.instance
        return MqttSource(broker, self._pipe, instance=number, max_messages=size)

    def _work(self, source: Source) -> None:
        ingest = self._config.ingest
        while not self._pipe.stopping:
            messages = source.take(ingest.batch_events, ingest.batch_ms / 1000)
            self._outages[BrokerError].recovered()
            if messages:
                self._store(source, self._checked(messages))
                source.acknowledge()
            self._ask(source)
            self._report()

    def _checked(self, messages: list[Message]) -> Batch:
        """Sorts messages into events, refusals and health reports."""
        batch, now = Batch([], [], {}), datetime.now(UTC)
        for message in messages:
            try:
                self._check(message, batch, now)
            except RejectedError as error:
                batch.refusals.append(Refusal(message, str(error)))
        return batch

    def _check(self, message: Message, batch: Batch, now: datetime) -> None:
        if not message.device:
            raise RejectedError("no valid name of a device in the topic")
        if message.levels[1:] == ["health"]:
            batch.health[message.device] = _health(message)
        elif self._limits.admits(message.device):
            batch.events.append((message, event_of(message, now)))
        else:
            raise RejectedError("flood")

    def _store(self, source: Source, batch: Batch) -> None:
        """Stores a batch, at any number of attempts, unless the connection to the broker ends."""
        while not self._pipe.stopping:
            try:
                self.counts += self._recorder.store(batch)
            except StoreError as error:
                outage = self._outages[StoreError]
                outage.failed(error)
                source.wait(outage.wait_s)
            else:
                self._outages[StoreError].recovered()
                return
        raise BrokerError("batch", "not stored before the stop, so not acknowledged")

    def _ask(self, source: Source) -> None:
        """Asks devices for missing events, every few seconds."""
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + LOOK_S
        try:
            with database_errors(self._config.database):
                gaps = look(self._recorder.open())
        except StoreError as error:
            log.warning("no look for gaps", reason=str(error))
            return
        for gap in gaps:
            topic = f"{self._config.mqtt.prefix}/{gap.device}/resend"
            source.publish(topic, gap.to_request())
            self.counts["requested"] += gap.events
            log.info("events requested again", device=gap.device, events=gap.events)

    def _report(self) -> None:
        if time.monotonic() >= self._report_at:
            self._report_at = time.monotonic() + REPORT_S
            log.info("events", **self.counts)

    def _retry(self, step: Callable[[], object]) -> None:
        while not self._pipe.stopping:
            try:
                step()
            except StoreError as error:
                self._pause(error)
            else:
                self._outages[StoreError].recovered()
                return

    def _pause(self, error: StoreError | BrokerError) -> None:
        if not self._pipe.stopping:
            outage = self._outages[type(error) if type(error) in self._outages else BrokerError]
            outage.failed(error)
            self._pipe.pause(outage.wait_s)


def _health(message: Message) -> tuple[str, int]:
    """Returns a health report and the number of the device's last event, 0 if it has none."""
    try:
        report = json.loads(message.payload[:MAX_BYTES])
        last = report.get("last_seq", 0)
        return json.dumps(report), last if isinstance(last, int) and 0 <= last < 1 << 63 else 0
    except (ValueError, AttributeError, RecursionError) as error:
        raise RejectedError("health report is no JSON object") from error
