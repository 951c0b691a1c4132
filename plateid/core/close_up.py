"""The part of a main stream's image that shows a frame of the sub-stream."""

from dataclasses import dataclass
from typing import Protocol

from plateid.core.records import Box, Frame, LazyImage


@dataclass(frozen=True, eq=False)
class CloseUp:
    """What the main stream shows of a sub-stream's frame; `complete` if it shows all of it."""

    image: LazyImage
    scale: tuple[float, float]
    offset: tuple[float, float]
    complete: bool

    def place(self, box: Box) -> Box:
        """Returns where a box of the frame is in `image`."""
        (x, y), (left, top), (x1, y1, x2, y2) = self.scale, self.offset, box
        return x * x1 + left, y * y1 + top, x * x2 + left, y * y2 + top

    def place_back(self, box: Box) -> Box:
        """Returns where a box of `image` is in the frame."""
        (x, y), (left, top), (x1, y1, x2, y2) = self.scale, self.offset, box
        return (x1 - left) / x, (y1 - top) / y, (x2 - left) / x, (y2 - top) / y


class MainStreamImages(Protocol):
    """The main stream of a camera whose frames come from its sub-stream."""

    def is_cheap(self, frame: Frame) -> bool:
        """Returns whether few frames have to be decoded for the moment of `frame`."""

    def close_up(self, frame: Frame) -> CloseUp | None:
        """Returns the image of the moment of `frame`; None if there is none."""

    def correct_clock(self, late_s: float) -> None:
        """Corrects the clock: the image in which a plate was found is `late_s` too late."""
