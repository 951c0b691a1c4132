"""One camera: reads its source for ever, through all outages."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import structlog

from plateid.backoff import Backoff
from plateid.capture.container import is_file
from plateid.capture.decoder import StreamDecoder
from plateid.capture.mailbox import Mailbox
from plateid.capture.main_stream import MainStream
from plateid.capture.stream import read_stream
from plateid.capture.stream_clock import Timeline
from plateid.capture.video_file import play_video
from plateid.config.cameras import CameraConfig
from plateid.core.records import Frame
from plateid.errors import SourceError

BACKOFF = Backoff(cap_s=3.0)
"""Short waits: a camera that is back delivers frames within ten seconds, opening it included."""
STALL_TIMEOUTS = 2.5
"""Time-outs without a frame after which a camera has stalled: it is offline within ten seconds. A
network stream ends by itself after three; a V4L2 device may block for ever."""

log = structlog.get_logger()


class Camera:
    """Puts the frames of one source into a mailbox; `run` is the work of one thread.

    `failure` says why no frames arrive; it is None while they do. `decoder` is the one in use, with
    the reason if it is not the configured one.
    """

    def __init__(
        self,
        config: CameraConfig,
        mailbox: Mailbox,
        *,
        on_status: Callable[[bool], None],
        backoff: Backoff = BACKOFF,
    ) -> None:
        """Opens nothing yet. `on_status` gets True when frames start to come, else False."""
        self._config = config
        self._mailbox = mailbox
        self._on_status = on_status
        self._backoff = backoff
        self._stopping = False
        self._interrupted = threading.Event()
        self._sequence = itertools.count()
        self._online: bool | None = None
        self._config_lock = threading.Lock()
        self._status_lock = threading.Lock()
        self._last_frame_at = time.monotonic()
        self._failures = 0
        self._ended: CameraConfig | None = None
        self.failure: str | None = "connecting"
        self.decoder = "software"
        self.main: MainStream | None = None

    def run(self) -> None:
        """Reads until `stop` is called, or until a video file that does not loop has ended."""
        try:
            while True:
                with self._config_lock:
                    self._interrupted.clear()  # first: `stop` and `use` set it last
                    config = self._config
                    if self._stopping or self._ended is config:
                        self._mailbox.close()
                        return
                self._use_main(config)
                self._read(config)
                if self._failures and not self._ended:
                    self._interrupted.wait(self._backoff.delay_s(self._failures))
        finally:
            self._use_main(None)
            self._mailbox.close()

    def stop(self) -> None:
        """Ends `run` at its next frame or time-out; does not wait for it."""
        self._stopping = True
        self._interrupted.set()

    def use(self, config: CameraConfig) -> bool:
        """Changes to another source; returns False if `run` has ended."""
        with self._config_lock:  # else `run` could clear the interrupt of the new source
            self._config = config
            self._failures = 0
            self._interrupted.set()
            return not self._mailbox.closed

    def report_stall(self) -> None:
        """Reports the camera offline if it has stalled; another thread calls this regularly."""
        silent_s = time.monotonic() - self._last_frame_at
        limit_s = STALL_TIMEOUTS * self._config.timeout_s
        is_live = self._config.kind == "stream" and not is_file(self._config.url)
        stalled = is_live and silent_s > limit_s
        if self._online is not False and stalled:
            log.warning("camera stalled", camera=self._config.name, silent_s=round(silent_s, 1))
            self._report(f"no frame for {silent_s:.0f} s")

    def _read(self, config: CameraConfig) -> None:
        self._ended = None
        if config.kind == "events":  # it posts what it reads; an empty road is no outage
            self._report(None)
            self._interrupted.wait()
            return
        once = is_file(config.url) and not config.loop
        try:
            for frame in self._frames(config):
                if self._stopping or self._config is not config:
                    self._ended = None
                    return
                self._ended = config if once else None  # a file is played once, even if damaged
                self._deliver(frame)
        except SourceError as error:
            if self._config is config:  # an error of a replaced source is of no interest
                self._fail(error)
        if self._ended:
            self._report("the video file has ended")

    def _frames(self, config: CameraConfig) -> Iterator[Frame]:
        timeline = Timeline()
        if self.main:
            self.main.restart(timeline)
        self._decoder = StreamDecoder(
            config.decoder, lambda: self._mailbox.waiting, observe=timeline.add
        )
        if is_file(config.url):
            return play_video(Path(config.url), loop=config.loop, wait=self._interrupted.wait)
        return read_stream(
            config.name,
            config.url,
            timeout_s=config.timeout_s,
            options=config.device_options,
            decoder=self._decoder,
        )

    def _deliver(self, frame: Frame) -> None:
        if self._decoder.used != self.decoder and self._decoder.used:
            self.decoder = self._decoder.used
            log.info("decoder", camera=self._config.name, uses=self.decoder)
        if not self._online:
            size = f"{frame.image.width}x{frame.image.height}"
            log.info("camera online", camera=self._config.name, size=size, failures=self._failures)
        self._failures = 0
        self._last_frame_at = time.monotonic()
        self._report(None)
        sequence = next(self._sequence)
        if self.main:
            self.main.sub = frame.image
        name = self._config.name
        self._mailbox.put(replace(frame, camera=name, sequence=sequence, main=self.main))

    def _use_main(self, config: CameraConfig | None) -> None:
        """Starts the thread of another main stream, and ends that of the one before."""
        url = config.main_url if config else None
        wanted = (url, config.timeout_s) if config else None
        if self.main and (self.main.url, self.main.timeout_s) != wanted:
            self.main.stop()
            self.main = None
        if config and url and not self.main:
            self.main = MainStream(config.name, url, config.timeout_s)
            threading.Thread(target=self.main.run, name="main stream", daemon=True).start()

    def _fail(self, error: SourceError) -> None:
        if not self._failures:
            log.warning("camera offline", camera=self._config.name, reason=str(error))
        self._failures += 1
        self._report(str(error))

    def _report(self, failure: str | None) -> None:
        online = failure is None
        with self._status_lock:
            self.failure = failure
            if online is not self._online:
                self._online = online
                self._on_status(online)
