"""Where an output takes its events from."""

from collections.abc import Collection, Iterable
from typing import Protocol

from plateid.core.records import OutboxEntry


class EventQueue(Protocol):
    """The events that one output has not acknowledged. Each method may raise StoreError."""

    def pending(self, limit: int, *, skip: Collection[str] = ()) -> list[OutboxEntry]:
        """Returns the oldest events, in order, without those of the cameras in `skip`."""
        ...

    def mark_sent(self, ids: Iterable[str]) -> None:
        """Notes, before they are sent, that the output may have these events from now on."""
        ...

    def remove(self, ids: Iterable[str]) -> None:
        """Removes events that the output has acknowledged, or will never take."""
        ...
