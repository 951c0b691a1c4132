"""The outputs beside MQTT: webhooks and log files."""

import time
from collections.abc import Callable, Iterable

from plateid.config.root import Config
from plateid.core.records import PlateEvent
from plateid.outputs.logfile import csv_file, jsonl_file
from plateid.outputs.output_thread import OutputThread, Target
from plateid.outputs.webhook import Webhook


class Outputs:
    """The threads of all webhooks and log files."""

    def __init__(self, threads: Iterable[OutputThread]) -> None:
        """Does not start them yet."""
        self.threads = tuple(threads)

    def start(self) -> None:
        """Starts the threads."""
        for thread in self.threads:
            thread.start()

    def notify(self) -> None:
        """Wakes the threads up for a new event."""
        for thread in self.threads:
            thread.notify()

    def stop(self, stop_at: float) -> None:
        """Has each thread stop at its first failure, or when `time.monotonic()` is `stop_at`."""
        for thread in self.threads:
            thread.stop(stop_at)

    def join(self, stop_at: float) -> None:
        """Waits for the threads until then. Undelivered events stay in the outbox."""
        for thread in self.threads:
            thread.join(max(0.0, stop_at - time.monotonic()))


def targets_of(config: Config, redacted: Callable[[PlateEvent], PlateEvent]) -> dict[str, Target]:
    """Returns the webhooks and log files of a configuration, by the names of their outboxes.

    Webhooks get events as they are. Log files get what `redacted` returns.

    Raises:
        ConfigError: A secret or a certificate cannot be used.
    """
    targets: dict[str, Target] = {f"webhook {each.name}": Webhook(each) for each in config.webhook}
    if config.logfile.enabled and config.logfile.csv is not None:
        targets["csv"] = csv_file(config.logfile.csv, redacted)
    if config.logfile.enabled and config.logfile.jsonl is not None:
        targets["jsonl"] = jsonl_file(config.logfile.jsonl, redacted)
    return targets
