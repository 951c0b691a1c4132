"""`plateid read`: pictures, folders and clips, once, in order."""

import contextlib
import itertools
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from plateid.capture.pictures import find_sources, is_picture, read_picture
from plateid.capture.stream import clip_length, read_clip
from plateid.capture.writer import ClipWriter
from plateid.config import Config, EventsConfig, ModelsConfig
from plateid.core.drawing import draw_plate
from plateid.core.records import Detection, Frame, Image, Picture, PlateEvent
from plateid.errors import SourceError
from plateid.models.networks import Networks
from plateid.pipeline import CameraPipeline, Origin, PlateResult, Rules, read_detections


@dataclass(frozen=True)
class ReadOptions:
    """The options of `plateid read`."""

    as_json: bool
    out: Path | None
    regions: tuple[str, ...]
    min_score: float | None
    crops: bool
    bundle: Path


class EventPrinter:
    """A sink that prints one event a line."""

    def __init__(self, *, as_json: bool) -> None:
        """JSON, or a line for people."""
        self._as_json = as_json

    def accept(self, event: PlateEvent) -> None:
        """Prints the event."""
        seen = (
            f"{event.plate_display} {event.confidence:.0%} {event.event_type} {event.dwell_s:.1f} s"
        )
        click.echo(event.to_json() if self._as_json else f"{event.camera}: {seen}")


class ReadCommand:
    """Reads sources one after the other; a bad one is reported and the others go on."""

    def __init__(self, options: ReadOptions) -> None:
        """Loads the networks.

        Raises:
            PlateidError: The bundle cannot be used.
        """
        self._options = options
        self._networks = Networks(ModelsConfig(bundle=options.bundle))
        self._detector = self._networks.detector(threshold=options.min_score)
        self._reader = self._networks.reader()
        self._sequence = itertools.count(1)
        self._show_frames = False
        if options.out is not None:
            options.out.mkdir(parents=True, exist_ok=True)

    def run(self, sources: Sequence[Path]) -> bool:
        """Reads them all; whether every one could be read."""
        files, failures = [], 0
        for source in sources:
            try:
                files.extend(find_sources(source))
            except SourceError as error:
                failures += _report(error)
        self._show_frames = len(files) == 1
        for file in _with_progress(files) if len(files) > 1 else files:
            try:
                self._read(file)
            except SourceError as error:
                failures += _report(error)
        return not failures

    def _read(self, file: Path) -> None:
        if self._options.crops or is_picture(file):
            self._read_picture(file)
        else:
            self._read_clip(file)

    def _read_picture(self, file: Path) -> None:
        started = time.perf_counter()
        picture = read_picture(file)
        decoded = time.perf_counter()
        detections = [_whole(picture)] if self._options.crops else self._detector.detect(picture)
        detected = time.perf_counter()
        results = read_detections(picture, detections, self._reader, self._options.regions)
        ended = time.perf_counter()
        stages = {
            "decode": decoded - started,
            "detect": detected - decoded,
            "read": ended - detected,
        }
        if self._options.as_json:
            click.echo(json.dumps(_picture_json(file, picture, results, stages)))
        else:
            plates = ", ".join(
                f"{r.reading.plate or '?'} {r.reading.confidence:.0%}" for r in results
            )
            click.echo(f"{file}: {plates or 'no plate'}")
        if self._options.out is not None:
            _write_picture(self._options.out / file.name, annotated(picture, results))

    def _read_clip(self, file: Path) -> None:
        pipeline = self._pipeline(file)
        with contextlib.ExitStack() as stack:
            stack.callback(pipeline.finish)
            writer = None
            frames = read_clip(file)
            for frame in _with_frame_progress(frames, file) if self._show_frames else frames:
                results = pipeline.process(frame)
                if self._options.out is not None:
                    writer = writer or stack.enter_context(
                        ClipWriter(self._options.out / f"{file.stem}.mp4")
                    )
                    writer.write(annotated(frame.picture, results), frame.media_time_s or 0.0)

    def _pipeline(self, file: Path) -> CameraPipeline:
        return CameraPipeline(
            Origin(
                device=Config.model_fields["device"].default,
                camera=str(file),
                model=self._networks.names,
                next_seq=lambda: next(self._sequence),
                clock_synced=lambda: None,
            ),
            Rules(**EventsConfig(regions=self._options.regions).model_dump()),
            detector=self._detector,
            reader=self._reader,
            sink=EventPrinter(as_json=self._options.as_json),
        )


def annotated(picture: Picture, results: Sequence[PlateResult]) -> Image:
    """A copy of the picture with each plate's box and text drawn into it."""
    image = picture.resized(picture.width, picture.height).copy()
    for result in results:
        draw_plate(image, result.detection.box, result.reading.plate, result.reading.confidence)
    return image


def _whole(picture: Picture) -> Detection:
    return Detection((0.0, 0.0, float(picture.width), float(picture.height)), 1.0)


def _picture_json(
    file: Path, picture: Picture, results: Sequence[PlateResult], stages: dict[str, float]
) -> dict[str, Any]:
    return {
        "source": str(file),
        "width": picture.width,
        "height": picture.height,
        "plates": [_plate_json(result) for result in results],
        "timing_ms": {stage: round(1000 * seconds, 2) for stage, seconds in stages.items()},
    }


def _plate_json(result: PlateResult) -> dict[str, Any]:
    reading = result.reading
    return {
        "plate": reading.plate,
        "confidence": round(reading.confidence, 4),
        "char_confidences": [round(value, 4) for value in reading.char_confidences],
        "candidates": [
            {"plate": c.plate, "confidence": round(c.confidence, 4)} for c in reading.candidates
        ],
        "box": [round(value, 1) for value in result.detection.box],
        "detection_confidence": round(result.detection.score, 4),
        "region": reading.region
        and {"code": reading.region.code, "confidence": round(reading.region.confidence, 4)},
    }


def _write_picture(path: Path, image: Image) -> None:
    suffix = path.suffix if path.suffix.lower() in {".jpg", ".jpeg", ".png", ".webp"} else ".png"
    path = path.with_suffix(suffix)
    encoded, data = cv2.imencode(suffix, image)
    if not encoded:
        raise SourceError(path, "cannot be encoded")
    try:
        path.write_bytes(np.asarray(data).tobytes())
    except OSError as error:
        raise SourceError(path, error.strerror) from error


def _report(error: SourceError) -> int:
    click.echo(error, err=True)
    return 1


def _progress() -> Progress:
    """On a terminal only; nothing where the output is piped."""
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    return Progress(
        *columns, console=Console(stderr=True), transient=True, disable=not sys.stdout.isatty()
    )


def _with_progress(files: Sequence[Path]) -> Iterator[Path]:
    with _progress() as progress:
        yield from progress.track(files, description="reading")


def _with_frame_progress(frames: Iterator[Frame], file: Path) -> Iterator[Frame]:
    with _progress() as progress:
        yield from progress.track(frames, total=clip_length(file), description=file.name)
