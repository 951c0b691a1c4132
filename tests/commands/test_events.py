"""`plateid events` on a store with passes in it."""

import csv
import io
import json
from contextlib import closing
from datetime import timedelta

import pytest
from click.testing import CliRunner

from plateid.commands.main import main
from plateid.core.records import ListMatch
from plateid.store.event_store import EventStore
from tests.support.samples import NOON, event

CONFIG = """
camera = [{name = "gate", url = "rtsp://camera.local/stream"}]
store.path = "events.sqlite3"
"""


@pytest.fixture
def ask(tmp_path):
    (tmp_path / "plateid.toml").write_text(CONFIG)
    with closing(EventStore(tmp_path / "events.sqlite3")) as store:
        for number, (plate, confidence) in enumerate((("B68SPK", 0.98), ("CJ12ABC", 0.6))):
            listed = ListMatch("=Ana", "allow", 0) if number else None
            seen = NOON + timedelta(hours=number)
            pass_id = f"pass-{number}"
            store.append(
                event(
                    number,
                    plate=plate,
                    pass_id=pass_id,
                    confidence=confidence,
                    first_seen=seen,
                    list=listed,
                )
            )

    def run(*words, code=0):
        done = CliRunner().invoke(main, ["events", *words, "-c", str(tmp_path / "plateid.toml")])
        assert done.exit_code == code, done.output
        return done.output

    return run


def test_a_search_shows_the_newest_first_with_country_and_list(ask):
    newest, oldest = ask("search").splitlines()
    assert newest.split()[1:] == ["gate", "CJ12ABC", "0.60", "ro", "allow:", "=Ana"]
    assert oldest.split()[1:] == ["gate", "B68SPK", "0.98", "ro"]


@pytest.mark.parametrize(
    ("options", "plates"),
    [
        (("--plate", "b 68 sp?"), ["B68SPK"]),
        (("--plate", "B685PK", "--fuzzy"), ["B68SPK"]),
        (("--camera", "yard"), []),
        (("--since", "2026-11-24T12:30+00:00"), ["CJ12ABC"]),
        (("--until", "2026-11-24T12:30+00:00"), ["B68SPK"]),
        (("--listed", "none"), ["B68SPK"]),
        (("--max", "0.7"), ["CJ12ABC"]),
        (("--min", "0.7"), ["B68SPK"]),
    ],
)
def test_a_search_may_be_narrowed(ask, options, plates):
    lines = ask("search", "--json", *options).splitlines()
    assert [json.loads(line)["plate"] for line in lines] == plates


def test_what_is_left_out_is_said(ask):
    assert "and more than 1: a larger --limit" in ask("search", "--limit", "1")


def test_an_export_is_a_table_that_does_nothing_in_a_spreadsheet_or_lines_of_json(ask):
    rows = list(csv.DictReader(io.StringIO(ask("export"))))
    assert [(row["plate"], row["list"]) for row in rows] == [("CJ12ABC", "'=Ana"), ("B68SPK", "")]
    lines = ask("export", "--format", "json", "--plate", "B68SPK").splitlines()
    assert [json.loads(line)["plate"] for line in lines] == ["B68SPK"]


def test_what_cannot_be_understood_is_named(ask):
    assert "since: is a time as 2026-11-24T18:30" in ask("search", "--since", "soon", code=2)
    assert "min: is a number from 0 to 1" in ask("export", "--min", "high", code=2)
