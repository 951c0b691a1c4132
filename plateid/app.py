"""The composition root: builds the service from its configuration, starts it and stops it."""

import os
from contextlib import suppress
from pathlib import Path

import structlog

from plateid.backoff import outage_counts
from plateid.bundles.backend_choice import load_networks
from plateid.config.load import load_config
from plateid.config.root import Config, merged
from plateid.core.clock import CLOCK
from plateid.core.health import DeviceHealth
from plateid.core.records import PlateEvent
from plateid.core.wording import counted
from plateid.delivery import Delivery, targets_of
from plateid.device_checks import frames_per_second, hooks_of
from plateid.errors import PlateidError, StoreError
from plateid.fleet_link import FleetLink, hub_lists
from plateid.pipeline.event_builder import EventBuilder
from plateid.recognition import Recognition, RecognitionParts, settings_of
from plateid.service.gps import Gpsd
from plateid.service.health_report import HealthReporter, idle_report
from plateid.service.libc import HeapTrimmer, clock_synced
from plateid.service.metrics import Metrics, MetricsServer
from plateid.service.supervisor import Request, Supervisor, Watchdog
from plateid.service.systemd import Notifier
from plateid.store.backlog import Backlog
from plateid.store.database import lock_store
from plateid.store.event_store import EventStore
from plateid.store.list_file import LISTS_REFUSED, ListFile
from plateid.store.open_passes import continue_clock, open_passes, store_stopped_passes
from plateid.store.privacy import Privacy
from plateid.store.report_card import HitRate
from plateid.store.retention import Retention
from plateid.store.self_labels import SelfLabels
from plateid.store.sessions import Occupancy
from plateid.store.snapshot_files import SnapshotFiles, make_room
from plateid.store.snapshots import Snapshots
from plateid.store.unpublished import UnpublishedPasses
from plateid.web.server import WebServer

log = structlog.get_logger()

TICK_S = 2.0
"""Seconds between two periodic checks: unstored events, retention, hanging cameras."""
REFUSED = "configuration refused, the previous one stays in use"
"""Log phrase of a reload whose configuration is invalid."""
ENDS = (Request.STOP, Request.RESTART)
"""Requests that end a service."""
JOIN_S = 0.5
"""Maximum time until the workers have ended, seconds."""
STORE_S = 5.0
"""Maximum time for events that a full or busy store refuses; systemd waits for ten seconds."""


class App:
    """The service: all parts of one configuration."""

    def __init__(
        self,
        config: Config,
        supervisor: Supervisor,
        *,
        file: Path | None = None,
        web: WebServer | None = None,
    ) -> None:
        """Builds everything; nothing runs yet. Raises PlateidError if something cannot be used.

        The supervisor stops `run`, and makes it load `file` again, which the web UI changes. `web`
        is that of an earlier service, whose users stay logged in.
        """
        self._config = config
        self._file = file
        self._supervisor = supervisor
        self._refused = ""
        self._notifier = Notifier(os.environ.get("NOTIFY_SOCKET", ""))
        self._watchdog = Watchdog(self._notifier, supervisor)
        settings, path = settings_of(config), config.store.path
        cameras = [camera.name for camera in config.camera]
        self._lists = ListFile(config.lists, cameras, of_hub=hub_lists(path))
        self._lock = lock_store(path)
        continue_clock(CLOCK, path)
        make_room(config.retention, SnapshotFiles(path))
        self._networks = load_networks(  # before the store: some need free disk space
            config.models,
            lambda: frames_per_second(config.camera),
            progress=lambda *_: self._notifier.starting("measuring backends"),
        )
        self._privacy = Privacy(config.privacy, path)
        targets = targets_of(config, self._privacy.redacted)
        self._store = EventStore(path, outputs=targets, service=True)
        self._health = HealthReporter(self._device_health, bundle=self._networks.names.bundle)
        self._backlog = Backlog(self._store)
        self._delivery = Delivery(
            config,
            self._backlog,
            targets,
            list_names=self._lists.names,
            health=self._health.to_json,
            bundle=self._networks.names.bundle,
        )
        self._snapshots = Snapshots(
            config.snapshots,
            config.snapshot_policies,
            SnapshotFiles(path),
            retention=config.retention,
            publish=self._delivery.mqtt.set_snapshot,
        )
        self._retention = Retention(config.retention, self._store, self._privacy, clock_synced)
        self._unpublished = UnpublishedPasses(path)
        self._self_labels = SelfLabels(config.privacy, path)
        self._hit_rate = HitRate(path)
        self._occupancy = Occupancy(config.occupancy, path, self._delivery.mqtt.set_occupancy)
        self._gps = Gpsd(config.gps)
        self._heap = HeapTrimmer()
        self._metrics = Metrics(self._health.report)
        self._metrics_server = MetricsServer(config.metrics, self._metrics)
        self._web = web or WebServer(
            config, self._health.report, file=file, hooks=hooks_of(supervisor)
        )
        self._recognition = Recognition(config, settings, self._recognition_parts())
        mqtt, trial = self._delivery.mqtt, self._recognition.trial
        self._fleet = FleetLink(path, self._lists, mqtt, trial)
        events = open_passes(self._store, only_recent=self._backlog.failure is not None)
        for last_events in events.values():
            self._snapshots.resume(last_events)
        self._recognition.resume(events)

    def run(self) -> bool:
        """Works until a stop or the end of all files; returns whether a new service takes over."""
        config, bundle = self._config, self._networks.names.bundle
        log.info("started", device=config.device, cameras=len(config.camera), bundle=bundle)
        self._web.attach(self._config, self._health.report, self._recognition)
        self._delivery.start()
        self._fleet.start()
        self._gps.start()
        self._recognition.start()
        self._web.check()  # loads its modules before READY, which takes long on a slow device
        self._notifier.ready()
        while (request := self._supervisor.wait(timeout_s=TICK_S)) not in ENDS:
            if request is Request.RELOAD:
                self._reload()
            self._check()
        restarts = request is Request.RESTART
        if restarts:
            self._notifier.reloading()
            self._web.attach(self._config, idle_report(self._recognition.health()))
        else:
            self._notifier.stopping()
        self._shut_down(keep_web=restarts)
        return restarts

    def _check(self) -> None:
        self._backlog.flush()
        self._delivery.trim()
        if self._backlog.failure is None:
            self._retention.check()
        self._snapshots.check()
        self._unpublished.check(self._recognition.unpublished())
        chores = self._self_labels, self._hit_rate, self._occupancy, self._heap
        servers = self._metrics_server, self._web
        for part in (*chores, *servers, self._lists, self._fleet, self._recognition):
            part.check()
        self._watchdog.check(self._status(), self._delivery.steps())

    def accept(self, event: PlateEvent) -> None:
        """Logs, counts, stores and shows an event of any camera."""
        plate = self._privacy.plate(event.plate, listed=event.list is not None)
        confidence = round(event.confidence, 3)
        log.info(event.event_type, camera=event.camera, plate=plate, confidence=confidence)
        self._health.events.count(event)
        self._backlog.accept(event)
        self._web.publish(event)
        self._occupancy.accept(self._privacy.redacted(event))
        if event.list is not None:
            self._delivery.mqtt.report()

    def _status(self) -> str:
        if self._refused or self._lists.refused:
            return self._refused or f"{LISTS_REFUSED}: {self._lists.refused}"
        if self._backlog.failure is not None:
            return f"event store failed: {self._backlog.failure}"
        cameras = self._recognition.health()
        offline = [name for name, health in cameras.items() if not health.online]
        online = f"{len(cameras) - len(offline)} of {counted(len(cameras), 'camera')} online"
        names = f" (offline: {', '.join(offline)})" if offline else ""
        waiting = self._delivery.mqtt_outbox.health().events
        events = "unknown events" if waiting is None else counted(waiting, "event")
        return f"{online}{names}, {events} to send"

    def _reload(self) -> None:
        """Applies what can change without a restart; a wrong list or file changes nothing."""
        self._notifier.reloading()
        self._refused = ""
        try:
            self._lists.reload()
        except PlateidError as error:
            log.error(LISTS_REFUSED, reason=str(error))  # noqa: TRY400
        try:
            self._apply(load_config(self._file) if self._file else self._config)
        except PlateidError as error:
            log.error(REFUSED, reason=str(error))  # noqa: TRY400
            self._refused = f"{REFUSED}: {error}"
            self._web.use(self._config)  # the web UI may have changed its copy
        self._notifier.ready()

    def _apply(self, wanted: Config) -> None:
        """Continues with another configuration; raises PlateidError if it is wrong."""
        settings = settings_of(wanted)
        self._check_lists(wanted)
        self._config, waiting = merged(self._config, wanted)
        self._lists.use(self._config.lists)
        self._web.use(self._config)
        if not self._recognition.apply(self._config, settings) and "camera" not in waiting:
            waiting.append("camera")
        log.info("configuration reloaded")
        if waiting:
            log.warning("change needs a restart", sections=", ".join(waiting))

    def _check_lists(self, wanted: Config) -> None:
        """Refuses lists that would fail at a restart, for example with a removed camera."""
        names, old = [[c.name for c in config.camera] for config in (wanted, self._config)]
        if (wanted.lists, names) != (self._config.lists, old):
            ListFile(wanted.lists, names)

    def _shut_down(self, *, keep_web: bool) -> None:
        """Processes waiting frames, ends all passes, and stores and sends the events."""
        self._recognition.stop()
        try:
            self._supervisor.join(timeout_s=JOIN_S)
        finally:
            open_ids = self._recognition.finish()
            self._backlog.drain(STORE_S)
            with suppress(StoreError):
                store_stopped_passes(self._store, open_ids)
            self._gps.stop()
            self._fleet.stop()
            self._delivery.stop()
            self._backlog.flush()
            self._unpublished.check(self._recognition.unpublished(), now=True)
            self._self_labels.check()
            if self._backlog.failure is None:
                self._retention.finish()
            self._metrics_server.stop()
            if not keep_web:
                self._web.stop()
            log.info("stopped", undelivered=self._delivery.mqtt_outbox.health().events)
            self._store.close()
            if self._lock is not None:
                self._lock.close()
        self._report_loss()

    def _report_loss(self) -> None:
        if lost := self._backlog.unsent:
            reason = f"could not store or send {counted(lost, 'event')}"
            raise StoreError(self._config.store.path, reason)
        if len(self._backlog):
            log.warning("sent events are missing in the history", events=len(self._backlog))

    def _device_health(self) -> DeviceHealth:
        return DeviceHealth(
            self._recognition.health(),
            self._delivery.mqtt_outbox.storage_health(),
            clock_synced(),
            listed=self._lists.names(),
            outputs=self._delivery.health(),
            outages=dict(outage_counts),
            snapshots=self._snapshots.health(),
            broker_failure=self._delivery.mqtt.failure,
            trial=self._recognition.trial.report(),
            backend=self._networks.backend,
            latency_ms=self._metrics.latency_ms,
            hit_rate=self._hit_rate.value,
        )

    def _recognition_parts(self) -> RecognitionParts:
        mqtt = self._delivery.mqtt
        events = EventBuilder(
            self._config.device,
            self._networks.names,
            self._store.next_seq,
            clock_synced=clock_synced,
            position=self._gps.position,
            lists=lambda: self._lists.lists,
            take_snapshot=self._snapshots.take,
            keep_crops=self._self_labels.take,
        )
        return RecognitionParts(
            self._networks,
            self._metrics,
            events,
            self._supervisor,
            sink=self.accept,
            show=self._web.show,
            set_status=lambda name, online: mqtt.set_camera_status(name, online=online),
            file=self._file,
        )
