"""Vehicles that may still be there though they are not seen: hidden, or the camera was away."""

from datetime import datetime

from plateid.core.geometry import same_place
from plateid.core.passes import Pass
from plateid.core.standing import STILL_S
from plateid.core.text import edit_distance

RESUMED_S = 10.0
"""What stood there before a restart is in the first pictures after it, or has left."""


class Parking:
    """Passes that were announced and may go on: of parked vehicles, or of before a restart."""

    def __init__(self, lost_s: float) -> None:
        """Empty; `lost_s` is how long a parked vehicle is waited for, while there are pictures."""
        self._lost_s = lost_s
        self._vehicles: dict[Pass, datetime | None] = {}

    def add(self, vehicle: Pass) -> None:
        """It is lost from now on."""
        self._vehicles[vehicle] = None

    def pause(self) -> None:
        """No pictures come: waiting begins anew with the next one."""
        self._vehicles = dict.fromkeys(self._vehicles)

    def take(self, plate: str, seen: Pass) -> Pass | None:
        """Takes out the vehicle with this plate, if `seen` is that one."""
        vehicle = self.find(plate, seen)
        if vehicle is None or (vehicle.is_resumed and seen.age_s(seen.last_seen) < STILL_S):
            return None
        del self._vehicles[vehicle]
        return vehicle

    def find(self, plate: str, seen: Pass) -> Pass | None:
        """The vehicle that `seen` is, so far; in the same place one character may be misread."""
        for vehicle in reversed(self._vehicles):
            moves = seen.standing.moved or seen.first_seen < vehicle.last_seen
            edits = 1 if same_place(vehicle.standing.box, seen.standing.box) else 0
            alike = vehicle.announced and edit_distance(plate, vehicle.announced.plate) <= edits
            if alike and not (vehicle.is_resumed and moves):
                return vehicle
        return None

    def gone(self, now: datetime) -> list[Pass]:
        """Takes out those that were waited for in vain."""
        self._vehicles = {vehicle: since or now for vehicle, since in self._vehicles.items()}
        gone = [
            vehicle
            for vehicle, since in self._vehicles.items()
            if since and (now - since).total_seconds() > self._waits_s(vehicle)
        ]
        for vehicle in gone:
            del self._vehicles[vehicle]
        return gone

    def clear(self) -> list[Pass]:
        """Takes out all."""
        vehicles, self._vehicles = self._vehicles, {}
        return list(vehicles)

    def _waits_s(self, vehicle: Pass) -> float:
        return RESUMED_S if vehicle.is_resumed else self._lost_s
