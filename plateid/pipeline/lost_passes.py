"""The lost-pass buffer: passes of undetected vehicles that may still be there."""

from collections.abc import Callable, Iterator
from datetime import datetime

from plateid.core.geometry import same_place
from plateid.core.text import edit_distance
from plateid.pipeline.passes import Pass
from plateid.pipeline.stationary import STATIONARY_S

REDETECTION_S = 10.0
"""Seconds of video within which a stationary vehicle must be detected again after an outage or a
restart. A vehicle that was parked before an outage has `parked_lost_s` instead."""
MAX_WAITING_STEP_S = 2.0
"""Maximum waiting time that one frame adds, seconds: a stalled stream shows no vehicle."""


class LostPassBuffer:
    """Published passes that may continue: of stationary vehicles, or from before a restart."""

    def __init__(self, parked_s: float, parked_lost_s: float) -> None:
        """Starts empty; keeps a vehicle that was parked for `parked_s` for `parked_lost_s`."""
        self._parked_s = parked_s
        self._parked_lost_s = parked_lost_s
        self._waited_s: dict[Pass, float] = {}
        self._now: datetime | None = None

    def __iter__(self) -> Iterator[Pass]:
        return iter(self._waited_s)

    def add(self, vehicle: Pass) -> None:
        """Adds a pass that has just been lost."""
        self._waited_s[vehicle] = 0.0

    def pause(self) -> None:
        """Stops waiting until the next frame; each pass has `REDETECTION_S` left, at least."""
        self._waited_s = {
            vehicle: max(0.0, min(waited_s, self._limit_s(vehicle) - REDETECTION_S))
            for vehicle, waited_s in self._waited_s.items()
        }
        self._now = None

    def take(self, plate: str, seen: Pass) -> Pass | None:
        """Removes and returns the pass that `seen` continues, if there is one."""
        vehicle = self.find(plate, seen)
        if vehicle is None or (vehicle.is_restored and seen.age_s(seen.last_seen) < STATIONARY_S):
            return None
        del self._waited_s[vehicle]
        return vehicle

    def find(self, plate: str, seen: Pass) -> Pass | None:
        """Returns the pass that `seen` may continue, if there is one.

        It has the same plate, or at the same place one with one other character. A restored pass
        only continues if the vehicle has not moved since.
        """
        for vehicle in reversed(self._waited_s):
            moves = seen.movement.moved or seen.first_seen < vehicle.last_seen
            edits = 1 if same_place(vehicle.movement.box, seen.movement.box) else 0
            matches = vehicle.published and edit_distance(plate, vehicle.published.plate) <= edits
            if matches and not (vehicle.is_restored and moves):
                return vehicle
        return None

    def take_expired(self, now: datetime) -> list[Pass]:
        """Removes and returns the passes whose waiting time has run out."""
        step_s = (now - self._now).total_seconds() if self._now else 0.0
        self._now = now
        for vehicle in self._waited_s:
            self._waited_s[vehicle] += min(step_s, MAX_WAITING_STEP_S)
        return self._take(lambda vehicle: self._waited_s[vehicle] > self._limit_s(vehicle))

    def take_all(self) -> list[Pass]:
        """Removes and returns all passes."""
        return self._take(lambda _: True)

    def _take(self, condition: Callable[[Pass], bool]) -> list[Pass]:
        vehicles = [vehicle for vehicle in self._waited_s if condition(vehicle)]
        for vehicle in vehicles:
            del self._waited_s[vehicle]
        return vehicles

    def _limit_s(self, vehicle: Pass) -> float:
        parked = vehicle.movement.stationary_s(vehicle.last_seen) >= self._parked_s
        return self._parked_lost_s if parked and not vehicle.is_restored else REDETECTION_S
