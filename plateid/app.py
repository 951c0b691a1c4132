"""The composition root: builds the service from its configuration, starts it and stops it."""

import functools
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import structlog

from plateid.backoff import outage_counts
from plateid.capture.camera import Camera
from plateid.capture.mailbox import Mailboxes
from plateid.config.cameras import CameraConfig
from plateid.config.plate_formats import formats_of, rules_of
from plateid.config.reload import merged
from plateid.config.root import Config
from plateid.core.formats import Formats
from plateid.core.health import CameraHealth, DeviceHealth, OutputHealth
from plateid.core.ids import first_id
from plateid.core.records import PlateEvent
from plateid.errors import PlateidError, StoreError
from plateid.models.networks import Networks
from plateid.outputs.all_outputs import Outputs, targets_of
from plateid.outputs.discovery import DiscoveryPublisher
from plateid.outputs.mqtt import MqttPublisher
from plateid.outputs.mqtt_device import MqttDevice
from plateid.outputs.output_thread import OutputThread
from plateid.pipeline.camera_pipeline import CameraPipeline
from plateid.pipeline.event_builder import EventServices, Origin
from plateid.pipeline.passes import Pass
from plateid.pipeline.settings import PipelineSettings
from plateid.pipeline.timed import TimedDetector, TimedReader
from plateid.service.clock import clock_synced
from plateid.service.gps import Gpsd, NoGps
from plateid.service.health_report import HealthReporter
from plateid.service.memory import HeapTrimmer
from plateid.service.metrics import Metrics, MetricsServer
from plateid.service.supervisor import Request, Supervisor
from plateid.service.systemd import Notifier
from plateid.service.watchdog import Watchdog
from plateid.store.backlog import Backlog
from plateid.store.event_store import EventStore
from plateid.store.list_file import LISTS_REFUSED, ListFile
from plateid.store.lock import only_one
from plateid.store.open_passes import open_passes
from plateid.store.outbox import Outbox
from plateid.store.privacy import Privacy
from plateid.store.retention import Retention
from plateid.store.schema import MQTT
from plateid.store.snapshot_files import SnapshotFiles, make_room
from plateid.store.snapshots import Snapshots
from plateid.store.storage_health import storage_health
from plateid.web.server import WebServer

log = structlog.get_logger()

TICK_S = 2.0
"""How often unstored events are tried again, and cameras are asked whether they hang."""
MAX_LISTED = 100
REFUSED = "configuration refused, the old one stays"
SOURCE = ("url", "loop", "timeout_s", "size", "format")
"""Values of a camera that change where its frames come from."""
DRAIN_S = 0.5
JOIN_S = 0.5
PUBLISHER_STOP_S = 1.0
"""All of a stop takes less than the two seconds that a service manager is promised."""
STORE_S = 5.0
"""But what a full or busy store refuses gets so long; systemd waits for ten seconds."""


class App:
    """`plateid run`: the cameras, inference workers and publisher of one configuration."""

    def __init__(
        self,
        config: Config,
        supervisor: Supervisor,
        *,
        load: Callable[[], Config] | None = None,
        file: Path | None = None,
    ) -> None:
        """Builds everything; nothing runs yet.

        Args:
            config: What to watch, and whom to tell.
            supervisor: Ends `run` when it is told to stop.
            load: Gives the configuration anew when the supervisor asks for a reload.
            file: Where it comes from, for the live page to write a camera's view into.

        Raises:
            PlateidError: The configuration, the bundle or the store cannot be used.
        """
        self._config = config
        self._supervisor = supervisor
        self._load = load or (lambda: config)
        self._refused = ""
        self._notifier = Notifier.from_environment()
        self._watchdog = Watchdog(self._notifier, supervisor)
        names = tuple(camera.name for camera in config.camera)
        self._formats = formats_of(config)
        self._lists = ListFile(config.lists, names)
        self._lock = only_one(config.store.path)
        make_room(config.retention, SnapshotFiles(config.store.path))
        self._networks = Networks(config.models)  # some need room for a proof
        self._privacy = Privacy(config.privacy, config.store.path)
        targets = targets_of(config, self._privacy.redacted)
        self._store = EventStore(config.store.path, outputs=targets, replaces_corrupt=True)
        self._outboxes = {
            name: Outbox(self._store, config.retention, name) for name in (MQTT, *targets)
        }
        self._outputs = Outputs(
            OutputThread(name, target, self._outboxes[name]) for name, target in targets.items()
        )
        self._mailboxes = Mailboxes(names)
        self._online = dict.fromkeys(names, False)
        self._publisher = self._mqtt_publisher(names)
        self._snapshots = Snapshots(
            config.snapshots,
            config.shown,
            SnapshotFiles(config.store.path),
            retention=config.retention,
            publish=self._publisher.set_snapshot,
        )
        self._retention = Retention(config.retention, self._store, self._privacy, clock_synced)
        self._gps = Gpsd(config.gps) if config.gps.enabled else NoGps()
        self._backlog = Backlog(self._store, self._notify)
        self._health = HealthReporter(self._device_health, bundle=self._networks.names.bundle)
        self._heap = HeapTrimmer()
        self._metrics = Metrics(self._health.report)
        self._metrics_server = MetricsServer(config.metrics, self._metrics)
        self._web = WebServer(config, self._health.report, file=file, reload=supervisor.reload)
        self._pipelines = {name: self._pipeline(name) for name in names}
        self._skipped = Counter[str]()  # of the pipelines before a reload
        self._unpublished = Counter[str]()
        for name, events in open_passes(self._store).items():
            if name in self._pipelines:
                self._snapshots.resume(events)
                self._pipelines[name].resume(map(Pass.restored, events))
        self._cameras = [self._camera(camera) for camera in config.camera]

    def run(self) -> None:
        """Works until it is told to stop, or until every camera is a clip that has ended.

        Raises:
            StoreError: Events could not be stored to the end.
            BaseException: What a thread died of.
        """
        bundle = self._networks.names.bundle
        log.info("started", device=self._config.device, cameras=len(self._cameras), bundle=bundle)
        self._publisher.start()
        self._outputs.start()
        self._gps.start()
        for number in range(self._config.models.workers):
            self._supervisor.start(f"worker-{number}", self._work)
        for camera in self._cameras:
            self._supervisor.start("camera", camera.run)
        self._web.check()  # loads its modules, which takes long on a slow box, before READY
        self._notifier.ready()
        while (request := self._supervisor.wait(timeout_s=TICK_S)) is not Request.STOP:
            if request is Request.RELOAD:
                self._reload()
            self._backlog.flush()
            for outbox in self._outboxes.values():
                outbox.trim()
            self._retention.check()
            self._snapshots.check()
            self._heap.check()
            self._metrics_server.check()
            self._web.check()
            self._lists.check()
            for camera in self._cameras:
                camera.report_stall()
            self._watchdog.check(self._status(), self._steps())
        self._notifier.stopping()
        self._shut_down()

    def accept(self, event: PlateEvent) -> None:
        """Takes an event of any pipeline."""
        plate = self._privacy.plate(event.plate, listed=event.list is not None)
        confidence = round(event.confidence, 3)
        log.info(event.event_type, camera=event.camera, plate=plate, confidence=confidence)
        self._health.events.count(event)
        self._backlog.accept(event)
        self._web.publish(event)
        if event.list is not None:
            self._publisher.report()

    def _notify(self) -> None:
        self._publisher.notify()
        self._outputs.notify()

    def _work(self) -> None:
        """One worker's thread: the next camera that has a frame, until no camera goes on."""
        while (frame := self._mailboxes.wait_any()) is not None:
            pipeline, mailbox = self._pipelines[frame.camera], self._mailboxes[frame.camera]
            with self._supervisor.working():
                busy = self._mailboxes.crowded and not mailbox.closed
                plates = pipeline.process_if_useful(frame) if busy else pipeline.process(frame)
            if plates is not None:
                self._web.show(frame, plates)
            self._mailboxes.done(frame.camera)
        self._supervisor.stop()

    def _steps(self) -> dict[str, float]:
        """Of the publishers; cameras deliver, or `report_stall` has reported their outage."""
        threads = {thread.name: thread.moved_at for thread in self._outputs.threads}
        return {MQTT: self._publisher.moved_at} | threads

    def _status(self) -> str:
        if self._refused or self._lists.refused:
            return self._refused or f"{LISTS_REFUSED}: {self._lists.refused}"
        offline = [name for name, online in self._online.items() if not online]
        cameras = f"{len(self._online) - len(offline)} of {len(self._online)} cameras online"
        away = f" (offline: {', '.join(offline)})" if offline else ""
        waiting = self._undelivered()
        return f"{cameras}{away}, {'unknown' if waiting is None else waiting} events to send"

    def _reload(self) -> None:
        """Takes over what can change while running; of what is bad, the old stays."""
        self._notifier.reloading()
        self._refused = ""
        try:
            self._lists.reload()
        except PlateidError as error:
            log.error(LISTS_REFUSED, reason=str(error))  # noqa: TRY400
        try:
            wanted = self._load()
            formats = formats_of(wanted)
            self._check_lists(wanted)
        except PlateidError as error:
            log.error(REFUSED, reason=str(error))  # noqa: TRY400
            self._refused = f"{REFUSED}: {error}"
            self._web.use(self._config)  # the page may have changed it
        else:
            self._go_on_with(wanted, formats)
        self._notifier.ready()

    def _check_lists(self, wanted: Config) -> None:
        """Refuses what would not start: lists that are wrong, or name a camera that is gone."""
        names, old = [[c.name for c in config.camera] for config in (wanted, self._config)]
        if (wanted.lists, names) != (self._config.lists, old):
            ListFile(wanted.lists, names)

    def _go_on_with(self, wanted: Config, formats: dict[str, Formats]) -> None:
        """Passes end only where a camera's own settings, or the rules for it, have changed."""
        old, old_formats = self._config, self._formats
        self._config, waiting = merged(old, wanted)
        self._web.use(self._config)
        self._formats = old_formats | formats
        for camera, before, now in zip(self._cameras, old.camera, self._config.camera, strict=True):
            same_source = all(getattr(before, key) == getattr(now, key) for key in SOURCE)
            if not (same_source or camera.use(now)) and "camera" not in waiting:
                waiting.append("camera")
            rules = rules_of(old, before), old_formats[now.name]
            if before != now or rules != (rules_of(self._config, now), self._formats[now.name]):
                self._renew_pipeline(now.name, same_source=same_source)
        log.info("configuration reloaded")
        if waiting:
            log.warning("change waits for a restart", sections=", ".join(waiting))

    def _renew_pipeline(self, camera: str, *, same_source: bool) -> None:
        before, self._pipelines[camera] = self._pipelines[camera], self._pipeline(camera)
        self._mailboxes.wait_idle(camera, timeout_s=DRAIN_S)  # a worker may still be in the old one
        if same_source:
            self._pipelines[camera].resume(before.hand_over())
        else:
            before.finish()
        self._skipped[camera] += before.skipped
        self._unpublished[camera] += before.unpublished

    def _on_status(self, camera: str, online: bool) -> None:  # noqa: FBT001 - a callback
        """What moves while its camera is away, nobody knows: its pass ends."""
        if not online:
            outage_counts[f"camera {camera}"] += 1
            self._mailboxes.wait_idle(camera, timeout_s=DRAIN_S)
            self._mailboxes[camera].discard()  # else a late worker would start a pass with it
            self._pipelines[camera].interrupt()
        self._online[camera] = online
        self._publisher.set_camera_status(camera, online=online)

    def _shut_down(self) -> None:
        """Frames that wait are still looked at; open passes end; all events reach the disk."""
        for camera in self._cameras:
            camera.stop()
        self._mailboxes.close()
        for name, pipeline in self._pipelines.items():
            skipped = self._skipped[name] + pipeline.skipped
            log.info("frames", camera=name, dropped=self._mailboxes[name].dropped, skipped=skipped)
        try:
            self._supervisor.join(timeout_s=JOIN_S)
        finally:
            standing = [id_ for each in self._pipelines.values() for id_ in each.finish()]
            self._backlog.drain(STORE_S)
            with suppress(StoreError):
                self._store.set_stopped_passes(standing, stopped=first_id(time.time()))
            stop_at = time.monotonic() + PUBLISHER_STOP_S
            self._outputs.stop(stop_at)
            self._gps.stop()
            self._publisher.stop(PUBLISHER_STOP_S)
            self._outputs.join(stop_at)
            self._retention.finish()
            self._metrics_server.stop()
            self._web.stop()
            log.info("stopped", undelivered=self._undelivered())
            self._store.close()
            self._lock.close()
        if lost := len(self._backlog):
            raise StoreError(self._config.store.path, f"{lost} events could not be stored")

    def _undelivered(self) -> int | None:
        """Returns the number of events that wait for the broker; None while the store fails."""
        return self._outboxes[MQTT].health().events

    def _mqtt_publisher(self, cameras: tuple[str, ...]) -> MqttPublisher:
        config = self._config
        images = any(shown != "off" for shown in config.shown.values())
        device = MqttDevice(
            config.mqtt.prefix, config.device, self._store.instance, cameras, images
        )
        return MqttPublisher(
            config.mqtt,
            device,
            queue=self._outboxes[MQTT],
            discovery=DiscoveryPublisher(
                config.homeassistant, device, self._store, list_names=self._listed
            ),
            health=self._health_json,
        )

    def _listed(self) -> tuple[str, ...]:
        """Names of the lists; a device of Home Assistant can show so many."""
        names = dict.fromkeys(entry.name for entry in self._lists.lists.entries)
        return tuple(names)[:MAX_LISTED]

    def _health_json(self) -> str:
        return self._health.to_json()

    def _output_health(self, thread: OutputThread) -> OutputHealth:
        outbox = self._outboxes[thread.name].health()
        return OutputHealth(outbox.events, thread.refused, outbox.dropped)

    def _camera_health(self, name: str, *, online: bool) -> CameraHealth:
        mailbox, pipeline = self._mailboxes[name], self._pipelines[name]
        skipped = self._skipped[name] + pipeline.skipped
        unpublished = self._unpublished[name] + pipeline.unpublished
        return CameraHealth(online, mailbox.frames, mailbox.dropped, skipped, unpublished)

    def _device_health(self) -> DeviceHealth:
        cameras = {
            name: self._camera_health(name, online=online) for name, online in self._online.items()
        }
        return DeviceHealth(
            cameras,
            storage_health(self._store, self._backlog, self._outboxes[MQTT]),
            clock_synced(),
            listed=self._listed(),
            outputs={each.name: self._output_health(each) for each in self._outputs.threads},
            outages=outage_counts,
            snapshots=self._snapshots.health(),
        )

    def _pipeline(self, name: str) -> CameraPipeline:
        (camera,) = (camera for camera in self._config.camera if camera.name == name)
        return CameraPipeline(
            Origin(self._config.device, name, self._networks.names, self._event_services()),
            PipelineSettings(
                rules_of(self._config, camera),
                self._formats[name],
                replace(camera.view, zoom=not self._config.hides_plates),
            ),
            detector=TimedDetector(
                self._networks.detector(), self._metrics.detector_s.labels(name).time
            ),
            reader=TimedReader(self._networks.reader(), self._metrics.reader_s.labels(name).time),
            sink=self,
        )

    def _event_services(self) -> EventServices:
        return EventServices(
            next_seq=self._store.next_seq,
            clock_synced=clock_synced,
            position=self._gps.position,
            lists=self._lists,
            snapshots=self._snapshots,
        )

    def _camera(self, config: CameraConfig) -> Camera:
        on_status = functools.partial(self._on_status, config.name)
        return Camera(config, self._mailboxes[config.name], on_status=on_status)
