"""What the hub concludes from health reports over time: alerts for accuracy that fell."""

import json

import pytest

from plateid.hub.database import connect
from plateid.hub.recording import Batch, Recorder
from tests.hub.test_recording import health, recorder  # noqa: F401 - a fixture

USUAL = """
    INSERT INTO health_hour SELECT 'gate', date_trunc('hour', now()) - n * interval '1 hour', 0,
        3600, 0, 20, 0.95, 0.98, 30 FROM generate_series(%s, 300) AS n"""
"""Eleven days of 20 plates an hour that ended some hours ago."""
LAST = """
    INSERT INTO health_hour SELECT 'gate', date_trunc('hour', now()) - n * interval '1 hour', 0,
        3600, 0, %s, %s, %s, 30 FROM generate_series(0, 23) AS n"""
HOUR_AGO = "UPDATE device SET health_at = now() - interval '1 hour'"


def report(recorder: Recorder, **values: object) -> None:  # noqa: F811
    recorder.store(Batch([health("gate", report=json.dumps(values))]))


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        ((20, 0.95, 0.98), ""),
        ((20, 0.85, None), "confidence falls from 0.95 to 0.85"),
        ((20, 0.95, 0.9), "hit rate falls from 0.98 to 0.90"),
        ((0, None, None), "0 plates instead of 481"),
    ],
)
def test_accuracy_that_fell_is_an_alert(recorder, last, reason) -> None:  # noqa: F811
    report(recorder, uptime_s=1)
    db = recorder.open()
    db.execute(HOUR_AGO)
    db.execute("DELETE FROM health_hour")
    db.execute(USUAL, (25,))
    db.execute(LAST, last)
    report(recorder, uptime_s=3601)
    assert db.execute("SELECT falls FROM device").fetchone()[0] == ([reason] if reason else [])
    alerts = [change for (change,) in db.execute("SELECT changed_alerts()")]
    found = [(each["alert"], each["state"], each["reason"]) for each in alerts]
    assert found == ([("accuracy", "started", reason)] if reason else [])


def test_bundle_of_a_rollout_is_compared_with_the_ones_before(database) -> None:
    def add(rollout: int, hours_ago: int, seconds: int, **values: float) -> None:
        row = {"passes": 0, "confidence": None, "latency_ms": None, "restarts": 0} | values
        statement = """
            INSERT INTO health_hour VALUES ('gate', date_trunc('hour', now())
                - %(ago)s * interval '1 hour', %(rollout)s, %(seconds)s, %(restarts)s, %(passes)s,
                %(confidence)s, NULL, %(latency_ms)s)"""
        db.execute(statement, row | {"ago": hours_ago, "rollout": rollout, "seconds": seconds})

    with connect(database, purpose="test") as db:
        found = "SELECT reason FROM falls('gate', now() - interval '1 hour', 7)"
        add(7, 1, 590, latency_ms=60, restarts=3, confidence=0.5, passes=20)
        assert db.execute(found).fetchall() == [], "nothing to compare with"
        add(0, 5, 3600, latency_ms=30, confidence=0.9, passes=100)
        add(0, 1, 3600, latency_ms=30)  # of the same hour
        assert db.execute(found).fetchall() == [], "too little"
        add(7, 0, 20, latency_ms=62, restarts=1, confidence=0.7, passes=20)
        assert [reason for (reason,) in db.execute(found)] == [
            "confidence falls from 0.90 to 0.60",
            "latency rises from 30 to 61 ms",
            "4 restarts",
        ]


def test_reports_of_an_hour_are_summed_and_lies_are_ignored(recorder) -> None:  # noqa: F811
    def left(count: int, **values: object) -> None:
        report(recorder, cameras={"c": {"events": {"plate_left": count}}}, **values)

    left(5, uptime_s=100)
    left(7, uptime_s=130, latency_ms=20.5)
    left(2, uptime_s=3, confidence=0.9)  # a new start
    left("many", uptime_s=[], latency_ms="NaN", bundle={}, hit_rate=-3)
    report(recorder, cameras=5)
    query = "SELECT passes, restarts, latency_ms, confidence, hit_rate FROM health_hour"
    ((*sums,),) = recorder.open().execute(query).fetchall()
    assert [float(value) for value in sums] == [4, 1, 20.5, 0.9, 0]
