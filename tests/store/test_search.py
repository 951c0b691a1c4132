"""The search, compared to a slow and simple search of all events."""

import fnmatch
import functools
import json
import shutil
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plateid.core.ids import first_id
from plateid.core.lists import distance
from plateid.core.records import ListMatch
from plateid.hub import history as fleet_history
from plateid.hub.history import FleetHistory
from plateid.store import history as sqlite_history
from plateid.store.event_store import EventStore
from plateid.store.history import CORRECTED_TO, CORRECTIONS, Correction, History, SlowQueryError
from plateid.store.labels import Label, Labels
from plateid.store.purge import Purge
from plateid.store.search import find, find_all, neighbours
from plateid.store.search_query import MIN_FUZZY, QueryError, parse_query
from tests.support.fleets import insert_events
from tests.support.histories import with_plate
from tests.support.samples import NOON, SEEN, event

HASH = "0123456789ABCDEF0123456789ABCDEF"
PLATES = (
    "B68SPK",
    "B685PK",
    "868SPK",
    "B68SPX",
    "CJ12ABC",
    "CJ12ABD",
    "IF07XYZ",
    "B68SP",
    "0O0O0O",
    HASH,
)


@functools.cache
def made():
    """Two events of each pass; each third one is on no list."""
    return [made_event(index) for index in range(90)]


def made_event(index):
    kind = ("allow", "deny", None)[index % 3]
    return event(
        index,
        plate=PLATES[index % len(PLATES)],
        pass_id=first_id(1_764_000_000 + index // 2) + SEEN.id[13:],
        device=("north", "south")[index // 2 % 4 == 0],
        camera=("gate", "yard")[index % 5 == 0],
        confidence=round((index * 37 % 100) / 100, 2),
        first_seen=NOON + timedelta(minutes=index // 3),
        list=ListMatch("Ana", kind, 0) if kind else None,
    )


@pytest.fixture(scope="module")
def of_device(tmp_path_factory):
    file = tmp_path_factory.mktemp("search") / "events.sqlite3"
    with closing(EventStore(file)) as store:
        for each in made():
            store.append(each)
        store.rows("UPDATE event SET plate_form = 'hashed' WHERE plate = ?", HASH)
    return History(file)


@pytest.fixture(scope="module")
def of_fleet(postgres, hub_template):
    config = postgres.create(hub_template)
    insert_events(config, made())
    with closing(FleetHistory(config)) as history:
        yield history


@pytest.fixture(scope="module", params=["of_device", "of_fleet"])
def history(request):
    return request.getfixturevalue(request.param)


@functools.cache
def everything():
    """The last event of each pass, newest first."""
    last = {each.pass_id: json.loads(each.to_json()) for each in made()}
    return sorted(last.values(), key=lambda e: (e["first_seen"], e["id"]), reverse=True)


def fits(found, fields):
    listed = fields.get("listed", "")
    kind = found["list"]["kind"] if found["list"] else "none"
    return (
        ("plate" not in fields or plate_fits(found["plate"], fields))
        and fields.get("camera", found["camera"]) == found["camera"]
        and (listed in ("", kind) or (listed == "any" and kind != "none"))
        and float(fields.get("min", 0)) <= found["confidence"] <= float(fields.get("max", 1))
        and fields.get("since", "") <= found["first_seen"] <= fields.get("until", "9")
    )


def plate_fits(plate, fields):
    """A hash matches no pattern."""
    if fields.get("fuzzy"):
        return distance(plate, fields["plate"]) <= 1
    is_pattern = set(fields["plate"]) & set("*?")
    return fnmatch.fnmatchcase(plate, fields["plate"]) and not (is_pattern and plate == HASH)


moments = st.integers(0, 30).map(lambda m: f"2026-11-24T12:{m:02}:00.000Z")
texts = st.one_of(
    st.sampled_from(PLATES),
    st.sampled_from(("B*", "*SPK", "*6*S*", "?68SPK", "*", "CJ12AB?", "X*", "*5PK", "B68SP?")),
    st.lists(st.sampled_from("*?0B68SPKCJ12"), min_size=1, max_size=8).map("".join),
)


@settings(max_examples=60)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "plate": texts,
            "camera": st.sampled_from(("gate", "yard", "roof")),
            "listed": st.sampled_from(("any", "none", "allow", "deny", "watch")),
            "min": st.sampled_from(("0.1", "0.5", "0.9")),
            "max": st.sampled_from(("0.2", "0.75", "0.95")),
            "since": moments,
            "until": moments,
        },
    ),
    st.booleans(),
    st.integers(1, 20),
    st.sampled_from((1, 4, 1000)),
)
def test_pages_hold_all_matching_passes_newest_first(  # noqa: PLR0917
    history, fields, fuzzy, limit, few
):
    plate = fields.get("plate", "")
    if fuzzy and len(plate) >= MIN_FUZZY and not set(plate) & set("*?"):
        fields = fields | {"fuzzy": "1"}
    with pytest.MonkeyPatch.context() as patch:  # numbers that suit a small history
        patch.setattr(sqlite_history, "FEW", few)
        for name in ("FEW", "FEW_IN_INDEX"):
            patch.setattr(fleet_history, name, few)
        patch.setattr(sqlite_history, "FEW_EVENTS", 4 * few)
        check_pages(history, fields, limit)


def check_pages(history, fields, limit):
    expected = [found["id"] for found in everything() if fits(found, fields)]
    found, after = [], ""
    while after is not None:
        page = find(history, parse_query(fields | {"limit": str(limit), "after": after}))
        found += [each["id"] for each in page.events]
        assert len(page.events) <= limit
        after = page.after or None
    assert found == expected
    query = parse_query(fields)
    assert [each["id"] for each in find_all(history, query)] == expected
    assert history.count(query, 20) == min(len(expected), 20)
    events = {each["id"]: each for each in everything()}
    for newer, here, older in zip(["", *expected], expected[:3], [*expected[1:], ""], strict=False):
        assert neighbours(history, query, events[here]) == (newer, older)


def test_pass_is_found_by_any_of_its_events(history):
    first, second = history.find_pass(everything()[0]["id"])
    assert second == everything()[0]
    assert history.find_pass(first["id"]) == [first, second]
    assert history.find_pass("nothing") == []


@pytest.fixture
def own_of_device(of_device, tmp_path):
    return History(Path(shutil.copy(of_device.path, tmp_path)))


@pytest.fixture
def own_of_fleet(database):
    insert_events(database, made())
    with closing(FleetHistory(database)) as history, history.opened() as db:
        db.execute("""UPDATE event SET payload = payload || '{"snapshot": {"file": "a.jpg"}}'""")
        yield history


@pytest.mark.parametrize("kind", ["of_device", "of_fleet"])
def test_pass_is_found_by_what_it_was_corrected_to(kind, request):
    history = request.getfixturevalue(f"own_{kind}")
    queries = [
        parse_query(fields | {"limit": "100"})
        for fields in ({"plate": "B68SPK"}, {"plate": "B68*"}, {"plate": "B68SPX", "fuzzy": "1"})
    ]
    before = [{each["pass_id"] for each in find(history, query).events} for query in queries]
    (wrong, *_) = find(history, parse_query({"plate": "B685PK"})).events
    history.labels.add(Label(wrong["id"], "plate", "B68SPK", (0, 0, 9, 9)))
    for query, others in zip(queries, before, strict=True):
        found = {each["pass_id"] for each in find(history, query).events}
        assert found - others <= {wrong["pass_id"]} <= found
    assert wrong in find(history, parse_query({"plate": "B685PK"})).events
    assert history.corrections([wrong["pass_id"]]) == {
        wrong["pass_id"]: Correction("plate", "B68SPK")
    }


def test_corrections_are_found_without_reading_all_events(of_device, tmp_path):
    file = Path(shutil.copy(of_device.path, tmp_path))
    Labels(file).add(Label("x", "plate", "B68SPK", (0, 0, 9, 9)))
    with History(file).opened() as db:
        for query in (CORRECTIONS.replace("?", "'[]'"), f"{CORRECTED_TO} text = 'B68SPK'"):
            plan = db.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()
            assert not any("SCAN event" in step for *_, step in plan)


def test_day_is_searched_until_its_end():
    query = parse_query({"since": "2026-11-01", "until": "2026-11-30"})
    assert query.since == datetime(2026, 11, 1).astimezone(UTC)
    assert query.until == datetime(2026, 11, 30, 23, 59, 59, 999999).astimezone(UTC)


def test_slow_query_is_an_error(of_device, of_fleet):
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    for history in (of_device, of_fleet):
        slow = pytest.raises(SlowQueryError, match=r"no answer within 0.05 s")
        with slow, history.opened(0.05) as db:
            db.execute(endless).fetchall()
    assert find(of_fleet, parse_query({})).events


def test_last_pass_of_listed_plates_is_found(history):
    seen = history.last_seen({"B6BSPK": "Bob", "XX99XX": "Eve"}, 0.5)
    assert seen == {"B6BSPK": "2026-11-24T12:27:00.123Z"}


@pytest.mark.parametrize("few_devices", [100, 0])
def test_fleet_is_searched_by_site_and_device(of_fleet, few_devices, monkeypatch):
    monkeypatch.setattr("plateid.hub.history.FEW_DEVICES", few_devices)

    def ids(history, **fields):
        return [each["id"] for each in find_all(history, parse_query(fields))]

    north, south = ([e["id"] for e in everything() if e["device"] == d] for d in ("north", "south"))
    assert (ids(of_fleet, device="north"), ids(of_fleet, site="s")) == (north, south)
    only_south = of_fleet.of_sites(frozenset("s"))
    assert (ids(only_south), ids(only_south, device="north")) == (south, [])
    assert only_south.find_pass(north[0]) == []
    with pytest.raises(QueryError, match="site: is none of yours"):
        ids(only_south, site="n")


def test_pass_of_many_events_hides_no_other(postgres, hub_template):
    config = postgres.create(hub_template)
    older = NOON - timedelta(hours=1)
    first = with_plate(1, "B68SPK", device="south", first_seen=older)
    repeated = [
        with_plate(number, "CJ12ABC", device="south", pass_id=first_id(0) + SEEN.id[13:])
        for number in range(2, 200)
    ]
    insert_events(config, [first, *repeated])
    with closing(FleetHistory(config)) as history:
        for fields in ({}, {"site": "s"}):
            assert len(find(history, parse_query(fields | {"limit": "2"})).events) == 2


def test_device_has_no_sites(of_device):
    with pytest.raises(QueryError, match="site, device: only a hub has them"):
        find(of_device, parse_query({"site": "north"}))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"plate": "Ä"}, "plate: must be up to 32 letters"),
        ({"plate": "AB", "fuzzy": "1"}, "plate: needs 4 characters"),
        ({"min": "2"}, "min: must be a number from 0 to 1"),
        ({"since": "yesterday"}, "since: must be a time such as"),
        ({"sort": "plate"}, "sort: there is no such field"),
    ],
)
def test_wrong_field_is_named(fields, message):
    with pytest.raises(QueryError, match=message):
        parse_query(fields)


def test_plates_follow_the_plain_plates_of_the_history(tmp_path):
    def plates():
        with History(file).opened() as db:
            kept = db.execute("SELECT plate FROM plate ORDER BY 1").fetchall()
            assert (
                kept
                == db.execute(
                    "SELECT DISTINCT plate FROM event WHERE plate_form = 'plain' ORDER BY 1"
                ).fetchall()
            )
            return [plate for (plate,) in kept]

    file = tmp_path / "events.sqlite3"
    with closing(EventStore(file)) as store:
        for index, plate in enumerate(("AB12", "AB12", "CD34", "EF56")):
            store.append(with_plate(index, plate, pass_id=plate, candidates=()))
        assert plates() == ["AB12", "CD34", "EF56"]
        with store.transaction() as db:
            change = "UPDATE event SET plate = '', plate_form = 'dropped' WHERE plate = 'CD34'"
            db.execute(change)
        assert plates() == ["AB12", "EF56"]
    Purge(file).plate("AB12")
    assert plates() == ["EF56"]
    assert b"AB12" not in file.read_bytes()
