"""Simulates a fleet, and compares what it published with what the hub stored."""

import heapq
import json
import random
import selectors
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from plateid.config.hub import HubConfig
from plateid.config.outputs import MqttConfig
from plateid.errors import BrokerError
from plateid.hub.database import connect, database_errors
from plateid.hub.simulated_device import SimulatedDevice
from plateid.outputs.mqtt_connection import MqttConnection, newest_protocol
from plateid.outputs.self_pipe import SelfPipe
from plateid.store.sequence import COUNTERS, clock_epoch

ANSWER_S = 300.0
"""Longest wait for the last PUBACKs, seconds: a NATS cluster may stall for half a minute."""
RETRY_S = 5.0
"""Upper bound of the random wait before a device connects again, seconds."""
CHECK_S = 0.5
"""Interval at which connections are checked, seconds."""
HEALTH_S = 30.0
"""Interval of the health reports, seconds."""
RETAINED_S = 5.0
"""Longest wait for the record of a simulation, seconds."""
STORED_S = 30.0
"""Time without a newly stored event after which the rest counts as missing, seconds."""
STORED = """
    SELECT count(DISTINCT id), count(*) FROM event
    WHERE device = ANY(%(devices)s) AND seq BETWEEN %(first)s AND %(last)s
        AND (device, seq) NOT IN (SELECT * FROM unnest(%(names)s::text[], %(seqs)s::bigint[]))"""


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


class Simulation:
    """Runs all devices in one thread."""

    def __init__(self, plan: Plan, mqtt_config: MqttConfig) -> None:
        """Finds out the version of MQTT; raises BrokerError if no broker answers."""
        self._plan = plan
        self._config = mqtt_config
        self._brokers = deque(mqtt_config.brokers)
        self._epoch = clock_epoch()
        self._random = random.Random(plan.seed)  # noqa: S311 nothing secret
        with closing(SelfPipe()) as pipe:
            connection = _open(mqtt_config, f"simulation-{plan.seed}", pipe)
            self._protocol = connection.protocol
            connection.disconnect()
            connection.close()
        self._checked_at = self._reported_at = 0.0
        self._selector = selectors.DefaultSelector()
        self.devices = [
            SimulatedDevice(
                plan.device(number), self._epoch, prefix=mqtt_config.prefix, selector=self._selector
            )
            for number in range(1, plan.devices + 1)
        ]

    def run(self) -> dict[str, int]:
        """Publishes all events and waits for their PUBACKs; returns the counts."""
        for device in self.devices:
            self._connect(device)
        start = time.monotonic()
        for at, device in self._schedule():
            self._poll_until(start + at)
            device.add()
        deadline = time.monotonic() + ANSWER_S
        while any(device.waits for device in self.devices) and time.monotonic() < deadline:
            self._poll_until(time.monotonic() + 0.2)
        for device in self.devices:
            device.report()
        self._poll_until(time.monotonic() + self._plan.stay_s)
        self._record()
        for device in self.devices:
            device.close()
        return {
            "published": sum(len(device.published) for device in self.devices),
            "acknowledged": sum(len(device.acknowledged) for device in self.devices),
        }

    def _schedule(self) -> Iterator[tuple[float, SimulatedDevice]]:
        """Gives the times of all events in order; those of a device form a Poisson process."""
        plan, rng = self._plan, self._random
        due = [(rng.expovariate(plan.rate), number) for number in range(plan.devices)]
        heapq.heapify(due)
        while due[0][0] <= plan.seconds:
            at, number = due[0]
            yield at, self.devices[number]
            heapq.heapreplace(due, (at + rng.expovariate(plan.rate), number))

    def _poll_until(self, until: float) -> None:
        while True:
            self._check()
            left_s = until - time.monotonic()
            for key, _ in self._selector.select(max(0.0, min(left_s, 0.2))):
                device: SimulatedDevice = key.data
                if device.client is not None:
                    device.client.loop_read()
                    device.send()
            if time.monotonic() >= until:
                return

    def _check(self) -> None:
        """Connects again what has no connection, and keeps the others alive."""
        now = time.monotonic()
        if now < self._checked_at + CHECK_S:
            return
        self._checked_at = now
        if reports := now > self._reported_at + HEALTH_S:
            self._reported_at = now
        for device in self.devices:
            if device.client is not None and not device.check():
                device.close()
                device.retry_at = now + self._random.uniform(0, RETRY_S)
            if device.client is None and now >= device.retry_at:
                self._connect(device)
            if device.client is not None and device.client.want_write():
                device.client.loop_write()
            if reports:
                device.report()

    def _connect(self, device: SimulatedDevice) -> None:
        self._brokers.rotate(-1)
        try:
            device.connect(self._brokers[0], self._protocol)
        except OSError:
            device.retry_at = time.monotonic() + self._random.uniform(0, RETRY_S)

    def _record(self) -> None:
        """Publishes, as a retained message, what `verify` expects."""
        record = {
            "epoch": self._epoch,
            "acknowledged": {d.name: len(d.acknowledged) for d in self.devices},
            "unacknowledged": {
                d.name: sorted(d.published.keys() - d.acknowledged)
                for d in self.devices
                if d.published.keys() - d.acknowledged
            },
        }
        name = f"simulation-{self._plan.seed}"
        with closing(SelfPipe()) as pipe, closing(_open(self._config, name, pipe)) as connection:
            topic = record_topic(self._config, self._plan.seed)
            connection.publish(topic, json.dumps(record), qos=1, retain=True)
            until = time.monotonic() + RETAINED_S
            while not connection.poll(0.1) and time.monotonic() < until:
                pass
            connection.disconnect()


def record_topic(config: MqttConfig, seed: int) -> str:
    """Returns the topic of the retained record of a simulation."""
    return f"{config.prefix}/simulation-{seed}/record"


def verify(config: HubConfig, seed: int) -> dict[str, int]:
    """Compares the record of a simulation with the database, once nothing more arrives.

    Raises BrokerError if there is no record, and StoreError.
    """
    record = _read_record(config.mqtt, seed)
    expected = sum(record["acknowledged"].values())
    counts, until = _stored(config, record), time.monotonic() + STORED_S
    while counts[0] < expected and time.monotonic() < until:
        time.sleep(0.5)
        before, counts = counts, _stored(config, record)
        if counts != before:
            until = time.monotonic() + STORED_S
    stored, rows = counts
    return {
        "expected": expected,
        "stored": stored,
        "missing": expected - stored,
        "duplicated": rows - stored,
    }


def _stored(config: HubConfig, record: dict[str, Any]) -> tuple[int, int]:
    """Returns the number of acknowledged events that are stored, and of their rows."""
    first = record["epoch"] * COUNTERS
    pairs = [(d, first + n) for d, numbers in record["unacknowledged"].items() for n in numbers]
    values = {
        "devices": list(record["acknowledged"]),
        "first": first,
        "last": first + COUNTERS - 1,
        "names": [name for name, _ in pairs],
        "seqs": [seq for _, seq in pairs],
    }
    with connect(config.database, purpose="verify") as db, database_errors(config.database):
        stored, rows = db.execute(STORED, values).fetchall()[0]
    return stored, rows


def _open(config: MqttConfig, name: str, pipe: SelfPipe) -> MqttConnection:
    """Connects to the first broker that answers; raises BrokerError if none does."""
    for broker in config.each():
        try:
            protocol = newest_protocol(broker, name, pipe)
            return MqttConnection(broker, name, pipe=pipe, protocol=protocol)
        except BrokerError as error:
            failure = error
    raise failure


def _read_record(config: MqttConfig, seed: int) -> dict[str, Any]:
    topic = record_topic(config, seed)
    with closing(SelfPipe()) as pipe, closing(_open(config, f"verify-{seed}", pipe)) as connection:
        connection.subscribe(topic)
        until = time.monotonic() + RETAINED_S
        while not (messages := connection.take_messages()) and time.monotonic() < until:
            connection.poll(0.2)
        connection.disconnect()
    if not messages:
        raise BrokerError(topic, "the broker has no record of this simulation")
    record: dict[str, Any] = json.loads(messages[-1].payload)
    return record
