"""Kills servers and hubs at random under load: python -m tests.hub.campaign --seed 1.

Starts PostgreSQL, a broker (a NATS cluster of three nodes, or mosquitto) and two hubs, simulates
devices, and kills each server and hub --kills times with SIGKILL. Prints one JSON object; the exit
code is 1 if an acknowledged event is missing or stored twice.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from plateid.config.hub import DatabaseConfig
from tests.support.broker import Broker, is_open, until
from tests.support.nats import NatsCluster
from tests.support.postgres import Postgres

LATENCY = """
    SELECT percentile_cont(ARRAY[.5, .95]) WITHIN GROUP (
        ORDER BY extract(epoch FROM stored_at - (payload ->> 'sent_at')::timestamptz))
    FROM event WHERE NOT (payload ->> 'replayed')::boolean"""

SIZE = """
    SELECT sum(pg_total_relation_size(inhrelid)), (SELECT count(*) FROM event)
    FROM pg_inherits WHERE inhparent = 'event'::regclass"""


@dataclass
class Fleet:
    """The servers and hubs of one campaign, with their `hub.toml`."""

    folder: Path
    stack: ExitStack
    nats: bool = True
    hub_count: int = 2
    hubs: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, **settings: object) -> None:
        self.postgres = self.stack.enter_context(closing(Postgres()))
        self.postgres.start(**settings)
        self.database: DatabaseConfig = self.postgres.create()
        servers: list[str] = []
        if self.nats:
            self.cluster = self.stack.enter_context(closing(NatsCluster(self.folder)))
            self.cluster.start()
            self.brokers, servers = self.cluster.brokers, list(self.cluster.servers)
        else:
            self.broker = self.stack.enter_context(closing(Broker(self.folder)))
            self.broker.options = (
                "max_queued_messages 0\npersistence true\nautosave_interval 1\n"
                f"persistence_location {self.folder}/"
            )
            self.broker.start()
            self.brokers = (f"127.0.0.1:{self.broker.port}",)
        self.config = self.folder / "hub.toml"
        self.config.write_text(
            f'[database]\nurl = "{self.database.url}"\n[mqtt]\nhost = {json.dumps(self.brokers)}\n'
            f"[nats]\nservers = {json.dumps(servers)}\n"
        )
        self.stack.callback(self.stop)
        for number in range(self.hub_count):
            self.hubs.append(self.hub(number))
        until(lambda: all("started" in self.log(n) for n in range(self.hub_count)), 60)

    def hub(self, number: int) -> subprocess.Popen[bytes]:
        with (self.folder / f"hub{number}.log").open("ab") as log:
            return subprocess.Popen(self.command("run", "-c", self.config), stderr=log)

    def log(self, number: int) -> str:
        return (self.folder / f"hub{number}.log").read_text()

    def command(self, *words: object) -> list[str]:
        return [sys.executable, "-m", "plateid", "hub", *map(str, words)]

    def output(self, *words: object) -> str:
        done = subprocess.run(self.command(*words), check=False, stdout=subprocess.PIPE)
        return done.stdout.decode()

    def stop(self) -> None:
        for process in self.hubs:
            process.terminate()
        for process in self.hubs:
            assert process.wait(20) in (0, -signal.SIGTERM), "a hub failed"

    def kill_hub(self, number: int, pause_s: float) -> None:
        self.hubs[number].kill()
        self.hubs[number].wait()
        time.sleep(pause_s)
        self.hubs[number] = self.hub(number)

    def kill_postgres(self, pause_s: float) -> None:
        self.postgres.kill()
        time.sleep(pause_s)
        self.postgres.start()

    def kill_node(self, node: int, pause_s: float) -> None:
        self.cluster.kill(node)
        time.sleep(pause_s)
        self.cluster.start_node(node)
        until(lambda: is_open(self.cluster.mqtt[node]), 60)
        time.sleep(2)  # it catches up before another node dies

    def kill_broker(self, pause_s: float) -> None:
        self.broker.kill()
        time.sleep(pause_s)
        self.broker.start()

    def cpu_s(self) -> dict[str, float]:
        """Returns the processor time of each kind of process, those that were killed left out."""
        main = self.postgres.pid
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        pids = {"hubs": [each.pid for each in self.hubs], "postgres": [main, *map(int, children)]}
        pids["broker"] = (self.cluster if self.nats else self.broker).pids
        return {kind: sum(map(processor_time_s, numbers)) for kind, numbers in pids.items()}

    def faults(self) -> dict[str, Callable[[float], None]]:
        """What can be killed; each is away for some seconds and comes back."""
        faults: dict[str, Callable[[float], None]] = {"postgres": self.kill_postgres}
        for number in range(self.hub_count):
            faults[f"hub{number}"] = lambda s, n=number: self.kill_hub(n, s)
        if self.nats:
            for node in range(3):
                faults[f"node{node}"] = lambda s, n=node: self.kill_node(n, s)
        else:
            faults["mosquitto"] = self.kill_broker
        return faults


def processor_time_s(pid: int) -> float:
    """Returns the processor time of a process and its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def campaign(fleet: Fleet, options: argparse.Namespace) -> dict[str, Any]:
    """Runs one campaign and returns its figures."""
    rng = random.Random(options.seed)
    faults = fleet.faults()
    targets = options.targets.split(",") if options.targets else faults
    order = [name for name in targets for _ in range(options.kills)]
    rng.shuffle(order)
    seconds = max(options.seconds, 7 * len(order))
    words = ("--devices", options.devices, "--rate", options.rate, "--seconds", seconds)
    words += ("--seed", options.seed, "--mqtt", ",".join(fleet.brokers), "--stay", options.stay)
    started, before = time.monotonic(), fleet.cpu_s()
    with subprocess.Popen(fleet.command("simulate", *words), stdout=subprocess.PIPE) as simulation:
        for name in order:
            time.sleep(rng.uniform(0.5, 3))
            pause_s = rng.uniform(0.2, 4)
            at = time.monotonic() - started
            sys.stderr.write(f"{at:6.1f} s: kill {name}, {pause_s:.1f} s\n")
            faults[name](pause_s)
        output, _ = simulation.communicate()
    assert not simulation.returncode, "the simulation failed"
    duration_s, used = time.monotonic() - started, fleet.cpu_s()
    check = fleet.output("verify", "-c", fleet.config, "--seed", options.seed)
    gaps = fleet.output("gaps", "-c", fleet.config)
    with psycopg.connect(fleet.database.url) as db:
        latency = db.execute(LATENCY).fetchone()[0]
        size, rows = db.execute(SIZE).fetchone()
    cpu_ms = {kind: round(1000 * (used[kind] - before[kind]) / max(1, rows), 2) for kind in used}
    return {
        "broker": "nats" if fleet.nats else "mosquitto",
        "seed": options.seed,
        "devices": options.devices,
        "kills": len(order),
        "seconds": round(duration_s),
        **json.loads(output),
        **json.loads(check),
        "gaps": gaps.splitlines()[:3],
        "latency_s": {"p50": round(latency[0], 3), "p95": round(latency[1], 3)},
        **({} if order else {"cpu_ms_per_event": cpu_ms}),  # not if processes were killed
        "bytes_per_event": round(size / max(1, rows)),
    }


def parsed(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=0.2, help="events a second of each device")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--kills", type=int, default=20, help="of each server and hub")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--stay", type=float, default=40)
    parser.add_argument("--targets", default="", help="postgres,hub0,node1: default all")
    parser.add_argument("--broker", choices=["nats", "mosquitto"], default="nats")
    return parser.parse_args(words)


def main(words: Sequence[str]) -> int:
    options = parsed(words)
    with tempfile.TemporaryDirectory(prefix="plateid-hub-") as folder, ExitStack() as stack:
        fleet = Fleet(Path(folder), stack, nats=options.broker == "nats")
        fleet.start()
        figures = campaign(fleet, options)
        sys.stdout.write(json.dumps(figures) + "\n")
        for number in range(fleet.hub_count):
            sys.stderr.write(fleet.log(number)[-2000:])
    return 1 if figures["missing"] or figures["duplicated"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
