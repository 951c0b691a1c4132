"""An event on its way to an output."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from plateid.core.records import PlateEvent


@dataclass(frozen=True)
class OutboxEntry:
    """An event that an output has not acknowledged.

    Attributes:
        event: The event as it was stored.
        sent: Whether the output may have received the event before.
    """

    event: PlateEvent
    sent: bool

    def to_json(self) -> str:
        """Returns the event as it is sent now, on one line."""
        return replace(self.event, sent_at=datetime.now(UTC), replayed=self.sent).to_json()
