"""The layout of the event store; `schema.sql` has its tables."""

import functools
import re
from importlib import resources

from plateid.core.text import CONFUSABLE_PAIRS

LAYOUT = 100
"""Value of `PRAGMA user_version`. Files from before the first release have lower values."""
APPLICATION_ID = 0x504C4944
"""Value of `PRAGMA application_id` of every store: "PLID" in ASCII."""
INSTANCE = re.compile("[0-9a-f]{8}")
"""The form of a store's identifier."""
MAX_SEQ = 1 << 63
"""Bound of sequence numbers: SQLite's integers have 64 bits with the sign."""
MQTT = "mqtt"
"""The output that every store has."""
UNSURE = 0.8
"""Confidence below which an event is in the two indexes of uncertain events."""
FOLDED = functools.reduce(
    lambda sql, pair: f"replace({sql}, '{pair[0]}', '{pair[1]}')", CONFUSABLE_PAIRS, "plate"
)
"""SQL that replaces confusable characters by one of them, as `core.lists.FOLDED` does."""
STATEMENTS = tuple(
    re.sub("^--.*\n", "", statement)
    for statement in resources.files("plateid.store")
    .joinpath("schema.sql")
    .read_text()
    .format(folded=FOLDED, unsure=UNSURE)
    .rstrip("\n")
    .split("\n\n")
)
"""The statements that create an empty store."""
