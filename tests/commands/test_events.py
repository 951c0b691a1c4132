"""`plateid events` on a store with passes in it."""

import csv
import io
import json
import time
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

    def run(*words, code=0, stdin=None, whole=False):
        words = ["events", *words, "-c", str(tmp_path / "plateid.toml")]
        done = CliRunner().invoke(main, words, input=stdin)
        assert done.exit_code == code, done.output
        return done if whole else done.output

    return run


@pytest.fixture
def kathmandu(monkeypatch):
    """A local time with an unusual offset."""
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("kathmandu")
def test_search_prints_newest_first_with_local_time_country_and_list(ask):
    newest, oldest = ask("search").splitlines()
    assert newest.startswith("2026-11-24 18:45:00+05:45 gate")
    assert newest.split()[2:] == ["gate", "CJ12ABC", "0.60", "ro", "allow:", "=Ana"]
    assert oldest.split()[2:] == ["gate", "B68SPK", "0.98", "ro"]


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
def test_search_is_filtered_by_options(ask, options, plates):
    lines = ask("search", "--json", *options, whole=True).stdout.splitlines()
    assert [json.loads(line)["plate"] for line in lines] == plates


def test_search_beyond_the_limit_says_so(ask):
    assert "more than 1 found: raise --limit" in ask("search", "--limit", "1")


def test_export_is_csv_without_formulas_or_json_lines(ask):
    rows = list(csv.DictReader(io.StringIO(ask("export"))))
    assert [(row["plate"], row["list_name"]) for row in rows] == [
        ("CJ12ABC", "'=Ana"),
        ("B68SPK", ""),
    ]
    lines = ask("export", "--format", "json", "--plate", "B68SPK").splitlines()
    assert [json.loads(line)["plate"] for line in lines] == ["B68SPK"]


def test_wrong_filter_is_named(ask):
    error = ask("search", "--since", "soon", code=2)
    assert "since: must be a time such as 2026-11-24T18:30" in error
    assert "min: must be a number from 0 to 1" in ask("export", "--min", "high", code=2)


@pytest.mark.parametrize(
    ("options", "out", "err"),
    [(("search",), "no events found\n", ""), (("search", "--json"), "", "no events found\n")],
)
def test_search_without_result_says_so(ask, options, out, err):
    done = ask(*options, "--plate", "ZZ99ZZZ", whole=True)
    assert (done.stdout, done.stderr) == (out, err)


def test_search_for_an_unknown_camera_names_the_known_ones(ask):
    notice = "no events found: there is no camera yard, only gate\n"
    assert ask("search", "--camera", "yard") == notice
    done = ask("export", "--camera", "yard", whole=True)
    assert (done.stdout.count("\n"), done.stderr) == (1, notice)


def test_purge_of_all_events_asks_first(ask):
    assert "Delete all events in" in ask("purge", "--all", code=1, stdin="n\n")
    assert len(ask("search").splitlines()) == 2
    assert "2 events deleted, 2 of them unsent" in ask("purge", "--all", stdin="y\n")
    assert ask("purge", "--all", "--yes") == "0 events deleted, 0 of them unsent\n"


def test_purge_of_one_plate_deletes_its_pass(ask):
    assert ask("purge", "--plate", "cj 12 abc") == "1 event deleted, 1 of them unsent\n"
    assert "give one of --before, --plate and --all" in ask("purge", code=2)


def test_missing_store_is_named(ask, tmp_path):
    (tmp_path / "events.sqlite3").rename(tmp_path / "moved")
    assert "events.sqlite3: does not exist" in ask("search", code=1)
    assert "events.sqlite3: does not exist" in ask("export", code=1)
