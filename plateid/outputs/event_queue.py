"""The interface through which an output takes events from its outbox."""

from collections.abc import Collection, Iterable
from typing import Protocol

from plateid.core.records import OutboxEntry


class EventQueue(Protocol):
    """The events that one output has not acknowledged. Each method may raise StoreError."""

    def pending(self, limit: int, *, skip: Collection[str] = ()) -> list[OutboxEntry]:
        """Returns the oldest events in order, except events of the cameras in `skip`."""
        ...

    def mark_sent(self, ids: Iterable[str]) -> None:
        """Records that the output may have these events. Called before they are sent."""
        ...

    def remove(self, ids: Iterable[str]) -> None:
        """Removes events that the output has acknowledged or refused for good."""
        ...
