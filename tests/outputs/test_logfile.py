"""Log files: whole lines in order, whatever happens to disk and file."""

import csv
import json
from dataclasses import replace

import pytest

from plateid.config.storage import PrivacyConfig
from plateid.core.event_csv import HEADER
from plateid.core.records import Direction, ListMatch, OutboxEntry, Position
from plateid.errors import OutputError
from plateid.outputs.logfile import csv_file, jsonl_file
from plateid.store.privacy import Privacy
from tests.core.test_schema import VALIDATOR
from tests.support.broken_disk import full_disk
from tests.support.samples import SEEN

ENTRY = OutboxEntry(SEEN, sent=False)


def entry(**changes):
    return OutboxEntry(replace(SEEN, **changes), sent=False)


def as_it_is(event):
    return event


@pytest.fixture
def path(tmp_path):
    return tmp_path / "plates"


def test_csv_has_a_header_and_a_row_per_event(tmp_path):
    file = csv_file(tmp_path / "new" / "plates.csv", as_it_is)
    file.deliver(ENTRY)
    match = ListMatch('Ana "A",\nLtd', "allow", 1)
    file.deliver(entry(list=match, direction=Direction("in", 90.0), gps=Position(44.4, 26.1)))
    with (tmp_path / "new" / "plates.csv").open(newline="") as stream:
        plain, listed = csv.DictReader(stream)
    assert list(plain) == HEADER.split(",")
    found = plain["plate"], plain["region"], plain["list"], plain["lat"], plain["first_seen"]
    assert found == ("B68SPK", "ro", "", "", "2026-11-24T12:00:00.123Z")
    assert (listed["list"], listed["list_name"]) == ("allow", 'Ana "A",\nLtd')
    assert (listed["list_distance"], listed["direction"]) == ("1", "in")
    assert (listed["lat"], listed["lon"]) == ("44.4", "26.1")


def test_name_in_csv_is_no_formula(path):
    csv_file(path, as_it_is).deliver(entry(list=ListMatch('=HYPERLINK("http://evil")', "allow", 0)))
    (row,) = csv.DictReader(path.read_text().splitlines())
    assert row["list_name"] == """'=HYPERLINK("http://evil")"""


def test_jsonl_has_a_line_per_event_in_the_schema(path):
    file = jsonl_file(path, as_it_is)
    file.deliver(ENTRY)
    known, away = ListMatch("Ana", "deny", 0), Direction(None, 359.9)
    file.deliver(entry(camera="drive", list=known, direction=away, gps=Position(-90.0, 180.0)))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        VALIDATOR.validate(line)
    assert [line["camera"] for line in lines] == ["gate", "drive"]


@pytest.mark.parametrize("make", [csv_file, jsonl_file])
def test_file_gets_what_may_be_kept_of_a_plate(tmp_path, path, make):
    privacy = Privacy(PrivacyConfig(unlisted="hash"), tmp_path / "events.sqlite3")
    make(path, privacy.redacted).deliver(ENTRY)
    assert "68SPK" not in path.read_text()
    assert privacy.plate("B68SPK", listed=False) in path.read_text()


def test_file_that_was_moved_away_is_created_again(tmp_path, path):
    file = csv_file(path, as_it_is)
    file.deliver(ENTRY)
    path.rename(tmp_path / "plates.1")
    file.deliver(ENTRY)
    header, _ = path.read_text().splitlines()
    assert header.startswith("event_type,")


def test_part_of_a_line_after_a_power_cut_spoils_no_other_line(path):
    path.write_text('{"half": ')
    jsonl_file(path, as_it_is).deliver(ENTRY)
    assert json.loads(path.read_text().splitlines()[1])["plate"] == "B68SPK"


def test_full_disk_leaves_no_part_of_a_line(path):
    file = csv_file(path, as_it_is)
    file.deliver(ENTRY)
    before = path.read_text()
    with full_disk(), pytest.raises(OutputError, match=r"plates: File too large"):
        file.deliver(ENTRY)
    assert path.read_text() == before
    file.deliver(ENTRY)
    assert len(path.read_text().splitlines()) == 3


def test_path_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file/plates\.csv: (File exists|Not a directory)"):
        csv_file(tmp_path / "file" / "plates.csv", as_it_is).deliver(ENTRY)
    with pytest.raises(OutputError, match="Is a directory"):
        csv_file(tmp_path, as_it_is).deliver(ENTRY)
