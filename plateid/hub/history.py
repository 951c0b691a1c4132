"""Searches the events of the fleet in PostgreSQL, as `store.history` does those of a device.

A plate's condition has an index each: exact and prefixes (plate), parts (trigrams), similar plates
by either half (folded). Where many events match a pattern, the newest first are read instead.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import psycopg

from plateid.config.hub import DatabaseConfig
from plateid.core.lists import FOLDED, distance
from plateid.core.records import rfc3339
from plateid.hub.database import connect, database_errors
from plateid.hub.labels import FleetLabels
from plateid.store.history import Correction, SlowQueryError
from plateid.store.labels import Labels
from plateid.store.search import MAX_DISTANCE, Event, filters_of
from plateid.store.search_query import MAX_PATTERN, Query, QueryError

QUERY_S, COUNT_S = 5.0, 0.2
"""Time-outs of a search, and of a count, seconds."""
MAX_CONNECTIONS = 8
"""Maximum number of idle connections that are kept."""
FEW, FEW_IN_INDEX = 5000, 50_000
"""Events up to which all matches of a pattern are sorted: for more, a scan is faster. The second
number is for those that an index alone gives."""
SETTINGS = """
    SET enable_seqscan = off; SET jit = off; SET max_parallel_workers_per_gather = 0;
    SET plan_cache_mode = force_custom_plan"""
"""A sequential scan reads all events, and starting workers takes longer than a search."""
LAST = """
    id = (SELECT later.id FROM event AS later WHERE later.pass_id = found.pass_id
        AND later.device = found.device ORDER BY later.id DESC LIMIT 1)"""
"""Whether an event is the last one of its pass; only the events of a page are asked."""
IS_PLAIN = f"length(plate) BETWEEN 1 AND {MAX_PATTERN - 1}"
"""Whether an event has its plate, not its hash."""
ENDS = """
    reverse(folded) COLLATE "C" >= %(tail)s AND reverse(folded) COLLATE "C" < %(tail_end)s"""
SIMILAR = f"""
    SELECT plate FROM event WHERE folded >= %(head)s AND folded < %(head_end)s
        AND levenshtein_less_equal(folded, %(folded)s, 1) <= 1 AND {IS_PLAIN}
    UNION SELECT plate FROM event WHERE {ENDS}
        AND levenshtein_less_equal(folded, %(folded)s, 1) <= 1 AND {IS_PLAIN}"""  # noqa: S608
LAST_SEEN = """
    SELECT plate, folded, max(first_seen) FROM event WHERE folded = ANY(%s) GROUP BY 1, 2"""
CORRECTIONS = """
    SELECT pass_id::text, verdict, text FROM event JOIN label USING (id, device)
    WHERE pass_id = ANY(%(ids)s::uuid[]) AND verdict <> 'skip' AND {} ORDER BY labelled_at"""
CORRECTED_TO = """
    SELECT pass_id, text FROM label JOIN event USING (id, device) WHERE text <> '' AND (text LIKE %s
        OR %s AND levenshtein_less_equal(translate(text, 'OIBSZGDQ', '01852600'), %s, 1) <= 1)"""
OF_DEVICE = "device = %(device)s"
AT_SITES = "device = ANY(ARRAY(SELECT name FROM device WHERE site = ANY(%(sites)s)))"
OF_GROUP = """
    device = ANY(ARRAY(SELECT name FROM device
        WHERE %(group)s IN (name, site) OR %(group)s = ANY(groups)))"""
NAMES = "SELECT device FROM (SELECT name AS device FROM device) AS devices WHERE"
FEW_DEVICES = 100
"""Devices up to which each one's newest events are read: for more, those of all by time."""
OF_EACH = """
    SELECT id, first_seen, pass_id, device FROM unnest(%(names)s::text[]) AS place (name),
        LATERAL (SELECT id, first_seen, pass_id, device FROM event
            WHERE device = place.name AND {}) AS of_one"""
ALL = Query()
NAMED = re.compile(r":(\w+)")
"""A parameter of SQLite."""
INDEXED = re.compile(r"^[^*?]|[^*?]{3}")
"""A pattern with a beginning or a trigram, which an index finds."""
EDGE = re.compile(r"[^*?]+\*+|\*+([^*?]+)")
"""A pattern of a beginning or an end, whose events an index alone gives."""
IDS = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""Form of an event's id."""
Values = dict[str, Any]


class FleetHistory:
    """The events of all devices, or of those of some `sites`. Thread-safe; raises StoreError."""

    is_fleet = True

    def __init__(self, config: DatabaseConfig) -> None:
        self.labels: Labels = FleetLabels(self)
        self._sites, self._group = frozenset[str](), ""
        self._config = config
        self._idle: deque[psycopg.Connection] = deque(maxlen=MAX_CONNECTIONS)

    def of_sites(self, sites: frozenset[str], group: str = "") -> "FleetHistory":
        """Returns the history of some sites only, if any, and of a site, group or device."""
        limited = FleetHistory(self._config)
        limited._idle, limited._sites, limited._group = self._idle, sites, group
        return limited

    def close(self) -> None:
        """Closes idle connections."""
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def opened(self, limit_s: float = QUERY_S) -> Iterator[psycopg.Connection]:
        """Gives a connection with autocommit; raises StoreError, or SlowQueryError."""
        with database_errors(self._config):
            db = self._connection(f"SET statement_timeout = {limit_s * 1000:.0f}")
            try:
                yield db
            except psycopg.errors.QueryCanceled as error:
                reason = f"no answer within {limit_s:g} s"
                raise SlowQueryError(self._config.endpoint, reason) from error
            finally:
                if db.closed or len(self._idle) == MAX_CONNECTIONS:
                    db.close()
                else:
                    self._idle.append(db)

    def _connection(self, setting: str) -> psycopg.Connection:
        """Returns an idle connection that the server has not closed, or a new one."""
        with suppress(IndexError):
            while True:
                db = self._idle.pop()
                with suppress(psycopg.OperationalError):
                    db.execute(setting.encode())
                    return db
                db.close()
        db = connect(self._config, purpose="search")
        db.execute(f"{SETTINGS}; {setting}".encode())
        return db

    def select(self, query: Query, limit: int, *, newer: bool = False) -> list[Event]:
        """Returns results after the cursor of the query, or those before it, the nearest first."""
        order = "ASC" if newer else "DESC"
        with self.opened() as db:
            page, values = self._page(db, query, newer=newer)
            statement = f"""
                SELECT (SELECT payload FROM event
                    WHERE (id, first_seen) = (page.id, page.first_seen)) AS payload
                FROM ({page} LIMIT %(limit)s) AS page ORDER BY first_seen {order}, id {order}"""  # noqa: S608
            for window in (2 * limit + 20, None):  # a pass has two events, but may have many
                rows = db.execute(statement.encode(), values | {"limit": limit, "window": window})
                found: list[Event] = [payload for (payload,) in rows]
                if len(found) == limit:
                    break
            return found

    def count(self, query: Query, at_most: int) -> int:
        """Returns the number of results, up to `at_most`; SlowQueryError after `COUNT_S`."""
        with self.opened(COUNT_S) as db:
            page, values = self._page(db, replace(query, after=""))
            statement = f"SELECT count(*) FROM ({page} LIMIT %(limit)s) AS page"  # noqa: S608
            return _number(db, statement, values | {"limit": at_most, "window": None})

    def find_pass(self, id_: str) -> list[Event]:
        """Returns all events of the pass of an event, oldest first; none if it is unknown."""
        if not IDS.fullmatch(id_):
            return []
        places, values = self.places()
        statement = f"""
            SELECT payload FROM event WHERE {places} AND
                (pass_id, device) = (SELECT pass_id, device FROM event WHERE id = %(id)s LIMIT 1)
            ORDER BY id"""  # noqa: S608
        with self.opened() as db:
            rows = db.execute(statement.encode(), values | {"id": id_})
            return [payload for (payload,) in rows]

    def corrections(self, pass_ids: Iterable[str]) -> dict[str, Correction]:
        """Returns what users said of passes, by `pass_id`."""
        places, values = self.places()
        statement = CORRECTIONS.format(places)
        values["ids"] = list(filter(IDS.fullmatch, pass_ids))
        with self.opened() as db:
            rows = db.execute(statement.encode(), values)
            return {pass_id: Correction(verdict, text) for pass_id, verdict, text in rows}

    def last_seen(self, names: Mapping[str, str], max_distance: float) -> dict[str, str]:
        """Returns the time of the last pass of each plate of a list, given with its name."""
        folded = [(plate, plate.translate(FOLDED)) for plate in names]
        with self.opened() as db:
            rows = db.execute(LAST_SEEN, ([text for _, text in folded],)).fetchall()
        seen: dict[str, str] = {}
        for plate, text in folded:
            for read, read_folded, last in rows:
                if text == read_folded and distance(plate, read) <= max_distance:
                    seen[plate] = max(rfc3339(last), seen.get(plate, ""))
        return seen

    def with_images(self, events: Iterable[Event]) -> set[str]:
        """Returns the ids of events whose image the hub has."""
        digests = {each["id"]: each["snapshot"]["sha256"] for each in events if each["snapshot"]}
        statement = "SELECT sha256 FROM snapshot WHERE sha256 = ANY(%s)"
        labels = "SELECT id::text FROM label WHERE id = ANY(%s::uuid[]) AND jpeg IS NOT NULL"
        ids = list(filter(IDS.fullmatch, digests))
        with self.opened() as db:
            known = {digest for (digest,) in db.execute(statement, (list(digests.values()),))}
            found = {id_ for (id_,) in db.execute(labels, (ids,))}
        return found | {id_ for id_, digest in digests.items() if digest in known}

    def image(self, event: Event) -> bytes | None:
        """Returns the image of an event (JPEG); None if the hub has none."""
        digest = (event["snapshot"] or {}).get("sha256")
        with self.opened() as db:
            row = db.execute("SELECT image_of(%s, %s)", (digest, event["id"])).fetchone()
            return row[0] if row else None

    def _page(
        self, db: psycopg.Connection, query: Query, *, newer: bool = False
    ) -> tuple[str, Values]:
        """Returns SQL that gives ids and times of results in order, and its values."""
        conditions, values = filters_of(query, newer=newer)
        conditions = [NAMED.sub(r"%(\1)s", condition) for condition in conditions]
        places, values_of_places = self.places(query)
        names: list[str] | None = None
        if query.site or self._sites or self._group:
            rows = db.execute(f"{NAMES} {places}".encode(), values_of_places)
            names, places = [name for (name,) in rows], "device = ANY(%(names)s)"
        plate, few, plate_values = _plate_condition(db, query)
        plate_values["corrected"] = _corrected(db, query) if query.plate else []
        if plate_values["corrected"]:
            plate = f"({plate} OR pass_id = ANY(%(corrected)s))"
        where = " AND ".join([plate, *conditions, places])
        order = "first_seen {0}, id {0}".format("ASC" if newer else "DESC")
        nearest = f"ORDER BY {order} LIMIT %(window)s"
        if names is not None and len(names) <= FEW_DEVICES and not few:
            found = OF_EACH.format(f"{where} {nearest}")
        else:
            found = f"SELECT id, first_seen, pass_id, device FROM event WHERE {where}"  # noqa: S608 - constants
        if few:
            found = f"WITH few AS MATERIALIZED ({found}) SELECT * FROM few"  # noqa: S608 - as above
        return (
            f"SELECT id, first_seen FROM ({found} {nearest}) AS found WHERE {LAST}",  # noqa: S608
            values | values_of_places | plate_values | {"names": names},
        )

    def places(self, query: Query = ALL) -> tuple[str, Values]:
        """Returns the condition on site, group and device, and its values."""
        sites = {query.site} if query.site else self._sites
        if query.site and self._sites and query.site not in self._sites:
            raise QueryError("site", "is none of yours")
        choices = (sites, AT_SITES), (self._group, OF_GROUP), (query.device, OF_DEVICE)
        condition = " AND ".join(["TRUE", *(text for wanted, text in choices if wanted)])
        return condition, {"sites": sorted(sites), "group": self._group, "device": query.device}


def _plate_condition(db: psycopg.Connection, query: Query) -> tuple[str, bool, Values]:
    """Returns the condition on the plate, whether few events fulfil it, and its values."""
    text = query.plate
    if not text:
        return "TRUE", False, {}
    if query.fuzzy:
        return "plate = ANY(%(plates)s)", True, {"plates": [text, *_similar(db, text)]}
    if not set(text) & set("*?"):
        return "plate = %(plate)s", False, {"plate": text}
    edge = EDGE.fullmatch(text)
    few = FEW_IN_INDEX if edge else FEW
    values: Values = {"like": _like(text), "few": few + 1}
    condition = f"plate LIKE %(like)s AND {IS_PLAIN}"
    if edge and edge[1]:
        tail = edge[1].translate(FOLDED)[::-1]
        values |= {"tail": tail, "tail_end": f"{tail}~"}
        condition = f"{ENDS} AND plate || '' LIKE %(like)s AND {IS_PLAIN}"
    if edge or INDEXED.search(text):
        rows = f"SELECT 1 FROM event WHERE {condition} LIMIT %(few)s"  # noqa: S608 - constants
        if _number(db, f"SELECT count(*) FROM ({rows}) AS rows", values) <= few:  # noqa: S608
            return condition, True, values
    return f"plate || '' LIKE %(like)s AND {IS_PLAIN}", False, values  # without the index


def _corrected(db: psycopg.Connection, query: Query) -> list[str]:
    """Returns the ids of passes that users have corrected to the plate of a query."""
    text, like = query.plate, _like(query.plate)
    rows = db.execute(CORRECTED_TO, (like, query.fuzzy, text.translate(FOLDED)))
    return [id_ for id_, to in rows if not query.fuzzy or distance(to, text) <= MAX_DISTANCE]


def _like(pattern: str) -> str:
    return pattern.replace("*", "%").replace("?", "_")


def _similar(db: psycopg.Connection, text: str) -> list[str]:
    """Returns similar plates by either half: one edit leaves one of them unchanged."""
    folded = text.translate(FOLDED)
    half = (len(folded) + 1) // 2
    head, tail = folded[:half], folded[half:][::-1]
    bounds = {"head": head, "head_end": f"{head}~", "tail": tail, "tail_end": f"{tail}~"}
    found = db.execute(SIMILAR.encode(), bounds | {"folded": folded})
    plates = [plate for (plate,) in found]
    return [
        plate for plate in plates if distance(plate, text, at_most=MAX_DISTANCE) <= MAX_DISTANCE
    ]


def _number(db: psycopg.Connection, statement: str, values: Values) -> int:
    row = db.execute(statement.encode(), values).fetchone()
    return int(row[0]) if row else 0
