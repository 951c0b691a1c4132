"""The sinks beside MQTT: webhooks and log files, each with its queue and its thread."""

import time

from plateid.config.outputs import LogfileConfig
from plateid.config.root import Config
from plateid.core.health import OutputHealth
from plateid.errors import StoreError
from plateid.outputs.logfile import csv_file, jsonl_file
from plateid.outputs.output_thread import Courier, Target
from plateid.outputs.webhook import Webhook
from plateid.store.event_store import EventStore
from plateid.store.privacy import Privacy, Private
from plateid.store.queues import Queues


class Sinks:
    """All of a configuration."""

    def __init__(self, config: Config, store: EventStore, *, privacy: Privacy) -> None:
        """Opens their queues in the file of the store; nothing is sent yet.

        Webhooks get events as they are, log files as `privacy` lets them be kept.

        Raises:
            ConfigError: A secret or a certificate cannot be used.
            StoreError: The file cannot be used.
        """
        targets: dict[str, Target] = {
            **{f"webhook {webhook.name}": Webhook(webhook) for webhook in config.webhook},
            **{name: Private(f, privacy) for name, f in log_files(config.logfile).items()},
        }
        self._queues = Queues(store.path, targets, failed=store.found_corrupt)
        self.couriers = [
            Courier(name, target, queues=self._queues, bounds=config.retention)
            for name, target in targets.items()
        ]

    def start(self) -> None:
        """Starts their threads."""
        for courier in self.couriers:
            courier.start()

    def notify(self) -> None:
        """Says that there are new events."""
        for courier in self.couriers:
            courier.notify()

    def health(self) -> dict[str, OutputHealth]:
        """What waits, and what did not arrive, by sink."""
        try:
            waiting = self._queues.lengths() if self.couriers else {}
        except StoreError:
            waiting = {}
        return {
            c.name: OutputHealth(waiting.get(c.name), c.refused, c.dropped) for c in self.couriers
        }

    def stop(self, stop_at: float) -> None:
        """Has them deliver what goes at the first try until `time.monotonic()` is `stop_at`."""
        for courier in self.couriers:
            courier.stop(stop_at)

    def close(self, stop_at: float) -> None:
        """Waits for their end until then; what was not delivered stays in the queues."""
        for courier in self.couriers:
            courier.join(max(0.0, stop_at - time.monotonic()))
        self._queues.close()


def log_files(config: LogfileConfig) -> dict[str, Target]:
    """Those that are configured, by the names that their queues have."""
    files = {}
    if config.enabled and config.csv is not None:
        files["csv"] = csv_file(config.csv)
    if config.enabled and config.jsonl is not None:
        files["jsonl"] = jsonl_file(config.jsonl)
    return dict(files)
