"""What plateid watches and when it publishes: `[[camera]]` and `[events]`."""

from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, StrictFloat, StrictInt, model_validator

from plateid.config.section import (
    ConfigPath,
    Name,
    Probability,
    Seconds,
    Section,
    SourceUrl,
    matching,
)
from plateid.core.records import Way
from plateid.core.view import View

MAX_CAMERAS = 64
"""Maximum number of cameras. Two cores read the plates of 16; no board decodes more than 64."""
MAX_POINTS = 64
"""Maximum number of points of a polygon; the outline of a road or a sign has about ten."""
MAX_MASKS = 64
"""Maximum number of masks of a camera. Each detection is compared with all of them."""
MAX_REGIONS = 250
"""Maximum number of expected regions: ISO 3166-1 has 249 countries, and there is `eu`."""
Point = tuple[Probability, Probability]
"""x and y in normalised coordinates (0-1), from the top left corner."""
POSTS = "events://posts"
"""Stands for the address of a camera of the kind "events", which is never opened."""
Polygon = Annotated[tuple[Point, ...], Field(min_length=3, max_length=MAX_POINTS)]
DecoderName = Literal["auto", "software", "cuda", "v4l2m2m", "qsv"]
FrameSize = Annotated[
    str, matching(r"[0-9]{1,5}x[0-9]{1,5}", 'a width and a height, for example "1920x1080"')
]


class EventsConfig(Section):
    """Section `[events]`: when an event is published, and which plates are expected."""

    min_confidence: Probability = 0.5
    """Minimum confidence of a plate_seen event."""
    sure_confidence: Probability = 0.95
    """Confidence at which plate_seen is published at once."""
    max_wait_s: StrictFloat = Field(default=3.0, ge=0, le=1e7)
    """Seconds after which min_confidence is enough for plate_seen."""
    require_direction: StrictBool = False
    """Wait up to max_wait_s until direction.way is known before plate_seen is published; needs the
    camera's line or approaching."""
    min_reads: StrictInt = Field(default=3, ge=1, le=1000)
    """Minimum number of agreeing reads (4 of 5 characters) before an event is published; doubled if
    no country of `regions` has such a plate."""
    lost_s: Seconds = 2.0
    """Seconds without detection after which a vehicle has left."""
    parked_s: Seconds = 60.0
    """Seconds after which a stationary vehicle is parked."""
    parked_lost_s: Seconds = 300.0
    """Seconds without detection after which a parked vehicle has left; it may be occluded
    meanwhile."""
    regions: tuple[str, ...] = Field(default=(), max_length=MAX_REGIONS)
    """Expected countries or states, for example ro, gb, us-ca; eu is the European Union; empty: all
    countries."""
    strict: StrictBool = False
    """Publish only plates that match the syntax of `regions`."""
    formats: ConfigPath | None = None
    """TOML file of plate syntax, in the form of plateid/core/formats.toml; its countries add to the
    shipped ones or replace those of the same code."""

    @model_validator(mode="after")
    def _check_thresholds(self) -> "EventsConfig":
        if self.sure_confidence < self.min_confidence:
            raise ValueError("sure_confidence is lower than min_confidence")
        return self


class CameraConfig(Section):
    """Section `[[camera]]`: a camera; one section for each."""

    name: Name = Field(description="Name in topics and events: letters, digits, - and _")
    url: SourceUrl = Field(
        description="rtsp://, http(s)://, /dev/videoN, or the path of a video file, played once",
    )
    kind: Literal["stream", "events"] = Field(
        default="stream",
        description='"events": the camera reads plates by itself, and posts them to '
        "/api/v1/cameras/NAME/events of the web UI; then leave out url",
    )
    main_url: SourceUrl | None = None
    """Main stream of the same camera, rtsp:// or http(s)://, if `url` is its sub-stream: plateid
    finds plates in `url` and reads them in `main_url`, of which it decodes only what it reads."""
    loop: StrictBool = False
    """Play the video file again and again."""
    timeout_s: StrictFloat = Field(default=3.0, gt=0, le=60)
    """Seconds without a frame after which the camera is offline and is reopened (a USB camera that
    blocks: 2.5 times as long, without reopening). Use 10 for a server that starts its source on
    demand, such as go2rtc."""
    size: FrameSize | None = None
    """Frame size to request from a USB camera, for example "1920x1080"."""
    format: Annotated[str, matching(r"[a-zA-Z0-9_]+", "an FFmpeg pixel format")] | None = None
    """Pixel format to request from a USB camera, by its FFmpeg name; with "mjpeg" many cameras send
    more frames a second."""
    decoder: DecoderName = "software"
    """Video decoder of a stream: software, cuda (NVIDIA), qsv (Intel), v4l2m2m (ARM boards), or
    auto, the first of them that works. plateid falls back to software, and says why, if a hardware
    decoder fails."""
    roi: Polygon | None = None
    """Polygon that a plate's centre must be in: [[x, y], ...] in normalised coordinates (0-1) from
    the top left; default: the whole image. A small polygon is enlarged for the detector, unless
    [privacy] or [snapshots] hide plates in images."""
    masks: tuple[Polygon, ...] = Field(default=(), max_length=MAX_MASKS)
    """Polygons without plates, for example a clock overlay or a sign."""
    min_plate_height: StrictFloat = Field(default=0.0, ge=0, le=10_000)
    """Minimum height of a plate, pixels of the full image."""
    line: tuple[Point, Point] | None = None
    """A vehicle that crosses this line from its left to its right, seen from its first point, goes
    in; in the other direction, it goes out."""
    approaching: Way | None = None
    """in or out: the direction of vehicles that come nearer; instead of line."""
    events: EventsConfig | None = None
    """Values of [events] that differ for this camera."""

    @property
    def device_options(self) -> dict[str, str]:
        """FFmpeg options for a USB camera."""
        options = {"video_size": self.size, "input_format": self.format}
        return {name: value for name, value in options.items() if value}

    @property
    def view(self) -> View:
        """The part of the image that counts, and its directions."""
        return View(self.roi or (), self.masks, self.min_plate_height, self.line, self.approaching)

    @model_validator(mode="before")
    @classmethod
    def _fill_in_url(cls, table: Any) -> Any:
        match table:
            case {"kind": "events"}:
                return {"url": POSTS} | table
        return table

    @model_validator(mode="after")
    def _check_keys(self) -> "CameraConfig":
        given = sorted(self.model_fields_set - {"name", "kind", "events", "url"})
        if self.kind == "events" and (given or self.url != POSTS):
            raise ValueError(f'{", ".join(given) or "url"}: not for kind = "events"')
        if self.kind == "stream" and self.url == POSTS:
            raise ValueError(f'url: {POSTS} is for kind = "events"')
        if self.device_options and not self.url.startswith("/dev/"):
            raise ValueError("size and format are for USB cameras, /dev/videoN")
        is_file = "://" not in self.url and not self.url.startswith("/dev/")
        if self.decoder != "software" and is_file:
            raise ValueError("decoder is for streams; video files are decoded in software")
        if self.main_url and not ("://" in self.url and "://" in self.main_url):
            raise ValueError("main_url and url must both be network streams")
        if self.line and self.approaching:
            raise ValueError("set either line or approaching, not both")
        if self.line and self.line[0] == self.line[1]:
            raise ValueError("line: both points are the same")
        return self
