"""The records that the stages pass on, from the frame to the published event."""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from plateid.core.taught_syntax import NO_SYNTAX, TaughtSyntax

if TYPE_CHECKING:
    from plateid.core.close_up import MainStreamImages

Image = NDArray[np.uint8]
"""Shape (H, W, 3), BGR."""
Grey = NDArray[np.uint8]
"""Shape (H, W)."""
Box = tuple[float, float, float, float]
"""Corners x1, y1, x2, y2 in pixels of the full image."""
EventType = Literal["plate_seen", "plate_left"]
ListKind = Literal["allow", "deny", "watch"]
Way = Literal["in", "out"]


class LazyImage(Protocol):
    """A decoded image in the decoder's pixel format; only the parts in use become BGR."""

    @property
    def width(self) -> int:
        """Width in pixels, after rotation."""

    @property
    def height(self) -> int:
        """Height in pixels, after rotation."""

    def resized(self, width: int, height: int) -> Image:
        """Returns the whole image scaled to this size."""

    def crop(self, box: Box) -> Image:
        """Returns the part inside `box` at full resolution, clipped to the image.

        It has at least one pixel.
        """

    def part(self, box: Box) -> "LazyImage":
        """Returns the part inside `box` without converting it; `box` has even coordinates."""

    def luma(self, width: int, height: int) -> Grey:
        """Returns the brightness of the whole image, scaled to this size."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of one camera.

    `camera` may be the path of a file. Gaps of `sequence` are dropped frames. `captured_at` (aware
    UTC) is the time of decoding, or the start of the file and `media_time_s`, which is None on a
    live source. `clock_step` is how far the system clock was set forward since the start.
    `stream_s` is the timestamp of a live source, seconds; `main` its main stream if it has one.
    """

    camera: str
    sequence: int
    captured_at: datetime
    media_time_s: float | None
    image: LazyImage
    clock_step: timedelta = timedelta()
    stream_s: float | None = None
    main: "MainStreamImages | None" = None

    @property
    def time(self) -> datetime:
        """The time of tracking: `captured_at` without the steps of the system clock."""
        return self.captured_at - self.clock_step


@dataclass(frozen=True, eq=False)
class BestFrame:
    """The image that shows a plate best, its box, and the boxes of all `plates` in the image.

    `scale` is the number of its pixels per pixel of the frame that the event's box refers to,
    `offset` where that frame begins.
    """

    image: LazyImage
    box: Box
    plates: tuple[Box, ...]
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, eq=False)
class PlateCrop:
    """A plate with its surroundings: its box in `image`, and text, height and sharpness as read."""

    image: Image
    box: Box
    text: str
    height: float
    sharpness: float


@dataclass(frozen=True)
class Detection:
    """A plate that the detector found, with its score (0-1)."""

    box: Box
    score: float


@dataclass(frozen=True, eq=False)
class PlateRead:
    """The reader's output for one crop.

    `probabilities` has the shape (positions, 1 + len(CHARSET)); rows sum to 1, column 0 is the
    blank. `height` is in pixels, without the bundle's margins; `margins` is the space left and
    right of the text in widths of the crop, 0 if it is unknown. `syntax` is what the reader was
    taught.
    """

    probabilities: NDArray[np.float32]
    sharpness: float
    height: float
    margins: tuple[float, float] = (0.0, 0.0)
    syntax: TaughtSyntax = NO_SYNTAX


@dataclass(frozen=True)
class Candidate:
    """One possible text of a plate, and the probability that it is right."""

    plate: str
    confidence: float


@dataclass(frozen=True)
class Region:
    """The country of a plate (ISO 3166-1 alpha-2, lower case), and its probability."""

    code: str
    confidence: float


@dataclass(frozen=True)
class Plate:
    """One plate in one image; in a video, the fused result of all its reads so far."""

    text: str  # upper-case letters and digits; empty when the plate is illegible
    confidence: float  # probability (0-1) that the whole text is right
    char_confidences: tuple[float, ...]  # one for each character of `text`
    candidates: tuple[Candidate, ...]  # the most likely texts, best first
    box: Box  # (x1, y1, x2, y2) in pixels of the full image
    detection_confidence: float  # the detector's score (0-1)
    region: Region | None  # the country; None when it is unknown

    def to_dict(self) -> dict[str, Any]:
        """Returns the entry of `plates` that `plateid read --json` prints."""
        values = {"plate": self.text} | _plain(self)
        del values["text"]
        return {**values, "box": [round(value, 1) for value in self.box]}


@dataclass(frozen=True)
class PathPoint:
    """Where a plate was `t` seconds after `first_seen`, in pixels of the frame."""

    t: float
    box: Box


@dataclass(frozen=True)
class ListMatch:
    """The entry of a list that matches a plate; they differ in `distance` characters."""

    name: str
    kind: ListKind
    distance: int


@dataclass(frozen=True)
class Direction:
    """The direction of a vehicle; `degrees` is its angle in the image: 0 is up, 90 is right.

    `way` is None when the camera has neither `line` nor `approaching`.
    """

    way: Way | None
    degrees: float


@dataclass(frozen=True)
class Position:
    """Latitude and longitude in degrees, WGS 84."""

    lat: float
    lon: float


@dataclass(frozen=True)
class Snapshot:
    """The JPEG of an event; `frame` is the (width, height) to which the event's box refers."""

    file: str
    sha256: str
    frame: tuple[int, int] | None = None


@dataclass(frozen=True)
class ModelNames:
    """The names of the networks that read a plate."""

    detector: str
    reader: str
    bundle: str


@dataclass(frozen=True)
class PlateEvent:
    """A published event; `plateid/core/schema/plate-event.v1.json` describes each field."""

    event_type: EventType
    id: str
    pass_id: str
    device: str
    camera: str
    seq: int
    plate: str
    plate_raw: str
    plate_display: str
    confidence: float
    char_confidences: tuple[float, ...]
    candidates: tuple[Candidate, ...]
    reads: int
    agreeing_reads: int
    region: Region | None
    first_seen: datetime
    last_seen: datetime
    box: Box
    path: tuple[PathPoint, ...]
    dwell_s: float
    model: ModelNames
    schema: str = "plate-event.v1"
    corrected: bool = False
    list: ListMatch | None = None
    sent_at: datetime | None = None
    clock_synced: bool | None = None
    direction: Direction | None = None
    parked: bool = False
    gps: Position | None = None
    snapshot: Snapshot | None = None
    replayed: bool = False

    def to_json(self) -> str:
        """Returns one line: times in UTC (RFC 3339, milliseconds), numbers with 4 decimals."""
        return json.dumps(_plain(self), separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True)
class OutboxEntry:
    """An event in an outbox; `sent` says whether the output may have received it before.

    `requested` says whether a hub asked for it again: it is out of order.
    """

    event: PlateEvent
    sent: bool
    requested: bool = False

    def to_json(self) -> str:
        """Returns the event as it is sent now, on one line."""
        return replace(self.event, sent_at=datetime.now(UTC), replayed=self.sent).to_json()


def rfc3339(moment: datetime) -> str:
    """Returns a time such as 2026-11-24T09:12:07.123Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(value: Any) -> Any:
    """Returns JSON values; walks records itself, since `asdict` copies and takes thrice as long."""
    if isinstance(value, float):
        return round(value, 4)
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return rfc3339(value)
    fields = value if isinstance(value, dict) else vars(value)
    return {key: _plain(item) for key, item in fields.items()}
