"""Vehicles that may still be there though they are not seen: hidden, or the camera was away."""

from collections.abc import Callable, Iterator
from datetime import datetime

from plateid.core.geometry import same_place
from plateid.core.text import edit_distance
from plateid.pipeline.passes import Pass
from plateid.pipeline.stationary import STILL_S

RESUMED_S = 10.0
"""What stood there before a restart, or an outage, is in the first pictures after it, or has left:
but for parked vehicles after an outage."""
LONGEST_STEP_S = 2.0
"""Of the time between two pictures no more is waited for: the clock may have been set forward."""


class Parking:
    """Passes that were announced and may go on: of vehicles that stand, or of before a restart."""

    def __init__(self, parked_s: float, lost_s: float) -> None:
        """Empty.

        Args:
            parked_s: Who has stood for so long is parked.
            lost_s: How long a parked vehicle is waited for, while there are pictures.
        """
        self._parked_s = parked_s
        self._lost_s = lost_s
        self._waited_s: dict[Pass, float] = {}
        self._now: datetime | None = None

    def __iter__(self) -> Iterator[Pass]:
        """Those that are waited for."""
        return iter(self._waited_s)

    def add(self, vehicle: Pass) -> None:
        """It is lost from now on."""
        self._waited_s[vehicle] = 0.0

    def pause(self) -> None:
        """No pictures come: each has at least `RESUMED_S` from the next one on."""
        self._waited_s = {
            vehicle: max(0.0, min(waited_s, self._waits_s(vehicle) - RESUMED_S))
            for vehicle, waited_s in self._waited_s.items()
        }
        self._now = None

    def take(self, plate: str, seen: Pass) -> Pass | None:
        """Takes out the vehicle with this plate, if `seen` is that one."""
        vehicle = self.find(plate, seen)
        if vehicle is None or (vehicle.is_resumed and seen.age_s(seen.last_seen) < STILL_S):
            return None
        del self._waited_s[vehicle]
        return vehicle

    def find(self, plate: str, seen: Pass) -> Pass | None:
        """The vehicle that `seen` is, so far; in the same place one character may be misread."""
        for vehicle in reversed(self._waited_s):
            moves = seen.standing.moved or seen.first_seen < vehicle.last_seen
            edits = 1 if same_place(vehicle.standing.box, seen.standing.box) else 0
            alike = vehicle.announced and edit_distance(plate, vehicle.announced.plate) <= edits
            if alike and not (vehicle.is_resumed and moves):
                return vehicle
        return None

    def gone(self, now: datetime) -> list[Pass]:
        """Takes out those that were waited for in vain."""
        step_s = (now - self._now).total_seconds() if self._now else 0.0
        self._now = now
        for vehicle in self._waited_s:
            self._waited_s[vehicle] += min(step_s, LONGEST_STEP_S)
        return self._take_out(lambda vehicle: self._waited_s[vehicle] > self._waits_s(vehicle))

    def later_than(self, now: datetime) -> list[Pass]:
        """Takes out those that came later than it is: the clock was set back."""
        return self._take_out(lambda vehicle: vehicle.first_seen > now)

    def clear(self) -> list[Pass]:
        """Takes out all."""
        return self._take_out(lambda _: True)

    def _take_out(self, these: Callable[[Pass], bool]) -> list[Pass]:
        vehicles = [vehicle for vehicle in self._waited_s if these(vehicle)]
        for vehicle in vehicles:
            del self._waited_s[vehicle]
        return vehicles

    def _waits_s(self, vehicle: Pass) -> float:
        parked = vehicle.standing.stood_s(vehicle.last_seen) >= self._parked_s
        return self._lost_s if parked and not vehicle.is_resumed else RESUMED_S
