"""Simulates a fleet, and compares what it published with what the hub stored."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

from plateid.config.hub import HubConfig
from plateid.config.outputs import MqttConfig
from plateid.errors import BrokerError
from plateid.hub.database import connect, database_errors
from plateid.hub.simulated_device import MAX_WAIT_S, Plan, SimulatedDevice
from plateid.outputs.mqtt_connection import MqttConnection, newest_protocol
from plateid.outputs.self_pipe import SelfPipe
from plateid.store.sequence import COUNTERS, clock_epoch

ANSWER_S = 300.0
"""Longest wait for the last PUBACKs, seconds: a NATS cluster may stall for half a minute."""
RETAINED_S = 30.0
"""Longest wait for the record of a simulation, seconds: a busy cluster takes more than 5."""
STORED_S = 30.0
"""Time without a newly stored event after which the rest counts as missing, seconds."""
STORED = """
    SELECT count(DISTINCT id), count(*) FROM event
    WHERE device = ANY(%(devices)s) AND seq BETWEEN %(first)s AND %(last)s
        AND (device, seq) NOT IN (SELECT * FROM unnest(%(names)s::text[], %(seqs)s::bigint[]))"""


class Simulation:
    """Runs all devices, each in a thread."""

    def __init__(self, plan: Plan, config: MqttConfig) -> None:
        """Finds out the version of MQTT; raises BrokerError if no broker answers."""
        self._plan, self._config, self._epoch = plan, config, clock_epoch()
        name = f"simulation-{plan.seed}"
        with closing(SelfPipe()) as pipe, closing(_open(config, name, pipe)) as connection:
            self._protocol = connection.protocol
            connection.disconnect()
        names = map(plan.device, range(1, plan.devices + 1))
        self.devices = [SimulatedDevice(name, plan, self._epoch) for name in names]

    def run(self) -> dict[str, int]:
        """Publishes all events and waits for their PUBACKs; returns the counts."""
        with closing(SelfPipe()) as pipe, ThreadPoolExecutor(len(self.devices)) as pool:
            running = [
                pool.submit(device.run, self._config, self._protocol, pipe)
                for device in self.devices
            ]
            try:
                self._wait()
            finally:
                pipe.stop()
            for each in running:
                each.result()
        self._record()
        return {
            "published": sum(len(device.published) for device in self.devices),
            "acknowledged": sum(len(device.acknowledged) for device in self.devices),
        }

    def _wait(self) -> None:
        """Waits for all events and their PUBACKs, and then for requests of the hub."""
        deadline = time.monotonic() + self._plan.seconds + ANSWER_S
        while any(device.waits for device in self.devices) and time.monotonic() < deadline:
            time.sleep(0.2)
        for device in self.devices:
            device.report_at = 0.0
        time.sleep(MAX_WAIT_S + self._plan.stay_s)

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
