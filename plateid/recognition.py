"""Recognition of all cameras: capture threads, mailboxes, pipelines and inference workers."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ParamSpec, TypeVar

import structlog
from prometheus_client import Histogram

from plateid.backoff import outage_counts
from plateid.bundles.trial import BundleTrial
from plateid.capture.camera import Camera
from plateid.capture.camera_posts import PostedReads
from plateid.capture.mailbox import Mailboxes
from plateid.config.cameras import CameraConfig
from plateid.config.load import formats_of
from plateid.config.root import Config
from plateid.core.clock import CLOCK
from plateid.core.health import CameraHealth
from plateid.core.records import Frame, ModelNames, Plate, PlateEvent
from plateid.errors import ServiceError, SourceError
from plateid.models.networks import Networks
from plateid.pipeline.camera_pipeline import CameraPipeline
from plateid.pipeline.event_builder import EventBuilder, PipelineSettings
from plateid.pipeline.passes import Pass
from plateid.service.metrics import Metrics
from plateid.service.supervisor import Supervisor

log = structlog.get_logger()
P = ParamSpec("P")
T = TypeVar("T")

SOURCE_KEYS = ("url", "main_url", "loop", "timeout_s", "size", "format", "decoder")
"""Keys of a camera that change where its frames come from."""
IDLE_S = 0.5
"""Maximum time until a worker has left a camera's pipeline, seconds."""


@dataclass(frozen=True)
class RecognitionParts:
    """What all cameras share: `sink` gets events, `show` frames, `set_status` whether online."""

    networks: Networks
    metrics: Metrics
    events: EventBuilder
    supervisor: Supervisor
    sink: Callable[[PlateEvent], None]
    show: Callable[[Frame, Sequence[Plate]], None]
    set_status: Callable[[str, bool], None]
    file: Path | None


def settings_of(config: Config) -> dict[str, PipelineSettings]:
    """Returns the pipeline settings of each camera by name; ConfigError if its syntax is wrong."""
    formats = formats_of(config)
    return {
        camera.name: PipelineSettings(
            camera.name,
            camera.events or config.events,
            formats[camera.name],
            replace(camera.view, zoom=not config.hides_plates),
            keeps_crops=config.privacy.self_labels,
        )
        for camera in config.camera
    }


class Recognition:
    """The cameras of a configuration, their pipelines, workers for inference, and trials."""

    def __init__(
        self, config: Config, settings: Mapping[str, PipelineSettings], parts: RecognitionParts
    ) -> None:
        self._config = config
        lists, restart = parts.events.lists, parts.supervisor.restart
        bundle = {"bundle": parts.networks.config.bundle}
        models = config.models.model_copy(update=bundle)
        self.trial = BundleTrial(models, file=parts.file, lists=lists, restart=restart)
        self._parts = parts
        self._mailboxes = Mailboxes(list(settings))
        self._online = dict.fromkeys(settings, False)
        self._stopping = False
        self._reading = [each.name for each in config.camera if each.kind == "events"]
        self._pipelines = {name: self._pipeline(each) for name, each in settings.items()}
        self._cameras = [self._camera(camera) for camera in config.camera]
        self._posted = {name: PostedReads(self._pipelines[name].publish) for name in self._reading}

    def resume(self, open_passes: Mapping[str, Sequence[PlateEvent]]) -> None:
        """Continues the passes that were open before a restart, by their last events."""
        now = CLOCK.now()
        for name in open_passes.keys() & self._pipelines.keys():
            self._pipelines[name].resume(Pass.restored(event, now) for event in open_passes[name])

    def start(self) -> None:
        """Starts the workers and the capture threads."""
        for number in range(self._config.models.workers if self._cameras else 0):
            self._parts.supervisor.start(f"worker-{number}", self._work)
        for camera in self._cameras:
            self._parts.supervisor.start("camera", camera.run)

    def check(self) -> None:
        """Continues a trial, and reports cameras offline that block without an error."""
        self.trial.check()
        for camera in self._cameras:
            camera.report_stall()

    def take_post(self, camera: str, content_type: str, body: bytes) -> None:
        """Publishes the plate that a camera posts; raises SourceError if it is refused."""
        if self._stopping:
            raise ServiceError(camera, "plateid stops")
        if camera not in self._posted:
            raise SourceError(camera, 'there is no such camera with kind = "events"')
        self._posted[camera].take(content_type, body)

    def apply(self, config: Config, settings: Mapping[str, PipelineSettings]) -> bool:
        """Applies a changed configuration with the same cameras.

        A pass ends only if the source or the settings of its camera have changed. Returns False if
        a camera with a new source has ended already.
        """
        old, self._config = self._config, config
        applied = True
        for camera, before, now in zip(self._cameras, old.camera, config.camera, strict=True):
            same_source = all(getattr(before, key) == getattr(now, key) for key in SOURCE_KEYS)
            applied &= same_source or camera.use(now)
            pipeline = self._pipelines[now.name]
            wanted = settings.get(now.name, pipeline.settings)
            if not same_source or wanted != pipeline.settings:
                self._mailboxes.wait_idle(now.name, timeout_s=IDLE_S)  # a frame of the old source
                pipeline.apply(wanted, same_source=same_source)
        return applied

    def stop(self) -> None:
        """Stops capture; frames that wait are still processed."""
        self._stopping = True
        for camera in self._cameras:
            camera.stop()
        self._mailboxes.close()
        for name, health in self.health().items():
            log.info("frames", camera=name, dropped=health.dropped, skipped=health.skipped)

    def finish(self) -> list[str]:
        """Ends all passes and returns the ids of those that may continue after a restart."""
        return [id_ for pipeline in self._pipelines.values() for id_ in pipeline.finish()]

    def unpublished(self) -> dict[str, int]:
        """Returns the number of passes without an event, by camera, since the start."""
        return {name: pipeline.unpublished for name, pipeline in self._pipelines.items()}

    def health(self) -> dict[str, CameraHealth]:
        """Returns the state of each camera, by its name."""
        cameras = zip(self._pipelines, self._cameras, strict=True)
        return {name: self._health(name, camera) for name, camera in cameras}

    def _health(self, name: str, camera: Camera) -> CameraHealth:
        mailbox, pipeline = self._mailboxes[name], self._pipelines[name]
        return CameraHealth(
            self._online[name],
            mailbox.frames,
            mailbox.dropped,
            pipeline.skipped,
            pipeline.unpublished,
            camera.failure,
            camera.decoder,
            camera.main.state if camera.main else None,
        )

    def _work(self) -> None:
        """Processes frames of any camera until no camera sends any; the work of one thread."""
        while (frame := self._mailboxes.wait_any()) is not None:
            pipeline, mailbox = self._pipelines[frame.camera], self._mailboxes[frame.camera]
            with self._parts.supervisor.working():
                busy = self._mailboxes.crowded and not mailbox.closed
                plates = pipeline.process_if_useful(frame) if busy else pipeline.process(frame)
            if plates is not None:
                self._parts.show(frame, plates)
            self._mailboxes.done(frame.camera)
        if not self._stopping:  # else the next service would get the request
            self._parts.supervisor.stop()

    def _on_status(self, name: str, online: bool) -> None:  # noqa: FBT001 - a callback
        """Ends the passes of moving vehicles when a camera goes offline."""
        if not online:
            outage_counts[f"camera {name}"] += 1
            self._mailboxes.wait_idle(name, timeout_s=IDLE_S)
            self._mailboxes[name].discard()  # else a late worker starts a pass with it
            self._pipelines[name].interrupt()
        self._online[name] = online
        self._parts.set_status(name, online)

    def _pipeline(self, settings: PipelineSettings) -> CameraPipeline:
        networks, metrics, name = self._parts.networks, self._parts.metrics, settings.camera
        events = self._parts.events
        if name in self._reading:
            events = replace(events, model=ModelNames("camera", "camera", "camera"))
        read = _timed(networks.reader().read, metrics.reader_s.labels(name))
        return CameraPipeline(
            settings,
            events,
            detect=_timed(networks.detector().detect, metrics.detector_s.labels(name)),
            read=self.trial.beside(read, name, lambda: self._pipelines[name].settings.formats),
            sink=self._parts.sink,
        )

    def _camera(self, config: CameraConfig) -> Camera:
        on_status = functools.partial(self._on_status, config.name)
        return Camera(config, self._mailboxes[config.name], on_status=on_status)


def _timed(function: Callable[P, T], histogram: Histogram) -> Callable[P, T]:
    def timed(*args: P.args, **kwargs: P.kwargs) -> T:
        with histogram.time():
            return function(*args, **kwargs)

    return timed
