"""The composition root: builds the service from its configuration, starts it and stops it."""

import fcntl
import functools
from io import FileIO
from pathlib import Path

import structlog

from plateid.capture.camera import Camera
from plateid.capture.mailbox import Mailboxes
from plateid.config import CameraConfig, Config
from plateid.core.formats import parse_regions
from plateid.core.records import PlateEvent
from plateid.errors import StoreError
from plateid.events.backlog import Backlog
from plateid.events.mqtt import MqttPublisher
from plateid.events.store import EventStore
from plateid.models.networks import Networks
from plateid.pipeline import CameraPipeline, Origin
from plateid.service.clock import clock_synced
from plateid.service.supervisor import Supervisor

log = structlog.get_logger()

TICK_S = 2.0
"""How often unstored events are tried again, and cameras are asked whether they hang."""
DRAIN_S = 0.5
JOIN_S = 0.5
PUBLISHER_STOP_S = 1.0
"""All of a stop takes less than the two seconds that a service manager is promised."""


class App:
    """`plateid run`: the cameras, inference workers and publisher of one configuration."""

    def __init__(self, config: Config, supervisor: Supervisor) -> None:
        """Builds everything; nothing runs yet.

        Args:
            config: What to watch, and whom to tell.
            supervisor: Ends `run` when it is told to stop.

        Raises:
            PlateidError: The configuration, the bundle or the store cannot be used.
        """
        self._config = config
        self._supervisor = supervisor
        names = [camera.name for camera in config.camera]
        regions = parse_regions(config.events.regions, key="events.regions")
        self._rules = config.events.model_copy(update={"regions": regions})
        self._networks = Networks(config.models)
        self._store = EventStore(config.store.path)
        self._lock = only_one(config.store.path)
        self._publisher = MqttPublisher(
            config.mqtt, config.device, store=self._store, cameras=names
        )
        self._backlog = Backlog(self._store, self._publisher.notify)
        self._mailboxes = Mailboxes(names)
        self._pipelines = {name: self._pipeline(name) for name in names}
        self._cameras = [self._camera(camera) for camera in config.camera]

    def run(self) -> None:
        """Works until it is told to stop, or until every camera is a clip that has ended.

        Raises:
            StoreError: Events could not be stored to the end.
            BaseException: What a thread died of.
        """
        log.info("started", device=self._config.device, cameras=len(self._cameras))
        self._publisher.start()
        for number in range(self._config.models.workers):
            self._supervisor.start(f"worker-{number}", self._work)
        for camera in self._cameras:
            self._supervisor.start("camera", camera.run)
        while not self._supervisor.wait(timeout_s=TICK_S):
            self._backlog.flush()
            for camera in self._cameras:
                camera.notice_stall()
        self._shut_down()

    def accept(self, event: PlateEvent) -> None:
        """Takes an event of any pipeline."""
        confidence = round(event.confidence, 3)
        log.info(event.event_type, camera=event.camera, plate=event.plate, confidence=confidence)
        self._backlog.accept(event)

    def _work(self) -> None:
        """One worker's thread: the next camera that has a frame, until no camera goes on."""
        while (frame := self._mailboxes.wait_any()) is not None:
            self._pipelines[frame.camera].process(frame)
            self._mailboxes.done(frame.camera)
        self._supervisor.stop()

    def _on_status(self, camera: str, online: bool) -> None:  # noqa: FBT001 - a callback
        """What a vehicle did while its camera is away, nobody knows: its pass ends."""
        if not online:
            self._mailboxes.wait_idle(camera, timeout_s=DRAIN_S)
            self._pipelines[camera].finish()
        self._publisher.set_camera_status(camera, online=online)

    def _shut_down(self) -> None:
        """Frames that wait are still looked at; open passes end; all events reach the disk."""
        for camera in self._cameras:
            camera.stop()
        self._mailboxes.close()
        for name in self._pipelines:
            log.info("frames", camera=name, dropped=self._mailboxes[name].dropped)
        try:
            self._supervisor.join(timeout_s=JOIN_S)
        finally:
            for pipeline in self._pipelines.values():
                pipeline.finish()
            self._backlog.flush()
            self._publisher.stop(PUBLISHER_STOP_S)
            log.info("stopped", undelivered=self._undelivered())
            self._store.close()
            self._lock.close()
        if lost := len(self._backlog):
            raise StoreError(self._config.store.path, f"{lost} events could not be stored")

    def _undelivered(self) -> int | None:
        """Events that wait for the broker; None when the store cannot tell."""
        try:
            return self._store.counts().outbox
        except StoreError:
            return None

    def _pipeline(self, camera: str) -> CameraPipeline:
        origin = Origin(
            self._config.device, camera, self._networks.names, self._store.next_seq, clock_synced
        )
        return CameraPipeline(
            origin,
            self._rules,
            detector=self._networks.detector(),
            reader=self._networks.reader(),
            sink=self,
        )

    def _camera(self, config: CameraConfig) -> Camera:
        on_status = functools.partial(self._on_status, config.name)
        return Camera(config, self._mailboxes[config.name], on_status=on_status)


def only_one(store: Path) -> FileIO:
    """Locks a store for this process: two would fight for one client id and tell each car twice.

    Raises:
        StoreError: Another process has it.
    """
    lock = FileIO(store.with_name(f"{store.name}.lock"), "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise StoreError(store, "another plateid uses it") from error
    return lock
