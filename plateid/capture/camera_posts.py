"""Posts of cameras that read plates by themselves, by documents: no such camera was at hand.

Hikvision: Device Network SDK (Traffic) Developer Guide 6.1.4, XML_EventNotificationAlert_ANPR.
Dahua: ITSAPI, `POST /NotificationInfo/TollgateInfo`, as public receivers of it name its fields.
Axis: VAPIX, License plate verifier API, "Push events".
"""

import base64
import json
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.message import Message
from typing import Any, NamedTuple, TypeVar
from xml.etree.ElementTree import ParseError

import structlog
from defusedxml.ElementTree import fromstring
from pydantic import AwareDatetime, FiniteFloat, TypeAdapter, ValidationError

from plateid.capture.images import decode_image
from plateid.core.reading import Reading
from plateid.core.records import Candidate, LazyImage
from plateid.core.text import normalise
from plateid.errors import SourceError

KEYS = {
    "licensePlate": ("confidenceLevel", 100.0, "UUID", "dateTime"),
    "PlateNumber": ("Confidence", 100.0, "AccurateTime", ""),
    "plateUTF8": ("plateConfidence", 1.0, "carID", "capture_timestamp"),
}
"""By the maker's key of the plate: keys of its confidence, with the highest one, of what is the
same in a repeated post, and of the time. Dahua's has no time zone."""
PICTURES, HEARTBEATS = ("Content", "BinaryImage"), frozenset({"Active", "ALPV"})
"""Keys of images, which are Base64, and of the messages by which cameras say that they work."""
UNREAD = frozenset({"", "UNKNOWN", "NOPLATE", "UNLICENSED"})
"""Normalised texts that cameras send instead of an illegible plate."""
MAX_XML_BYTES = 200_000
"""Maximum size of XML without images; alerts have 5,000, and 8 MB would take seconds."""
MAX_CHARACTERS = 20
"""Maximum length of a plate; the longest ones have 12 characters."""
UNSTATED = 0.5
"""Confidence of a post that states none."""
MAX_DELAY = timedelta(days=1)
"""Age of a post up to which the camera's clock counts, and otherwise the time of its arrival."""
MAX_KNOWN = 1000
"""Number of the last posts that are not published again if the camera repeats them."""
NUMBER, TIME = TypeAdapter(FiniteFloat), TypeAdapter(AwareDatetime)
"""Parsers that also take text; of times, ISO 8601 with a time zone and milliseconds since 1970."""
T = TypeVar("T")
log = structlog.get_logger()


class Post(NamedTuple):
    """A plate and its confidence (0-1), the time and an image file, which may be empty."""

    marker: int  # with the plate, the same in a repeated post
    plate: str
    confidence: float
    at: datetime | None
    image: bytes


class PostedReads:
    """Hands each new reading of a camera, its time and its image to `publish`; thread-safe."""

    def __init__(self, publish: Callable[[Reading, datetime, LazyImage | None], None]) -> None:
        self._publish = publish
        self._lock = threading.Lock()
        self._known: deque[tuple[int, str]] = deque(maxlen=MAX_KNOWN)

    def take(self, content_type: str, body: bytes) -> None:
        """Takes a post; raises SourceError if it is invalid or has no plate."""
        with self._lock:
            post = parse_post(content_type, body)
            if post is None or (post.marker, post.plate) in self._known:
                return
            plate, share, now = post.plate, post.confidence, datetime.now(UTC)
            at = post.at if post.at and now - MAX_DELAY < post.at < now else now
            candidates = (Candidate(plate, share),)
            reading = Reading(plate, plate, share, (share,) * len(plate), candidates, None)
            self._publish(reading, at, _decoded(post.image))
            self._known.append((post.marker, post.plate))


def _decoded(image: bytes) -> LazyImage | None:
    """Returns the image; None if there is none or it is damaged, since the plate counts alone."""
    try:
        return decode_image(image) if image else None
    except SourceError as error:
        log.warning("image of a camera cannot be used", reason=error.reason)
        return None


def parse_post(content_type: str, body: bytes) -> Post | None:
    """Parses a post; None for heartbeats and events without a vehicle; raises SourceError."""
    pairs: list[tuple[str, Any]] = []
    try:
        parts = _parts(content_type, body)
        text = next((part for part in parts if part.startswith((b"<", b"{"))), b"")
        if text.startswith(b"<") and len(text) <= MAX_XML_BYTES:
            elements = fromstring(text, forbid_dtd=True).iter()
            pairs += ((each.tag.rpartition("}")[2], each.text) for each in elements)
        else:
            json.loads(text, object_pairs_hook=pairs.extend)
        encoded = (value for key, value in pairs if key in PICTURES and isinstance(value, str))
        files = [*(part for part in parts if part is not text), *map(base64.b64decode, encoded)]
        image = max(files, key=len, default=b"")  # the largest one shows most
    except (ParseError, ValueError, LookupError, RecursionError) as error:
        raise SourceError("post", "is not JSON, nor XML of a usual size") from error
    values = dict(reversed(pairs))  # of equal keys, the first one
    name = next((key for key in KEYS if key in values), "")
    if not name and (HEARTBEATS & values.keys() or values.get("eventType", "ANPR") != "ANPR"):
        return None
    plate = normalise(str(values.get(name) or ""))
    if plate in UNREAD or len(plate) > MAX_CHARACTERS:
        raise SourceError("post", "has no plate that the camera could read")
    confidence, full, marker, time = KEYS[name]
    number, at = _valid(NUMBER, values.get(confidence)), _valid(TIME, values.get(time))
    share = UNSTATED if number is None else min(1.0, max(0.0, number / full))
    return Post(hash(str(values.get(marker) or "") or body), plate, share, at, image)


def _parts(content_type: str, body: bytes) -> list[bytes]:
    """Returns the contents of a multipart body (RFC 2046), or the whole body."""
    header = Message()
    header["Content-Type"] = content_type
    if header.get_content_maintype() != "multipart":
        return [body.lstrip()]
    separator = f"\r\n--{header.get_boundary('')}".encode()
    parts = (b"\r\n" + body).split(separator)[1:-1]
    return [part.partition(b"\r\n\r\n")[2].lstrip() for part in parts]


def _valid(kind: TypeAdapter[T], value: object) -> T | None:
    try:
        return kind.validate_python(value)
    except ValidationError:
        return None
