"""`plateid read`: reads images, directories and video files once, in order."""

import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import cv2
import numpy as np

from plateid.alpr import ALPR, annotated
from plateid.capture.images import DamagedImageError, find_sources, is_image, read_image
from plateid.capture.video_file import frame_count, read_video
from plateid.capture.video_writer import VideoWriter
from plateid.commands.options import BUNDLE
from plateid.commands.progress_report import ProgressReport
from plateid.core.option_types import FilePath, not_nan
from plateid.core.records import Detection, Frame, Image, LazyImage, Plate, PlateEvent
from plateid.core.wording import counted
from plateid.errors import ConfigError, SourceError, os_errors_as, printable
from plateid.files import write_whole
from plateid.pipeline.camera_pipeline import CameraPipeline

IMAGES = (".png", ".jpg", ".jpeg", ".webp")
VIDEOS = (".mp4",)
"""Suffixes of annotated copies; a source of another kind gets the first suffix."""


@click.command(epilog="Example: plateid read --out annotated --regions gb,ie car.jpg street.mp4")
@click.argument("sources", nargs=-1, required=True, type=FilePath())
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.option("--out", type=FilePath(), help="Directory for annotated copies.")
@click.option(
    "--regions",
    metavar="gb,ie",
    help="Countries or states (us-ca) to expect; eu is the European Union.",
)
@click.option("--strict", is_flag=True, help="Print only texts that match the regions' syntax.")
@click.option(
    "--formats",
    type=FilePath(),
    metavar="FILE",
    help="TOML file of plate syntax, in the form of plateid/core/formats.toml.",
)
@click.option(
    "--min-score",
    type=click.FloatRange(0, 1),
    callback=not_nan,
    help="Minimum detection score instead of the bundle's.",
)
@click.option("--crops", is_flag=True, help="Each image is one plate that is already cut out.")
@BUNDLE
@click.option(
    "--provider",
    default="cpu",
    metavar="NAME",
    help="Backend: cpu, auto, openvino, cuda, tensorrt.",
)
@click.option("--reader", type=FilePath(), help="Model of fast-plate-ocr in place of the reader.")
@click.option("--detector", type=FilePath(), help="YOLO export in place of the bundle's detector.")
def read(  # noqa: PLR0913 - the options of the command
    sources: Sequence[Path],
    *,
    as_json: bool,
    out: Path | None,
    regions: str | None,
    strict: bool,
    formats: Path | None,
    min_score: float | None,
    crops: bool,
    bundle: str,
    provider: str,
    reader: Path | None,
    detector: Path | None,
) -> None:
    """Read the plates in images, directories and video files.

    A video gives the events that a camera would give.
    """
    alpr = ALPR(
        bundle,
        regions or (),
        strict=strict,
        provider=provider,
        formats=formats,
        min_score=min_score,
        reader=reader,
        detector=detector,
    )
    folder = OutputFolder(out) if out is not None else None
    reading = FileReader(alpr, folder, as_json=as_json, crops=crops)
    sys.exit(0 if reading.run(sources) else 1)


class OutputFolder:
    """A directory of copies that never replace a source or another copy."""

    def __init__(self, folder: Path) -> None:
        """Creates the directory; raises ConfigError if that fails."""
        with os_errors_as(ConfigError, f"--out {folder}"):
            folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._taken: set[Path] = set()

    def protect(self, sources: Iterable[Path]) -> None:
        """Excludes files from being replaced."""
        self._taken |= {source.resolve() for source in sources}

    def write_image(self, source: Path, image: Image) -> None:
        """Writes a copy of an image; raises SourceError if that fails or replaces the source."""
        path = self.free_path(source, IMAGES)
        encoded, data = cv2.imencode(path.suffix, image)
        if not encoded:
            raise SourceError(path, "cannot be encoded")
        with os_errors_as(SourceError, path):
            write_whole(path, np.asarray(data).tobytes())

    def free_path(self, source: Path, suffixes: tuple[str, ...]) -> Path:
        """Returns a free path for a copy; raises SourceError if it is the source."""
        suffix = source.suffix if source.suffix.lower() in suffixes else suffixes[0]
        path = self._folder / f"{source.stem}{suffix}"
        if path.resolve() == source.resolve():
            raise SourceError(source, "--out would replace it with its annotated copy")
        number = 1
        while path.resolve() in self._taken:
            number += 1
            path = self._folder / f"{source.stem}-{number}{suffix}"
        self._taken.add(path.resolve())
        return path


@dataclass(frozen=True)
class FileReader:
    """Reads files one after the other; a bad one is reported and the others go on.

    Annotated copies go to `folder`. With `crops`, each image is one plate, without detection.
    """

    alpr: ALPR
    folder: OutputFolder | None
    as_json: bool
    crops: bool

    def run(self, sources: Iterable[Path]) -> bool:
        """Reads all files and returns whether every one could be read."""
        files, failures = [], 0
        for source in sources:
            try:
                files.extend(find_sources(source))
            except SourceError as error:
                failures += _report(error)
        if self.folder is not None:
            self.folder.protect(files)
        with ProgressReport() as progress:
            for file in progress.report(files, "reading", len(files)):
                try:
                    if self.crops or is_image(file):
                        self._read_image(file)
                    else:
                        self._read_video(file, progress)
                except SourceError as error:
                    failures += _report(error)
        return not failures

    def _read_image(self, file: Path) -> None:
        """Reads an image; of a damaged one, prints only plates, before it raises SourceError."""
        times = [time.perf_counter()]
        image: LazyImage
        damage = None
        try:
            image = read_image(file)
        except DamagedImageError as error:
            image, damage = error.readable, error
        times.append(time.perf_counter())
        whole = Detection((0.0, 0.0, float(image.width), float(image.height)), 1.0)
        detections = [whole] if self.crops else self.alpr.detect(image)
        times.append(time.perf_counter())
        plates = self.alpr.read_detections(image, detections)
        times.append(time.perf_counter())
        if plates or damage is None:
            found = _to_dict(file, image, plates, times) | ({"damaged": True} if damage else {})
            click.echo(json.dumps(found) if self.as_json else _text(file, plates))
        if self.folder is not None:
            self.folder.write_image(file, annotated(image, plates))
        if damage is not None:
            raise damage

    def _read_video(self, file: Path, progress: ProgressReport) -> None:
        printer = EventPrinter(as_json=self.as_json)
        pipeline = self.alpr.pipeline(str(file), printer.accept)
        frames = progress.report(read_video(file), printable(file.name), frame_count(file))
        try:
            if self.folder is None:
                for frame in frames:
                    pipeline.process(frame)
            else:
                _annotate(frames, pipeline, self.folder.free_path(file, VIDEOS))
        finally:
            pipeline.finish()
        if not printer.printed and not self.as_json:
            unread = counted(pipeline.unpublished, "vehicle") + " with an unreadable plate"
            click.echo(printable(f"{file}: {unread if pipeline.unpublished else 'no vehicle'}"))


def _annotate(frames: Iterable[Frame], pipeline: CameraPipeline, path: Path) -> None:
    """Writes the annotated copy of a video; of a damaged one, up to where it can be decoded."""
    written, failure = 0, None
    with VideoWriter(path) as writer:
        try:
            for written, frame in enumerate(frames, 1):  # noqa: B007 - how many, after a failure
                image = annotated(frame.image, pipeline.process(frame))
                writer.write(image, frame.media_time_s or 0.0)
        except SourceError as error:
            if not written:
                raise
            failure = error
    if failure is not None:
        raise failure


class EventPrinter:
    """Prints one event a line, as JSON or as text."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self.printed = 0

    def accept(self, event: PlateEvent) -> None:
        """Prints the event."""
        self.printed += 1
        about = f"{event.plate_display} {event.confidence:.0%} {event.event_type}"
        text = f"{event.camera}: {about} {event.dwell_s:.1f} s"
        click.echo(event.to_json() if self._as_json else printable(text))


def _text(file: Path, plates: Sequence[Plate]) -> str:
    described = (f"{p.text} {p.confidence:.0%}" if p.text else "unreadable plate" for p in plates)
    return printable(f"{file}: {', '.join(described) or 'no plate'}")


def _to_dict(
    file: Path, image: LazyImage, plates: Sequence[Plate], times: Sequence[float]
) -> dict[str, object]:
    stages = zip(("decode", "detect", "read"), times, times[1:], strict=False)
    return {
        "source": str(file),
        "width": image.width,
        "height": image.height,
        "plates": [plate.to_dict() for plate in plates],
        "timing_ms": {name: round(1000 * (end - start), 2) for name, start, end in stages},
    }


def _report(error: SourceError) -> int:
    click.echo(error, err=True)
    return 1
