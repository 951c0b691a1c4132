"""A real NATS cluster with JetStream, and an MQTT listener on each node."""

import subprocess
from pathlib import Path

from tests.support.broker import free_ports, is_open, until

NODES = 3
"""Number of nodes: one may die."""
CONFIG = """\
server_name: n{node}
listen: 127.0.0.1:{client}
jetstream {{ store_dir: "{folder}/n{node}" }}
mqtt {{ listen: "127.0.0.1:{mqtt}"{options} }}
cluster {{ name: plateid, listen: "127.0.0.1:{route}", routes: [{routes}] }}
{rules}
"""


class NatsCluster:
    """Nodes that may be killed and started again with their data."""

    def __init__(self, folder: Path, *, nodes: int = NODES, rules: str = "") -> None:
        ports = free_ports(3 * nodes)
        self.clients, self.mqtt, routes = (
            ports[:nodes],
            ports[nodes : 2 * nodes],
            ports[2 * nodes :],
        )
        self._folder = folder
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        for node in range(nodes):
            text = CONFIG.format(
                node=node,
                client=self.clients[node],
                mqtt=self.mqtt[node],
                route=routes[node],
                routes=", ".join(f'"nats://127.0.0.1:{port}"' for port in routes),
                folder=folder,
                options="",
                rules=rules,
            )
            if nodes == 1:
                text = "\n".join(
                    line for line in text.split("\n") if not line.startswith("cluster")
                )
            (folder / f"n{node}.conf").write_text(text)

    @property
    def servers(self) -> tuple[str, ...]:
        return tuple(f"nats://127.0.0.1:{port}" for port in self.clients)

    @property
    def brokers(self) -> tuple[str, ...]:
        return tuple(f"127.0.0.1:{port}" for port in self.mqtt)

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._processes.values()]

    def start(self) -> None:
        for node in range(len(self.clients)):
            self.start_node(node)
        until(lambda: all(map(is_open, self.mqtt)), 60)

    def start_node(self, node: int) -> None:
        with (self._folder / f"n{node}.log").open("ab") as log:
            command = ["/usr/sbin/nats-server", "-c", str(self._folder / f"n{node}.conf")]
            self._processes[node] = subprocess.Popen(command, stdout=log, stderr=log)

    def kill(self, node: int) -> None:
        """As `kill -9` does."""
        process = self._processes.pop(node)
        process.kill()
        process.wait()

    def log(self) -> str:
        return "\n".join(file.read_text() for file in sorted(self._folder.glob("n*.log")))

    def close(self) -> None:
        for node in list(self._processes):
            self.kill(node)
