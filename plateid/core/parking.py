"""Vehicles that may still be there though they are not seen: hidden, or the camera was away."""

from datetime import datetime

from plateid.core.geometry import same_place
from plateid.core.passes import Pass
from plateid.core.records import Box
from plateid.core.text import edit_distance


class Parking:
    """Passes that were announced and may go on: of parked vehicles, and of before a restart."""

    def __init__(self, lost_s: float) -> None:
        """Empty; `lost_s` is how long a vehicle is waited for, while there are pictures."""
        self._lost_s = lost_s
        self._vehicles: dict[Pass, datetime | None] = {}

    def add(self, vehicle: Pass) -> None:
        """It is lost from now on."""
        self._vehicles[vehicle] = None

    def pause(self) -> None:
        """No pictures come: waiting begins anew with the next one."""
        self._vehicles = dict.fromkeys(self._vehicles)

    def take(self, plate: str, box: Box, *, stands: bool) -> Pass | None:
        """The vehicle with this plate; in the same place one character may be misread.

        One that does not stand is another pass than any before a restart: it has come back.
        """
        for vehicle in self._vehicles:
            if vehicle.resumed and not stands:
                continue
            edits = 1 if same_place(vehicle.standing.box, box) else 0
            if vehicle.announced and edit_distance(plate, vehicle.announced.plate) <= edits:
                del self._vehicles[vehicle]
                return vehicle
        return None

    def gone(self, now: datetime) -> list[Pass]:
        """Takes out those that were waited for in vain."""
        self._vehicles = {vehicle: since or now for vehicle, since in self._vehicles.items()}
        gone = [
            vehicle
            for vehicle, since in self._vehicles.items()
            if since and (now - since).total_seconds() > self._lost_s
        ]
        for vehicle in gone:
            del self._vehicles[vehicle]
        return gone

    def clear(self) -> list[Pass]:
        """Takes out all."""
        vehicles, self._vehicles = self._vehicles, {}
        return list(vehicles)
