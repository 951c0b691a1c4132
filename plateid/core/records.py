"""What the stages hand to each other, from the frame to the published event."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""Shape (H, W, 3), BGR."""
Grey = NDArray[np.uint8]
"""Shape (H, W)."""
Box = tuple[float, float, float, float]
"""Corners x1, y1, x2, y2 in pixels of the full picture."""
ListKind = Literal["allow", "deny", "watch"]
Way = Literal["in", "out"]


class LazyImage(Protocol):
    """A decoded picture as the decoder left it; converted only where somebody looks."""

    @property
    def width(self) -> int:
        """Pixels, as displayed (after rotation)."""
        ...

    @property
    def height(self) -> int:
        """Pixels, as displayed (after rotation)."""
        ...

    def resized(self, width: int, height: int) -> Image:
        """The whole picture scaled to this size."""
        ...

    def crop(self, box: Box) -> Image:
        """The part of the picture inside `box`, at full resolution; parts outside are cut off.

        Never empty: at least one pixel is returned.
        """
        ...

    def part(self, box: Box) -> "LazyImage":
        """As `crop`, but not converted yet; `box` in even numbers of pixels."""
        ...

    def luma(self, width: int, height: int) -> Grey:
        """The brightness of the whole picture, scaled to this size."""
        ...


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of one camera.

    Attributes:
        camera: The camera's name, or the path of a file.
        sequence: Counts the frames that the source decoded, from 0; gaps are frames that were
            dropped.
        captured_at: Aware UTC. A live source: the clock at decoding; a file: its start plus
            `media_time_s`.
        media_time_s: Position in the file; None on a live source.
        picture: The pixels.
    """

    camera: str
    sequence: int
    captured_at: datetime
    media_time_s: float | None
    image: LazyImage


@dataclass(frozen=True, eq=False)
class Shot:
    """A frame that shows a vehicle's plate.

    Attributes:
        picture: The frame.
        box: The plate.
        plates: All plates that the detector sees in it, in pixels of the picture, as `box`.
    """

    image: LazyImage
    box: Box
    plates: tuple[Box, ...]


@dataclass(frozen=True)
class Detection:
    """A plate that the detector sees in one picture.

    Attributes:
        box: Where, in pixels of the full picture.
        score: What the detector says, 0 to 1.
    """

    box: Box
    score: float


@dataclass(frozen=True)
class Track:
    """One vehicle's plate, followed over frames.

    Attributes:
        id: Counts from 1 within one camera.
        detection: The detection of this frame.
        hits: Detections so far, this one included.
    """

    id: int
    detection: Detection
    hits: int


@dataclass(frozen=True, eq=False)
class PlateRead:
    """What the reader sees in one crop.

    Attributes:
        probabilities: Shape (slots, 1 + len(CHARSET)), each row a distribution; column 0 is "no
            character".
        sharpness: Of the crop, 0 to 1, whatever its brightness; see `core.geometry.sharpness`.
        height: Of the plate's box, in pixels; the crop is higher by the bundle's margins.
        regions: How likely the plate is one of each country, by code; "" stands for those that the
            reader does not know. Empty: it does not tell.
    """

    probabilities: NDArray[np.float32]
    sharpness: float
    height: float
    regions: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Candidate:
    """One possible text of a plate, and how sure it is."""

    plate: str
    confidence: float


@dataclass(frozen=True)
class Region:
    """The country that the plate is of, by syntax and by sight: a lower-case code."""

    code: str
    confidence: float


@dataclass(frozen=True)
class Reading:
    """The text of one plate, after fusion and syntax.

    Attributes:
        plate: Upper-case letters and digits; empty when nothing is legible, or, where syntax is
            strict, nothing that it allows.
        plate_raw: The text before country syntax.
        confidence: Of the whole text.
        char_confidences: One for each character of `plate`.
        candidates: Best first; the first is `plate`.
        region: None when neither syntax nor the picture tells.
        reads: Reads that were fused.
        agreeing_reads: Those whose own text is `plate_raw`.
    """

    plate: str
    plate_raw: str
    confidence: float
    char_confidences: tuple[float, ...]
    candidates: tuple[Candidate, ...]
    region: Region | None
    reads: int = 1
    agreeing_reads: int = 1


@dataclass(frozen=True)
class Plate:
    """One plate in one image; in a video, the fused result of all its reads so far.

    Attributes:
        text: Upper-case letters and digits; empty when the plate is illegible.
        confidence: Probability that the whole text is right, 0 to 1.
        char_confidences: One value for each character of `text`.
        candidates: The most likely texts, best first.
        box: (x1, y1, x2, y2) in pixels of the full image.
        detection_confidence: The detector's score, 0 to 1.
        region: The country; None when it is unknown.
    """

    text: str
    confidence: float
    char_confidences: tuple[float, ...]
    candidates: tuple[Candidate, ...]
    box: Box
    detection_confidence: float
    region: Region | None

    @classmethod
    def of(cls, detection: Detection, reading: Reading) -> "Plate":
        """Combines what the detector and the reader say about one plate."""
        return cls(
            reading.plate,
            reading.confidence,
            reading.char_confidences,
            reading.candidates,
            detection.box,
            detection.score,
            reading.region,
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns the entry of `plates` that `plateid read --json` prints."""
        values = {"plate": self.text} | asdict(self)
        del values["text"]
        return {**_plain(values), "box": [round(value, 1) for value in self.box]}


@dataclass(frozen=True)
class PathPoint:
    """Where the plate was, in frame pixels, `t` seconds after the pass was first seen."""

    t: float
    box: Box


@dataclass(frozen=True)
class ListMatch:
    """The entry of a list of known plates that a plate fits.

    Attributes:
        name: Of the entry.
        kind: The list that it stands on.
        distance: Characters in which plate and entry differ.
    """

    name: str
    kind: ListKind
    distance: int


@dataclass(frozen=True)
class Direction:
    """Which way a vehicle went.

    Attributes:
        way: None where the camera's view tells no inside from outside.
        degrees: In the picture, from 0 to below 360: 0 is up, 90 is right.
    """

    way: Way | None
    degrees: float


@dataclass(frozen=True)
class Position:
    """Degrees north and east, WGS 84."""

    lat: float
    lon: float


@dataclass(frozen=True)
class Snapshot:
    """The picture of an event.

    Attributes:
        file: Its JPEG in the box's snapshot folder, as in 2026/11/24/ID.jpg.
        sha256: Of the JPEG.
        frame: (width, height) of the frame that `PlateEvent.box` is measured in: the JPEG may be
            smaller. None where nobody noted it.
    """

    file: str
    sha256: str
    frame: tuple[int, int] | None = None


@dataclass(frozen=True)
class ModelNames:
    """Which networks read the plate."""

    detector: str
    reader: str
    bundle: str


@dataclass(frozen=True)
class PlateEvent:
    """What subscribers get; `plateid/core/schema/plate-event.v1.json` describes each field."""

    event_type: Literal["plate_seen", "plate_left"]
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
        """One line; times as UTC RFC 3339 with milliseconds, numbers rounded to 4 places."""
        return json_line(_plain(asdict(self)))


def json_line(value: Any) -> str:
    """JSON without spaces, as events are published and kept."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def rfc3339(moment: datetime) -> str:
    """As in 2026-11-24T09:12:07.123Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case datetime():
            return rfc3339(value)
        case float():
            return round(value, 4)
    return value
