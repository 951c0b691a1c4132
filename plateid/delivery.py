"""Delivery of events: an outbox for each output, the MQTT publisher, webhooks and log files."""

import time
from collections.abc import Callable, Mapping

from plateid.config.root import Config
from plateid.core.health import OutputHealth
from plateid.core.records import PlateEvent
from plateid.models.bundle import newest_bundle
from plateid.outputs.discovery import DiscoveryPublisher
from plateid.outputs.logfile import csv_file, jsonl_file
from plateid.outputs.mqtt import MqttPublisher
from plateid.outputs.mqtt_topics import MqttDevice
from plateid.outputs.output_thread import OutputTarget, OutputThread
from plateid.outputs.webhook import Webhook
from plateid.store.backlog import Backlog
from plateid.store.outbox import Outbox
from plateid.store.schema import MQTT

STOP_S = 1.0
"""Maximum time until the outputs have ended, seconds: systemd expects a stop within two."""

LAST_CHANCE_S = 3.0
"""The same if there are unsent events that are not on disk, seconds: a stop would lose them."""


class Delivery:
    """All outputs of a configuration: MQTT, with its outbox, and other targets."""

    def __init__(
        self,
        config: Config,
        backlog: Backlog,
        targets: Mapping[str, OutputTarget],
        *,
        list_names: Callable[[], tuple[str, ...]],
        health: Callable[[], str],
        bundle: str,
    ) -> None:
        """Sends nothing yet.

        `targets` are webhooks and log files by name. Home Assistant gets `list_names`, the names of
        list entries. `health` returns the health report as JSON. `bundle` is in use.
        """
        self._outboxes = {
            name: Outbox(backlog, config.retention, name) for name in (MQTT, *targets)
        }
        self.mqtt_outbox = self._outboxes[MQTT]
        self._threads = [
            OutputThread(name, target, self._outboxes[name]) for name, target in targets.items()
        ]
        self._backlog, store = backlog, backlog.store
        cameras = tuple(camera.name for camera in config.camera)
        images = any(shown != "off" for shown in config.snapshot_policies.values())
        device = MqttDevice(
            config.mqtt.prefix,
            config.device,
            store.instance,
            cameras,
            images,
            config.occupancy.enabled,
            config.occupancy.capacity is not None,
            config.visit_url,
            newest_bundle(bundle),
        )
        discovery = DiscoveryPublisher(config.homeassistant, device, store, list_names=list_names)
        self.mqtt = MqttPublisher(
            config.mqtt, device, queue=self.mqtt_outbox, discovery=discovery, health=health
        )
        self._all_threads: tuple[MqttPublisher | OutputThread, ...] = (self.mqtt, *self._threads)
        backlog.notify = self.notify
        self.notify()

    def start(self) -> None:
        """Starts the threads."""
        for thread in self._all_threads:
            thread.start()

    def notify(self) -> None:
        """Wakes the outputs up for a new event, and publishes the status of the store."""
        self.mqtt.set_disk_status(failed=self._backlog.failure is not None)
        for thread in self._all_threads:
            thread.notify()

    def trim(self) -> None:
        """Deletes events that waited too long or are too many. Call it periodically."""
        for outbox in self._outboxes.values():
            outbox.trim()

    def stop(self) -> None:
        """Sends what goes at the first attempt, and ends the threads."""
        timeout_s = LAST_CHANCE_S if self._backlog.unsent else STOP_S
        stop_at = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.stop(stop_at)
        self.mqtt.stop(timeout_s)
        for thread in self._threads:
            thread.join(max(0.0, stop_at - time.monotonic()))

    def steps(self) -> dict[str, float]:
        """Returns the start of the present step of each thread (`time.monotonic()`), by name."""
        return {thread.name: thread.moved_at for thread in self._all_threads}

    def health(self) -> dict[str, OutputHealth]:
        """Returns the state of each output other than MQTT, by name."""
        return {
            thread.name: OutputHealth(outbox.events, thread.refused, outbox.dropped)
            for thread in self._threads
            for outbox in [self._outboxes[thread.name].health()]
        }


def targets_of(
    config: Config, redact: Callable[[PlateEvent], PlateEvent]
) -> dict[str, OutputTarget]:
    """Returns the webhooks and log files of a configuration, by the names of their outboxes.

    Webhooks get events as they are. Log files get what `redact` returns. Raises ConfigError if a
    secret or a certificate cannot be used.
    """
    targets: dict[str, OutputTarget] = {
        f"webhook {each.name}": Webhook(each) for each in config.webhook
    }
    if config.logfile.enabled and config.logfile.csv is not None:
        targets["csv"] = csv_file(config.logfile.csv, redact)
    if config.logfile.enabled and config.logfile.jsonl is not None:
        targets["jsonl"] = jsonl_file(config.logfile.jsonl, redact)
    return targets
