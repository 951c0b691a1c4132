"""Events as the store keeps them: JSON documents."""

from pydantic import TypeAdapter, ValidationError

from plateid.config.problems import problems_of
from plateid.core.records import PlateEvent
from plateid.store.database import CorruptError

EVENT = TypeAdapter(PlateEvent)


def parse_event(payload: str) -> PlateEvent:
    """Returns the event of a stored JSON document.

    Raises:
        CorruptError: The document is not an event. The message does not repeat its values.
    """
    try:
        return EVENT.validate_json(payload)
    except ValidationError as error:
        reason = "; ".join(problem.text for problem in problems_of(error))
        raise CorruptError(f"the store holds something else than events: {reason}") from error
