"""A road with vehicles, eyes that see what is on it, and who is told of it."""

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
from plateid.pipeline.event_builder import EventServices, Origin
from plateid.pipeline.settings import PipelineSettings
from tests.core.test_text import positions
from tests.support.images import ArrayLazyImage

START = datetime(2026, 1, 1, tzinfo=UTC)
RULES = EventsConfig(min_reads=2, lost_s=1.0)


@dataclass(frozen=True)
class Vehicle:
    """A plate that crosses the picture, and what a reader makes of it in each frame."""

    text: str
    from_s: float
    to_s: float
    x: float = 100
    y: float = 300
    speed: float = 150
    sure: float = 0.97
    misread: tuple[str, ...] = ()
    hidden: tuple[float, float] = (0, 0)

    def box(self, t: float) -> Box:
        x = self.x + self.speed * (t - self.from_s)
        return x, self.y, x + 100, self.y + 25

    def visible(self, t: float) -> bool:
        return self.from_s <= t <= self.to_s and not self.hidden[0] <= t < self.hidden[1]


class Road(ArrayLazyImage):
    """A picture that knows which plates are in it; the pixels move with them."""

    def __init__(self, plates: list[tuple[Box, str, float]]) -> None:
        image = np.zeros((720, 1280, 3), np.uint8)
        for (x1, y1, x2, y2), _, _ in plates:
            image[int(y1) : int(y2), max(0, int(x1)) : max(0, int(x2))] = 255
        super().__init__(image)
        self.plates = plates

    def part(self, box: Box) -> "Road":
        x1, y1, x2, y2 = box
        seen = [(moved(plate, -x1, -y1), *rest) for plate, *rest in self.plates]
        size = x2 - x1, y2 - y1
        part = Road([(cut, *rest) for plate, *rest in seen if (cut := within(plate, size))])
        part.image = self.crop(box)
        part.height, part.width = part.image.shape[:2]
        return part


def within(box: Box, size: tuple[float, float]) -> Box | None:
    """What a picture of this size shows of a plate."""
    x1, y1, x2, y2 = max(box[0], 0), max(box[1], 0), min(box[2], size[0]), min(box[3], size[1])
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None


class Eyes:
    """A detector and reader that see what is on the road."""

    def __init__(self) -> None:
        self.looks = self.read_boxes = self.most_at_once = 0

    def detect(self, image: Road) -> list[Detection]:
        self.looks += 1
        return [Detection(box, 0.9) for box, _, _ in image.plates]

    def read(self, image: Road, boxes: Sequence[Box]) -> list[PlateRead]:
        self.read_boxes += len(boxes)
        self.most_at_once = max(self.most_at_once, len(boxes))
        known = {box: (text, sure) for box, text, sure in image.plates}
        return [PlateRead(positions(known[box][0], sure=known[box][1]), 0.8, 25.0) for box in boxes]


class Blinking(Eyes):
    """Misses the plate in some looks."""

    def __init__(self, misses: set[int]) -> None:
        super().__init__()
        self.misses = misses

    def detect(self, image: Road) -> list[Detection]:
        found = super().detect(image)
        return [] if self.looks in self.misses else found


class Growing(Eyes):
    """Sees each plate larger than it saw it before."""

    def detect(self, image: Road) -> list[Detection]:
        found = super().detect(image)
        self.grown = 1.03**self.looks
        return [replace(each, box=(*each.box[:3], each.box[1] + 25 * self.grown)) for each in found]

    def read(self, image: Road, boxes: Sequence[Box]) -> list[PlateRead]:
        own = [(x1, y1, x2, y1 + 25) for x1, y1, x2, _ in boxes]
        return [replace(r, height=25 * self.grown) for r in super().read(image, own)]


@dataclass
class Drive:
    """Everything a drive gave."""

    events: list[PlateEvent] = field(default_factory=list)
    frames: list[BestFrame | None] = field(default_factory=list)
    eyes: Eyes = field(default_factory=Eyes)
    clock_synced: Callable[[], bool | None] = lambda: True

    def take(self, _event: PlateEvent, frame: BestFrame | None) -> None:
        self.frames.append(frame)

    def accept(self, event: PlateEvent) -> None:
        self.events.append(event)

    def told(self) -> list[tuple[str, str]]:
        return [(event.event_type, event.plate) for event in self.events]


def frames(vehicles: list[Vehicle], *, rate: float, until_s: float) -> list[Frame]:
    result = []
    for number in range(int(until_s * rate) + 1):
        t = number / rate
        plates = []
        for vehicle in vehicles:
            if vehicle.visible(t):
                texts = (vehicle.text, *vehicle.misread)
                plates.append((vehicle.box(t), texts[number % len(texts)], vehicle.sure))
        result.append(Frame("gate", number, START + timedelta(seconds=t), t, Road(plates)))
    return result


def pipeline(
    drive: Drive,
    rules: EventsConfig = RULES,
    view: View | None = None,
    formats: Formats | None = None,
) -> CameraPipeline:
    sequence = iter(range(1, 1000))
    names = ModelNames("d", "r", "b")
    services = EventServices(
        next_seq=lambda: next(sequence), clock_synced=drive.clock_synced, snapshots=drive
    )
    return CameraPipeline(
        Origin("box", "gate", names, services),
        PipelineSettings(rules, formats or shipped_formats(), view or View()),
        detector=drive.eyes,
        reader=drive.eyes,
        sink=drive,
    )


def drive(
    *vehicles: Vehicle,
    rate: float = 15,
    until_s: float = 8,
    rules: EventsConfig = RULES,
    formats: Formats | None = None,
    eyes: Eyes | None = None,
    busy: bool = False,
) -> Drive:
    result = Drive(eyes=eyes or Eyes())
    way = pipeline(result, rules, formats=formats)
    for frame in frames(list(vehicles), rate=rate, until_s=until_s):
        if busy:
            way.process_if_useful(frame)
        else:
            way.process(frame)
    way.finish()
    return result
