"""Text that a camera writes into its picture: a clock looks like a plate that never moves.

A clock is known by its text, which changes while it stands (`Standing.ticks`). Text that stands
and never changes, as a camera's name, is no different from a parked vehicle, and told as rarely;
a mask keeps it away for good.
"""

from plateid.core.geometry import same_place
from plateid.core.records import Box
from plateid.pipeline.stationary import STILL_S, Standing

MAX_PLACES = 16


class Overlays:
    """The places where a camera shows the time.

    Attributes:
        places: Those that were found.
    """

    def __init__(self) -> None:
        """Knows none yet."""
        self.places: list[Box] = []

    def hold(self, standing: Standing, age_s: float) -> bool:
        """Whether this is such a text: it ticks, or is too short in a place where one ticked."""
        if standing.moved:
            return False
        known = any(same_place(standing.box, place) for place in self.places)
        if not standing.ticks():
            return known and age_s < STILL_S
        if not known:
            self.places = [*self.places, standing.box][-MAX_PLACES:]
        return True
