"""A simulated device: publishes events, sends them again, and answers requests to resend."""

import json
import random
import time
from collections import deque
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from paho.mqtt.enums import MQTTProtocolVersion

from plateid.config.outputs import MqttConfig
from plateid.core.records import ModelNames, PathPoint, PlateEvent, Region
from plateid.errors import BrokerError
from plateid.hub.messages import plain_event
from plateid.outputs.mqtt_connection import MqttConnection
from plateid.outputs.self_pipe import SelfPipe
from plateid.store.sequence import COUNTERS

STALLED_S = 30.0
"""Time without an awaited PUBACK after which a device reconnects, seconds."""
RETRY_S = 5.0
"""Upper bound of the random wait before a device connects again, seconds."""
HEALTH_S = 30.0
"""Interval of the health reports, seconds."""
MAX_WAIT_S = 1.0
"""Longest wait for messages, seconds."""
DIGITS, LETTERS = "0123456789", "ABCDEFGHJKLMNPRSTUVWXYZ"
BOX = (562.1, 413.6, 649.1, 436.2)
PATH = tuple(PathPoint(n / 4, (BOX[0] + n, BOX[1], BOX[2] + n, BOX[3])) for n in range(25))


def simulated_event(device: str, epoch: int, counter: int, first_seen: datetime) -> PlateEvent:
    """Returns an event; the same arguments give the same one."""
    rng = random.Random(f"{device} {epoch} {counter}")  # noqa: S311 nothing secret
    plate = "".join(rng.choice(DIGITS if n in (2, 3) else LETTERS) for n in range(7))
    return plain_event(
        first_seen,
        f"{device} {epoch} {counter}",
        event_type="plate_left",
        device=device,
        camera="gate",
        seq=epoch * COUNTERS + counter,
        plate=plate,
        confidence=round(rng.uniform(0.7, 1), 4),
        reads=9,
        agreeing_reads=8,
        region=Region("gb", 0.9),
        last_seen=first_seen + timedelta(seconds=4),
        box=BOX,
        path=PATH,
        dwell_s=4.0,
        model=ModelNames(*["simulated"] * 3),
    )


@dataclass(frozen=True)
class Plan:
    """What to simulate: number of devices, events a second of each, duration, seed."""

    devices: int
    rate: float
    seconds: float
    seed: int
    stay_s: float = 0.0  # that the devices stay online afterwards

    def device(self, number: int) -> str:
        """Returns the name of a device."""
        return f"sim-{self.seed}-{number:05d}"


class SimulatedDevice:
    """One device with a connection and a thread of its own.

    `published` has the times of its events by their counters.
    """

    def __init__(self, name: str, plan: Plan, epoch: int) -> None:
        self.name = name
        self.published: dict[int, datetime] = {}
        self.acknowledged: set[int] = set()
        self.report_at = 0.0
        self._epoch = epoch
        self._rate = plan.rate
        self._random = random.Random(f"{plan.seed} {name}")  # noqa: S311 nothing secret
        self._next_at = time.monotonic() + self._random.expovariate(plan.rate)
        self._end_at = time.monotonic() + plan.seconds
        self._outbox = deque[int]()
        self._in_flight: dict[int, int] = {}
        self._maybe_sent: set[int] = set()
        self._answered_at = 0.0

    @property
    def waits(self) -> bool:
        """Whether events are not made yet, or wait for a PUBACK."""
        return bool(self._next_at <= self._end_at or self._outbox or self._in_flight)

    def run(self, config: MqttConfig, protocol: MQTTProtocolVersion, pipe: SelfPipe) -> None:
        """Publishes events at random times (Poisson) until `pipe` stops it."""
        brokers = deque(config.each())
        brokers.rotate(int(self.name[-5:]))
        while not pipe.stopping:
            brokers.rotate(-1)
            try:
                made = MqttConnection(brokers[0], self.name, pipe=pipe, protocol=protocol)
                with closing(made) as connection:
                    self._work(connection, config.prefix, pipe)
            except BrokerError:
                pipe.pause(random.uniform(0, RETRY_S))  # noqa: S311 nothing secret
            self._outbox.extendleft(sorted(self._in_flight.values(), reverse=True))
            self._in_flight.clear()

    def _work(self, connection: MqttConnection, prefix: str, pipe: SelfPipe) -> None:
        """Sends, receives and reports until `pipe` stops it; raises BrokerError."""
        topic = f"{prefix}/{self.name}"
        connection.subscribe(f"{topic}/resend")
        self._answered_at = time.monotonic()
        while not pipe.stopping:
            self._make_due()
            if time.monotonic() >= self.report_at:
                self.report_at = time.monotonic() + HEALTH_S
                last = self._epoch * COUNTERS + len(self.published)
                text = json.dumps({"last_seq": last})
                connection.publish(f"{topic}/health", text, qos=0, retain=False)
            while self._outbox and len(self._in_flight) < connection.window:
                self._send(connection, f"{topic}/gate/event")
            self._receive(connection)
        connection.disconnect()

    def _make_due(self) -> None:
        now = datetime.now(UTC) - timedelta(seconds=4)
        while self._next_at <= min(time.monotonic(), self._end_at):
            self._next_at += self._random.expovariate(self._rate)
            counter = len(self.published) + 1
            self.published[counter] = now.replace(microsecond=now.microsecond // 1000 * 1000)
            self._outbox.append(counter)

    def _send(self, connection: MqttConnection, topic: str) -> None:
        counter = self._outbox.popleft()
        event = simulated_event(self.name, self._epoch, counter, self.published[counter])
        event = replace(event, sent_at=datetime.now(UTC), replayed=counter in self._maybe_sent)
        self._maybe_sent.add(counter)
        self._in_flight[connection.publish(topic, event.to_json(), qos=1, retain=False)] = counter

    def _receive(self, connection: MqttConnection) -> None:
        """Takes PUBACKs, and requests of the hub; raises BrokerError."""
        wait_s = self._next_at - time.monotonic() if self._next_at <= self._end_at else MAX_WAIT_S
        for ack in connection.poll(min(MAX_WAIT_S, wait_s)):
            counter = self._in_flight.pop(ack.message)
            self._answered_at = time.monotonic()
            if ack.failure is None:
                self.acknowledged.add(counter)
            else:
                self._outbox.append(counter)
        if self._in_flight and time.monotonic() > self._answered_at + STALLED_S:
            raise BrokerError(self.name, "no PUBACK")
        busy = {*self._outbox, *self._in_flight.values()}
        for message in connection.take_messages():
            for first, last in json.loads(message.payload)["ranges"]:
                wanted = range(first % COUNTERS, last % COUNTERS + 1)
                self._outbox += [n for n in wanted if n in self.published and n not in busy]
