"""The webhooks and log files of a configuration."""

from collections.abc import Callable

from plateid.config.root import Config
from plateid.core.records import PlateEvent
from plateid.outputs.logfile import csv_file, jsonl_file
from plateid.outputs.output_thread import OutputTarget
from plateid.outputs.webhook import Webhook


def targets_of(
    config: Config, redact: Callable[[PlateEvent], PlateEvent]
) -> dict[str, OutputTarget]:
    """Returns the webhooks and log files of a configuration, by the names of their outboxes.

    Webhooks get events as they are. Log files get what `redact` returns.

    Raises:
        ConfigError: A secret or a certificate cannot be used.
    """
    targets: dict[str, OutputTarget] = {
        f"webhook {each.name}": Webhook(each) for each in config.webhook
    }
    if config.logfile.enabled and config.logfile.csv is not None:
        targets["csv"] = csv_file(config.logfile.csv, redact)
    if config.logfile.enabled and config.logfile.jsonl is not None:
        targets["jsonl"] = jsonl_file(config.logfile.jsonl, redact)
    return targets
