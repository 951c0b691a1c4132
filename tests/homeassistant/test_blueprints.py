"""The blueprints in Home Assistant's own engine: when they act, and when they do not."""

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from plateid.core.ids import uuid7
from plateid.core.records import Direction, ListMatch
from plateid.outputs.homeassistant import ATTRIBUTES
from tests.homeassistant.home_assistant import HomeAssistant, automation
from tests.support.samples import event

PLATE = "event.gate_drive_plate"
SCHEDULE = "schedule.day"
MAX_AGE_S = 300
"""Maximum age in these tests, seconds: a busy machine takes long to start the engine."""
ALLOWED = ListMatch("Ana", "allow", 1)
Step = tuple[str, str | None, dict[str, Any]]
pytestmark = pytest.mark.timeout(600)


def seen(**changes: Any) -> dict[str, Any]:
    """The attributes of an event of now."""
    now = datetime.now(UTC)
    plain = {"camera": "drive", "list": ALLOWED, "first_seen": now, "last_seen": now}
    made = event(1, **plain | {"pass_id": uuid7()} | changes)
    message = json.loads(made.to_json())
    return {key: message[key] for key in ATTRIBUTES}


def run(home: HomeAssistant, steps: list[Step]) -> list[list[Any]]:
    """The actions that each step causes, while Home Assistant runs."""
    home.start()
    with closing(home):
        calls = [
            home.ask("remove", entity) if state is None else home.ask("set", entity, state, made)
            for entity, state, made in steps
        ]
    assert home.complaints() == []
    return calls


def states(*events: dict[str, Any]) -> list[Step]:
    """The states of the event entity: first it becomes available."""
    times = [f"2026-12-01T00:00:{second:02}.000+00:00" for second in range(len(events))]
    became: list[Step] = [(PLATE, "unavailable", {}), (PLATE, "unknown", {})]
    return became + [(PLATE, time, made) for time, made in zip(times, events, strict=True)]


def gate(rule: str, **inputs: Any) -> dict[str, Any]:
    """An automation whose action names the rule, the plate and the person."""
    data = {"rule": rule, "plate": "{{ plate }}", "person": "{{ person }}"}
    actions = [{"action": "gate.open", "data": data}]
    plain = {"plates": [PLATE], "open_actions": actions, "max_age_s": MAX_AGE_S}
    return automation("open-gate", name=rule, **plain | inputs)


RULES = [
    gate("any", cooldown_s=0),
    gate("in", cooldown_s=0, direction="in"),
    gate("day", cooldown_s=0, schedules=["schedule.other", SCHEDULE]),
    gate("exact", cooldown_s=0, exact=True),
    gate("sure", cooldown_s=0, min_confidence=99),
    gate("once", cooldown_s=1000),
]


def test_gate_opens_once_for_each_pass_that_all_inputs_allow(tmp_path):
    out = Direction("out", 3.0)
    now, too_long = datetime.now(UTC), timedelta(seconds=2 * MAX_AGE_S)
    first = seen()
    cases = {
        "first": (first, {"any", "day", "once"}),
        "sent again": (first | {"replayed": True}, set()),
        "left": (seen(event_type="plate_left"), set()),
        "second": (seen(direction=Direction("in", 3.0)), {"any", "in", "day"}),
        "out": (seen(direction=out), {"any", "day"}),
        "exact": (seen(list=ListMatch("Ana", "allow", 0)), {"any", "day", "exact"}),
        "sure": (seen(confidence=0.995), {"any", "day", "sure"}),
        "replayed": (seen() | {"replayed": True}, set()),
        "old": (seen(last_seen=now - too_long), set()),
        "clock is ahead": (seen(last_seen=now + too_long), set()),
        "denied": (seen(list=ListMatch("Ana", "deny", 0)), set()),
        "watched": (seen(list=ListMatch("Ana", "watch", 0)), set()),
        "unlisted": (seen(list=None), set()),
    }
    steps = [(SCHEDULE, "on", {}), *states(*(made for made, _ in cases.values()))]
    calls = run(HomeAssistant(tmp_path / "config", *RULES), steps)
    rules = [[data["rule"] for _, data in each] for each in calls[3:]]
    assert calls[:3] == [[], [], []]
    assert {name: set(each) for name, each in zip(cases, rules, strict=True)} == {
        name: expected for name, (_, expected) in cases.items()
    }
    assert all(len(each) == len(set(each)) for each in rules)
    assert calls[3][0][1] == {"rule": "any", "plate": "B 68 SPK", "person": "Ana"}


def test_gate_stays_shut_for_states_that_are_no_new_events(tmp_path):
    one, two, three = seen(), seen(), seen()
    steps = [
        *states(one),
        (PLATE, "2026-12-01T00:00:00.000+00:00", two),  # within the same millisecond
        (PLATE, "unavailable", {}),
        (PLATE, "2026-12-01T00:00:00.000+00:00", two),  # restored
        (PLATE, None, {}),
        (PLATE, "2026-12-01T00:00:09.000+00:00", three),  # the entity is added again
        (SCHEDULE, "off", {}),
        (PLATE, "2026-12-01T00:00:10.000+00:00", seen()),
    ]
    calls = run(HomeAssistant(tmp_path / "config", RULES[0], RULES[2]), steps)
    rules = [sorted(data["rule"] for _, data in each) for each in calls]
    assert rules == [[], [], ["any"], ["any"], [], [], [], [], [], ["any"]]


def test_cool_down_outlives_a_restart_of_home_assistant(tmp_path):
    home = HomeAssistant(tmp_path / "config", gate("once", cooldown_s=1000))
    assert [len(calls) for calls in run(home, states(seen()))] == [0, 0, 1]
    assert [len(calls) for calls in run(home, states(seen(), seen()))] == [0, 0, 0, 0]


def test_denied_watched_and_unknown_plates_are_notified_with_picture(tmp_path):
    notify = automation(
        "notify", plate=PLATE, snapshot="image.gate_drive_snapshot", notify_action="notify.phone"
    )
    denied = seen(list=ListMatch("Bob", "deny", 0))
    events = [
        denied,
        seen(list=ListMatch("Eve", "watch", 0)),
        seen(list=None),
        seen(),
        seen(list=None, event_type="plate_left"),
    ]
    calls = run(HomeAssistant(tmp_path / "config", notify), states(*events))[2:]
    titles = [[data["title"] for _, data in each] for each in calls]
    plate = "plate B 68 SPK"
    assert titles == [[f"Denied {plate}"], [f"Watched {plate}"], [f"Unknown {plate}"], [], []]
    (action, data), *_ = calls[0]
    assert action == "notify.phone"
    assert data["message"].startswith("Bob, drive, ")
    image = "/api/image_proxy/image.gate_drive_snapshot"
    assert data["data"] == {"image": image, "tag": denied["pass_id"]}


def test_each_arrival_is_in_the_calendar_once(tmp_path):
    calendar = automation("arrivals-calendar", plates=[PLATE], calendar="calendar.arrivals")
    first = seen(first_seen=datetime(2026, 12, 1, 8, tzinfo=UTC))  # published late
    events = [first, seen(list=None), seen(), first | {"replayed": True}]
    calls = run(HomeAssistant(tmp_path / "config", calendar), states(*events))[2:]
    made = [[data for action, data in each if action == "calendar.create_event"] for each in calls]
    assert [len(each) for each in made] == [1, 0, 1, 0]
    assert made[0][0] == {
        "entity_id": ["calendar.arrivals"],
        "summary": "Ana (B 68 SPK)",
        "description": f"drive, {first['pass_id']}",
        "start_date_time": "2026-12-01T08:00:00+00:00",
        "end_date_time": "2026-12-01T08:01:00+00:00",
    }
