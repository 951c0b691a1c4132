"""`plateid read`: pictures, folders and clips, once, in order."""

import contextlib
import itertools
import json
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from plateid.capture.images import find_sources, is_image, read_image
from plateid.capture.video_file import frame_count, read_video
from plateid.capture.video_writer import VideoWriter
from plateid.config.models import ModelsConfig
from plateid.config.root import Config
from plateid.core.drawing import draw_plates
from plateid.core.formats import Formats
from plateid.core.records import Detection, Frame, Image, LazyImage, Plate, PlateEvent
from plateid.errors import ConfigError, SourceError
from plateid.files import write_whole
from plateid.models.networks import Networks
from plateid.models.tta import TtaReader
from plateid.pipeline.camera_pipeline import CameraPipeline
from plateid.pipeline.event_builder import EventServices, Origin
from plateid.pipeline.settings import PipelineSettings
from plateid.pipeline.stills import read_detections
from plateid.pipeline.tracking import HIGH_SCORE

IMAGES = (".png", ".jpg", ".jpeg", ".webp")
CLIPS = (".mp4",)
"""Kinds of annotated copies; sources of other kinds become the first."""


@dataclass(frozen=True)
class ReadOptions:
    """The options of `plateid read`."""

    as_json: bool
    out: Path | None
    formats: Formats
    min_score: float | None
    crops: bool
    bundle: Path


class Printer:
    """Results on standard output, and how far we are, on a terminal only."""

    def __init__(self) -> None:
        """The bar is shown while `progress` is started."""
        console = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
        columns = (*Progress.get_default_columns(), MofNCompleteColumn())
        self.progress = Progress(
            *columns, console=console, transient=True, disable=not sys.stdout.isatty()
        )

    def line(self, text: str) -> None:
        """Prints a result, above the bar if there is one."""
        if self.progress.disable:
            click.echo(text)
        else:
            self.progress.console.print(text)


class EventPrinter:
    """A sink that prints one event a line, as JSON or for people."""

    def __init__(self, printer: Printer, *, as_json: bool) -> None:
        """Prints with `printer`."""
        self._printer = printer
        self._as_json = as_json
        self.printed = 0

    def accept(self, event: PlateEvent) -> None:
        """Prints the event."""
        self.printed += 1
        about = (
            f"{event.plate_display} {event.confidence:.0%} {event.event_type} {event.dwell_s:.1f} s"
        )
        self._printer.line(event.to_json() if self._as_json else f"{event.camera}: {about}")


class Copies:
    """The folder of annotated copies: never writes over a source, nor over another copy."""

    def __init__(self, folder: Path) -> None:
        """Creates the folder.

        Raises:
            ConfigError: It cannot be created.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"--out {folder}", error.strerror) from error
        self._folder = folder
        self._taken: set[Path] = set()

    def spare(self, sources: Iterable[Path]) -> None:
        """Files that are still to be read, or were: no copy takes their place."""
        self._taken |= {source.resolve() for source in sources}

    def target(self, source: Path, suffixes: Collection[str]) -> Path:
        """Where the copy of a source goes: its name, with the first suffix if it has none of them.

        Raises:
            SourceError: The copy would replace the source.
        """
        suffix = source.suffix if source.suffix.lower() in suffixes else next(iter(suffixes))
        target = self._folder / f"{source.stem}{suffix}"
        if target.resolve() == source.resolve():
            raise SourceError(source, "--out would write the copy over it")
        number = 1
        while target.resolve() in self._taken:
            number += 1
            target = self._folder / f"{source.stem}-{number}{suffix}"
        self._taken.add(target.resolve())
        return target


class ReadCommand:
    """Reads sources one after the other; a bad one is reported and the others go on."""

    def __init__(self, options: ReadOptions) -> None:
        """Loads the networks.

        Raises:
            PlateidError: The bundle or the folder for copies cannot be used.
        """
        self._options = options
        self._copies = Copies(options.out) if options.out is not None else None
        self._networks = Networks(ModelsConfig(bundle=options.bundle))
        self._detector = self._networks.detector(threshold=options.min_score)
        self._reader = self._networks.reader()
        self._closely = TtaReader(self._reader)
        self._sequence = itertools.count(1)
        self._printer = Printer()

    def run(self, sources: Sequence[Path]) -> bool:
        """Reads them all; whether every one could be read."""
        files, failures = [], 0
        for source in sources:
            try:
                files.extend(find_sources(source))
            except SourceError as error:
                failures += _report(error)
        if self._copies is not None:
            self._copies.spare(files)
        with self._printer.progress as progress:
            for file in progress.track(files, description="reading"):
                try:
                    self._read(file)
                except SourceError as error:
                    failures += _report(error)
        return not failures

    def _read(self, file: Path) -> None:
        if self._options.crops or is_image(file):
            self._read_image(file)
        else:
            self._read_clip(file)

    def _read_image(self, file: Path) -> None:
        started = time.perf_counter()
        image = read_image(file)
        decoded = time.perf_counter()
        detections = [_whole(image)] if self._options.crops else self._detector.detect(image)
        detected = time.perf_counter()
        results = read_detections(image, detections, self._closely, self._options.formats)
        ended = time.perf_counter()
        stages = {
            "decode": decoded - started,
            "detect": detected - decoded,
            "read": ended - detected,
        }
        if self._options.as_json:
            self._printer.line(json.dumps(_image_json(file, image, results, stages)))
        else:
            plates = ", ".join(f"{p.text or '?'} {p.confidence:.0%}" for p in results)
            self._printer.line(f"{file}: {plates or 'no plate'}")
        if self._copies is not None:
            _write_image(self._copies.target(file, IMAGES), annotated(image, results))

    def _read_clip(self, file: Path) -> None:
        sink = EventPrinter(self._printer, as_json=self._options.as_json)
        pipeline = self._pipeline(file, sink)
        target = self._copies.target(file, CLIPS) if self._copies is not None else None
        with contextlib.ExitStack() as stack:
            stack.callback(pipeline.finish)
            writer = stack.enter_context(VideoWriter(target)) if target is not None else None
            for frame in self._shown(read_video(file), file):
                results = pipeline.process(frame)
                if writer is not None:
                    writer.write(annotated(frame.image, results), frame.media_time_s or 0.0)
        if not sink.printed and not self._options.as_json:
            unsure = (
                f" that can be read surely, of {pipeline.unpublished}"
                if pipeline.unpublished
                else ""
            )
            self._printer.line(f"{file}: no vehicle{unsure}")

    def _shown(self, frames: Iterator[Frame], file: Path) -> Iterator[Frame]:
        """The frames of a clip, with a bar of their own."""
        progress = self._printer.progress
        task = progress.add_task(file.name, total=frame_count(file))
        try:
            for frame in frames:
                yield frame
                progress.advance(task)
        finally:
            progress.remove_task(task)

    def _pipeline(self, file: Path, sink: EventPrinter) -> CameraPipeline:
        least = self._options.min_score
        return CameraPipeline(
            Origin(
                device=Config.model_fields["device"].default,
                camera=str(file),
                model=self._networks.names,
                services=EventServices(next_seq=lambda: next(self._sequence)),
            ),
            PipelineSettings(
                formats=self._options.formats,
                high_score=HIGH_SCORE if least is None else min(least, HIGH_SCORE),
            ),
            detector=self._detector,
            reader=self._reader,
            sink=sink,
        )


def annotated(image: LazyImage, plates: Sequence[Plate]) -> Image:
    """A copy of the picture with each plate's box and text drawn into it."""
    pixels = image.resized(image.width, image.height).copy()
    draw_plates(pixels, plates)
    return pixels


def _whole(image: LazyImage) -> Detection:
    return Detection((0.0, 0.0, float(image.width), float(image.height)), 1.0)


def _image_json(
    file: Path, image: LazyImage, plates: Sequence[Plate], stages: dict[str, float]
) -> dict[str, Any]:
    return {
        "source": str(file),
        "width": image.width,
        "height": image.height,
        "plates": [plate.to_dict() for plate in plates],
        "timing_ms": {stage: round(1000 * seconds, 2) for stage, seconds in stages.items()},
    }


def _write_image(path: Path, image: Image) -> None:
    encoded, data = cv2.imencode(path.suffix, image)
    if not encoded:
        raise SourceError(path, "cannot be encoded")
    try:
        write_whole(path, np.asarray(data).tobytes())
    except OSError as error:
        raise SourceError(path, error.strerror) from error


def _report(error: SourceError) -> int:
    click.echo(error, err=True)
    return 1
