"""A simulated road: vehicles, networks that know what is on the road, and recorded events."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from plateid.config.cameras import EventsConfig
from plateid.core.formats import Formats, shipped_formats
from plateid.core.geometry import moved
from plateid.core.records import BestFrame, Box, Detection, Frame, ModelNames, PlateEvent, PlateRead
from plateid.core.view import View
from plateid.pipeline.camera_pipeline import CameraPipeline
from plateid.pipeline.event_builder import EventBuilder, PipelineSettings
from tests.core.test_text import positions
from tests.support.images import ArrayLazyImage

START = datetime(2026, 1, 1, tzinfo=UTC)
RULES = EventsConfig(min_reads=2, lost_s=1.0)
PARKED_RULES = RULES.model_copy(update={"parked_s": 10.0, "parked_lost_s": 20.0})
SEEN, LEFT = ("plate_seen", "B68SPK"), ("plate_left", "B68SPK")
UPRIGHT_LINE = ((0.3, 1.0), (0.3, 0.0))
"""A line from bottom to top: vehicles from the left cross it to its right."""


@dataclass(frozen=True)
class Vehicle:
    """A plate that crosses the image, and the texts that its reads cycle through."""

    text: str
    from_s: float
    to_s: float
    x: float = 100
    y: float = 300
    speed: float = 150
    probability: float = 0.97
    misread: tuple[str, ...] = ()
    hidden: tuple[float, float] = (0, 0)

    def box(self, t: float) -> Box:
        x = self.x + self.speed * (t - self.from_s)
        return x, self.y, x + 100, self.y + 25

    def visible(self, t: float) -> bool:
        return self.from_s <= t <= self.to_s and not self.hidden[0] <= t < self.hidden[1]


class Road(ArrayLazyImage):
    """An image that knows the plates in it; the pixels move with them."""

    def __init__(self, plates: list[tuple[Box, str, float]]) -> None:
        image = np.zeros((720, 1280, 3), np.uint8)
        for (x1, y1, x2, y2), _, _ in plates:
            image[int(y1) : int(y2), max(0, int(x1)) : max(0, int(x2))] = 255
        super().__init__(image)
        self.plates = plates

    def part(self, box: Box) -> "Road":
        x1, y1, x2, y2 = box
        size = x2 - x1, y2 - y1
        shifted = [(moved(plate, -x1, -y1), *rest) for plate, *rest in self.plates]
        part = Road([(cut, *rest) for plate, *rest in shifted if (cut := clipped(plate, size))])
        part.image = self.crop(box)
        part.height, part.width = part.image.shape[:2]
        return part


def clipped(box: Box, size: tuple[float, float]) -> Box | None:
    """Returns the part of a plate in an image of this size."""
    x1, y1, x2, y2 = max(box[0], 0), max(box[1], 0), min(box[2], size[0]), min(box[3], size[1])
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None


class FakeNetworks:
    """A detector and reader that know what is on the road."""

    def __init__(self) -> None:
        self.detect_calls = self.boxes_read = self.max_batch = 0

    def detect(self, image: Road, **_: bool) -> list[Detection]:
        self.detect_calls += 1
        return [Detection(box, 0.9) for box, _, _ in image.plates]

    def read(self, image: Road, boxes: Sequence[Box]) -> list[PlateRead]:
        self.boxes_read += len(boxes)
        self.max_batch = max(self.max_batch, len(boxes))
        plates = {
            box: positions(text, probability=probability) for box, text, probability in image.plates
        }
        return [PlateRead(plates[box], 0.8, 25.0) for box in boxes]


class MissingNetworks(FakeNetworks):
    """Misses the plate in some calls of the detector."""

    def __init__(self, misses: set[int]) -> None:
        super().__init__()
        self.misses = misses

    def detect(self, image: Road, **_: bool) -> list[Detection]:
        found = super().detect(image)
        return [] if self.detect_calls in self.misses else found


class GrowingNetworks(FakeNetworks):
    """Detects each plate larger than before."""

    def detect(self, image: Road, **_: bool) -> list[Detection]:
        found = super().detect(image)
        self.grown = 1.03**self.detect_calls
        return [replace(each, box=(*each.box[:3], each.box[1] + 25 * self.grown)) for each in found]

    def read(self, image: Road, boxes: Sequence[Box]) -> list[PlateRead]:
        own = [(x1, y1, x2, y1 + 25) for x1, y1, x2, _ in boxes]
        return [replace(r, height=25 * self.grown) for r in super().read(image, own)]


@dataclass
class Recording:
    """The events of a camera, and the best frames that came with them."""

    events: list[PlateEvent] = field(default_factory=list)
    frames: list[BestFrame | None] = field(default_factory=list)
    networks: FakeNetworks = field(default_factory=FakeNetworks)
    clock_synced: Callable[[], bool | None] = lambda: True

    def take(self, _event: PlateEvent, frame: BestFrame | None) -> None:
        self.frames.append(frame)

    def published(self) -> list[tuple[str, str]]:
        return [(event.event_type, event.plate) for event in self.events]


def frames(vehicles: list[Vehicle], *, rate: float, until_s: float) -> list[Frame]:
    result = []
    for number in range(int(until_s * rate) + 1):
        t = number / rate
        plates = []
        for vehicle in vehicles:
            if vehicle.visible(t):
                texts = (vehicle.text, *vehicle.misread)
                plates.append((vehicle.box(t), texts[number % len(texts)], vehicle.probability))
        result.append(Frame("gate", number, START + timedelta(seconds=t), t, Road(plates)))
    return result


def pipeline(
    recording: Recording,
    rules: EventsConfig = RULES,
    view: View | None = None,
    formats: Formats | None = None,
) -> CameraPipeline:
    sequence = iter(range(1, 1000))
    return CameraPipeline(
        PipelineSettings("gate", rules, formats or shipped_formats(), view or View()),
        EventBuilder(
            "box",
            ModelNames("d", "r", "b"),
            lambda: next(sequence),
            clock_synced=recording.clock_synced,
            take_snapshot=recording.take,
        ),
        detect=recording.networks.detect,
        read=recording.networks.read,
        sink=recording.events.append,
    )


def process(
    camera: CameraPipeline,
    shown: list[Frame],
    *,
    after_s: float = 0,
    step: timedelta = timedelta(),
) -> None:
    """Processes frames as if they came `after_s` seconds later, with the clock set by `step`."""
    for frame in shown:
        at = frame.captured_at + timedelta(seconds=after_s) + step
        camera.process(replace(frame, captured_at=at, clock_step=step))


def record(
    *vehicles: Vehicle,
    rate: float = 15,
    until_s: float = 8,
    busy: bool = False,
    networks: FakeNetworks | None = None,
    **settings: object,
) -> Recording:
    """Returns the events of the whole drive; `settings` are those of `pipeline`."""
    result = Recording(networks=networks or FakeNetworks())
    camera = pipeline(result, **settings)
    for frame in frames(list(vehicles), rate=rate, until_s=until_s):
        if busy:
            camera.process_if_useful(frame)
        else:
            camera.process(frame)
    camera.finish()
    return result
