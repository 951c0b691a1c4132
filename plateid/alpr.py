"""The Python API: reads plates in images, video files and live streams."""

import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from plateid.bundles.backend_choice import load_networks
from plateid.capture.container import is_file, redacted
from plateid.capture.decoder import StreamDecoder
from plateid.capture.images import ArrayImage, decode_image, read_image
from plateid.capture.mailbox import Mailboxes
from plateid.capture.stream import read_stream
from plateid.capture.video_file import read_video
from plateid.config.load import load_formats
from plateid.config.models import ModelsConfig, bundle_path, shipped_bundles
from plateid.config.problems import checked
from plateid.config.root import Config
from plateid.core.drawing import draw_plates
from plateid.core.reading import read_detections
from plateid.core.records import Detection, Frame, Image, LazyImage, Plate, PlateEvent
from plateid.errors import BundleError, SourceError
from plateid.models.tta import TtaReader
from plateid.pipeline.camera_pipeline import CameraPipeline
from plateid.pipeline.event_builder import EventBuilder, PipelineSettings
from plateid.pipeline.tracking import HIGH_SCORE
from plateid.service.logs import configure_logs

ImageSource = str | Path | bytes | NDArray[np.uint8]
"""A file, the bytes of a file, or a BGR uint8 array of shape (H, W, 3)."""
STOP_S = 10.0
"""Maximum time until a closed stream has released its source; FFmpeg needs three time-outs."""


class ALPR:
    """An automatic licence-plate reader: one detector and one reader network.

    An object belongs to one thread; objects of several threads may run at the same time.

    Examples:
        >>> for plate in ALPR(regions=["gb"]).read("car.jpg"):
        ...     print(plate.text, plate.confidence, plate.box)
    """

    def __init__(  # noqa: PLR0913 - the options of the API
        self,
        bundle: str | Path = "default",
        regions: str | Iterable[str] = (),
        *,
        strict: bool = False,
        provider: str = "cpu",
        formats: Path | None = None,
        min_score: float | None = None,
        reader: str | Path | None = None,
        detector: str | Path | None = None,
    ) -> None:
        """Loads the networks.

        Args:
            bundle: A shipped bundle (`default`, `accurate` or `small`) or a bundle's directory.
            regions: Countries or states to expect, for example `["gb", "us-ca"]`; `eu` is the
                European Union.
            strict: Return only texts that match the plate syntax of `regions`.
            provider: Backend, as `models.provider`: `cpu`, `openvino`, `cuda`, `tensorrt`, `auto`.
            formats: TOML file with more plate syntax.
            min_score: Minimum detector score (0-1); by default that of the bundle.
            reader: Model of fast-plate-ocr, with its configuration beside it, in place of the
                bundle's reader; `easyocr` is EasyOCR.
            detector: YOLO export of ultralytics or open-image-models in place of the bundle's
                detector.

        Raises:
            PlateidError: An argument is wrong, or the bundle cannot be used.
        """
        if not structlog.is_configured():
            configure_logs()  # to standard error: structlog's default is standard output
        expected = regions.split(",") if isinstance(regions, str) else tuple(regions)
        self._formats = load_formats(formats).expecting(expected, key="regions", strict=strict)
        self.networks = load_networks(
            _models_config(bundle, provider=provider, reader=reader, detector=detector)
        )
        self._min_score = min_score
        self._detector = self.networks.detector(threshold=min_score)
        self._reader = self.networks.reader()
        self._tta_reader = TtaReader(self._reader)
        self._sequence = itertools.count(1)

    def read(self, image: ImageSource) -> list[Plate]:
        """Returns the plates of one image, the highest confidence first.

        Args:
            image: A path, the bytes of an image file, or a BGR uint8 array of shape (H, W, 3).

        Raises:
            SourceError: The image cannot be read. A damaged one raises DamagedImageError, whose
                `readable` is an image for `detect` and `read_detections`.
            ModelError: A network failed.
        """
        decoded = load_image(image)
        return self.read_detections(decoded, self.detect(decoded))

    def draw(self, image: ImageSource, plates: Iterable[Plate]) -> Image:
        """Returns a BGR copy of the image with the box and text of each plate.

        Raises:
            SourceError: The image cannot be read.
        """
        return annotated(load_image(image), plates)

    def watch(self, source: str | Path) -> Iterator[PlateEvent]:
        """Yields the events of a video file or live stream: `plate_seen` and `plate_left`.

        Each pass of a vehicle gives one event at its start and one at its end. A video file ends
        the iterator; a live stream goes on until you close the iterator or the stream fails.

        Args:
            source: The path of a video file, or an rtsp://, http(s):// or /dev/videoN URL.

        Raises:
            SourceError: The source cannot be opened, is damaged, or stops.
            ModelError: A network failed.
        """
        name, events = redacted(str(source)), list[PlateEvent]()
        pipeline, failure = self.pipeline(name, events.append), None
        with closing(_frames(name, str(source))) as frames:
            try:
                for frame in frames:
                    pipeline.process(frame)
                    yield from events
                    events.clear()
            except SourceError as error:  # after the passes so far have ended
                failure = error
        pipeline.finish()
        yield from events
        if failure is not None:
            raise failure

    def detect(self, image: LazyImage) -> list[Detection]:
        """Returns the detected plates, best first: the first half of `read`."""
        return self._detector.detect(image)

    def read_detections(self, image: LazyImage, detections: Sequence[Detection]) -> list[Plate]:
        """Returns what detected plates say, best first: the second half of `read`."""
        return read_detections(image, detections, self._tta_reader.read, self._formats)

    def pipeline(
        self, camera: str, sink: Callable[[PlateEvent], None], **hooks: Any
    ) -> CameraPipeline:
        """Returns a pipeline for the frames of one source; `sink` receives its events.

        `hooks` are functions of `EventBuilder`.
        """
        score = HIGH_SCORE if self._min_score is None else min(self._min_score, HIGH_SCORE)
        device = Config.model_fields["device"].default
        return CameraPipeline(
            PipelineSettings(
                camera, formats=self._formats, high_score=score, keeps_crops="keep_crops" in hooks
            ),
            EventBuilder(device, self.networks.names, lambda: next(self._sequence), **hooks),
            detect=self._detector.detect,
            read=self._reader.read,
            sink=sink,
        )


def annotated(image: LazyImage, plates: Iterable[Plate]) -> Image:
    """Returns a BGR copy of an image with the box and text of each plate."""
    pixels = image.resized(image.width, image.height).copy()
    draw_plates(pixels, plates)
    return pixels


def load_image(image: ImageSource) -> LazyImage:
    """Decodes an image; raises SourceError if it cannot be read or is no such array."""
    if isinstance(image, str) and "://" in image:
        raise SourceError(redacted(image), "is a URL; download the image first")
    if isinstance(image, str | Path):
        return read_image(Path(image))
    if isinstance(image, bytes):
        return decode_image(image)
    if not isinstance(image, np.ndarray):
        kind = type(image).__name__
        raise SourceError("image", f"must be a path, bytes or a BGR uint8 array, not {kind}")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:  # noqa: PLR2004 - (H, W, 3)
        got = f"{image.dtype} of shape {image.shape}"
        raise SourceError("image", f"must be a BGR uint8 array of shape (H, W, 3), not {got}")
    return ArrayImage(image)


def _models_config(bundle: str | Path, **options: str | Path | None) -> ModelsConfig:
    path = Path(bundle_path(str(bundle)))
    if not path.is_dir():
        shipped = ", ".join(shipped_bundles())
        raise BundleError(bundle, f"is neither a shipped bundle ({shipped}) nor a directory")
    given = {key: str(value) for key, value in options.items() if value is not None}
    return checked(ModelsConfig, {"bundle": path, **given}, subject="ALPR")


def _frames(name: str, source: str) -> Generator[Frame]:
    yield from read_video(Path(source)) if is_file(source) else _newest_frames(name, source)


def _newest_frames(name: str, url: str) -> Iterator[Frame]:
    """Yields the newest frame of a live stream; a thread decodes, so that none becomes old."""
    mailboxes, failures = Mailboxes([name]), deque[SourceError]()
    mailbox = mailboxes[name]

    decoder = StreamDecoder(behind=lambda: mailbox.waiting)

    def decode() -> None:
        try:
            for frame in read_stream(name, url, decoder=decoder):
                mailbox.put(frame)
                if mailbox.closed:
                    return
        except SourceError as error:
            failures.append(error)
        finally:
            mailbox.close()

    thread = Thread(target=decode, name="watch", daemon=True)
    thread.start()
    try:
        while (frame := mailboxes.wait_any()) is not None:
            yield frame
            mailboxes.done(name)
    finally:
        mailbox.close()
        thread.join(STOP_S)
    raise failures[0]
