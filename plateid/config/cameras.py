"""What is looked at, and when it is an event: `[[camera]]` and `[events]`."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from plateid.config.section import Name, Probability, Section
from plateid.core.records import Way
from plateid.core.view import View

Point = tuple[Probability, Probability]
"""x and y in parts of the picture, from its top left corner."""
Polygon = Annotated[tuple[Point, ...], Field(min_length=3)]


class EventsConfig(Section):
    """Section `[events]`."""

    min_confidence: Probability = Field(default=0.5, description="No plate_seen below it")
    sure_confidence: Probability = Field(
        default=0.95, description="plate_seen is sent as soon as this is reached"
    )
    max_wait_s: float = Field(
        default=3.0, ge=0, description="Seconds after which min_confidence is enough for plate_seen"
    )
    min_reads: int = Field(
        default=3,
        ge=1,
        description="Frames that must read alike, but for one character in five, before a vehicle "
        "is published; twice as many where no country of `regions` has such a plate",
    )
    lost_s: float = Field(
        default=2.0, gt=0, description="Seconds unseen after which a vehicle has left"
    )
    parked_s: float = Field(
        default=60.0, gt=0, description="Seconds after which a vehicle that stands is parked"
    )
    parked_lost_s: float = Field(
        default=300.0,
        gt=0,
        description="Seconds unseen after which one that was parked has left; it may be hidden",
    )
    regions: tuple[str, ...] = Field(
        default=(),
        description="Countries to expect, as in ro, gb, de; eu: all of the Union; empty: any",
    )
    strict: bool = Field(
        default=False, description="Publish only what the syntax of one of the regions allows"
    )
    formats: Path | None = Field(
        default=None,
        description="File of plate syntax as plateid/core/formats.toml; its countries come on top, "
        "or replace those of the same code",
    )

    @model_validator(mode="after")
    def _sure_is_surer(self) -> "EventsConfig":
        if self.sure_confidence < self.min_confidence:
            raise ValueError("sure_confidence is lower than min_confidence")
        return self


class CameraConfig(Section):
    """Section `[[camera]]`."""

    name: Name = Field(description="Name in topics and events: letters, digits, - and _")
    url: str = Field(
        min_length=1,
        description="rtsp://, http(s)://, /dev/videoN, or the path of a clip that is played once",
    )
    loop: bool = Field(default=False, description="Play a clip again and again")
    timeout_s: float = Field(
        default=3.0,
        gt=0,
        le=60,
        description="Seconds without an answer or a picture after which it is offline, and opened "
        "anew (a USB camera that blocks: four times as long, and not opened anew); 10 for a server "
        "that starts its source when it is asked, as go2rtc",
    )
    size: str | None = Field(
        default=None,
        pattern=r"^\d+x\d+$",
        description='Pixels to ask a USB camera for, as "1920x1080"; default: as it is set',
    )
    format: str | None = Field(
        default=None,
        pattern=r"^\w+$",
        description='What to ask a USB camera for, as "mjpeg", by the names of FFmpeg; many give '
        "few pictures a second otherwise",
    )
    roi: Polygon | None = Field(
        default=None,
        description="Polygon that a plate's centre has to be in: [[x, y], ...] in parts of the "
        "picture, from its top left corner; default: the whole picture. The detector sees a small "
        "one larger, unless [privacy] or [snapshots] hide other vehicles' plates in pictures",
    )
    masks: tuple[Polygon, ...] = Field(
        default=(),
        description="Polygons where there is no plate, as a clock in the picture or a sign",
    )
    min_plate_height: float = Field(
        default=0.0, ge=0, description="Lower plates are ignored, in pixels of the full picture"
    )
    line: tuple[Point, Point] | None = Field(
        default=None,
        description="Who crosses it from its left to its right, as one looks from its first point "
        "to its second, goes in; who crosses it the other way goes out",
    )
    approaching: Way | None = Field(
        default=None, description="in or out: which way those go who come nearer; instead of line"
    )
    events: EventsConfig | None = Field(
        default=None, description="Values of [events] that differ for this camera"
    )

    @property
    def device_options(self) -> dict[str, str]:
        """What a USB camera is asked for, by the names of FFmpeg."""
        asked = {"video_size": self.size, "input_format": self.format}
        return {name: value for name, value in asked.items() if value}

    @model_validator(mode="after")
    def _only_devices_are_asked(self) -> "CameraConfig":
        if self.device_options and not self.url.startswith("/dev/"):
            raise ValueError("size and format are for USB cameras, /dev/videoN")
        return self

    @property
    def view(self) -> View:
        """What counts in its picture."""
        return View(self.roi or (), self.masks, self.min_plate_height, self.line, self.approaching)

    @model_validator(mode="after")
    def _one_way_to_tell_the_way(self) -> "CameraConfig":
        if self.line and self.approaching:
            raise ValueError("line and approaching: choose one")
        if self.line and self.line[0] == self.line[1]:
            raise ValueError("line: its two points are one")
        return self
