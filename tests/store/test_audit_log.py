"""The audit log as a file: bounded, searchable, and without purged plates."""

import stat
import threading

import pytest

from plateid.errors import StoreError
from plateid.store import audit_log
from plateid.store.audit_log import AuditLog, csv_lines, differing_lines
from plateid.store.purge import Purge
from tests.support.histories import files_with


@pytest.fixture
def log(tmp_path):
    return AuditLog(tmp_path / "events.sqlite3")


def test_entries_are_found_by_text_newest_first(log):
    assert log.find() == []
    log.add("ana", "list changed", address="192.0.2.1", before="B68SPK,allow", after="B68SPK,deny")
    log.add("Ștefan", "user saved", details="name: ben")
    assert [entry["user"] for entry in log.find()] == ["Ștefan", "ana"]
    assert [entry["user"] for entry in log.find("b68spk,DENY")] == ["ana"]
    assert log.find("ștefan")[0]["details"] == "name: ben"
    assert stat.S_IMODE(log.file.stat().st_mode) == 0o600


def test_incomplete_line_of_a_power_cut_hides_no_other_entry(log):
    log.add("ana", "one")
    with log.file.open("a") as stream:
        stream.write('{"at": "2026-11')
    log.add("ana", "two")
    assert [entry["change"] for entry in log.find()] == ["two", "one"]


def test_old_entries_go_and_a_large_file_keeps_its_newer_half(log, monkeypatch):
    for number in range(10):
        log.add("ana", str(number))
    lines = log.file.read_text().splitlines()
    old = lines[0].replace(lines[0][8:12], "2001", 1)
    log.file.write_text("\n".join([old, *lines[1:]]) + "\n")
    log.trim()
    assert [entry["change"] for entry in log.find()] == list("987654321")
    monkeypatch.setattr(audit_log, "MAX_BYTES", 900)
    log.trim()
    assert [entry["change"] for entry in log.find()] == list("98765")


def test_damaged_entry_hides_no_other_one(log):
    log.file.write_text('{"at": "2026-11-24T12:00:00Z", "user": 3, "chance": "x"}\n')
    log.add("ana", "one")
    assert [entry["user"] for entry in log.find()] == ["ana", "3"]
    assert len(list(csv_lines(log.find()))) == 3


def test_many_changes_in_a_day_do_not_fill_the_disk(log, monkeypatch):
    monkeypatch.setattr(audit_log, "MAX_BYTES", 1000)
    for number in range(50):
        log.add("ana", str(number))
        assert log.file.stat().st_size < 2200
    assert log.find()[0]["change"] == "49"


def test_purge_deletes_incomplete_lines_and_hashes(log, store, tmp_path):
    log = AuditLog(store.path)
    log.add("ana", "session changed", before="0123456789ABCDEF")
    with log.file.open("a") as stream:
        stream.write('{"at": "2026-11-24T12:00:00Z", "after": "AB12CDE,al')
    log.forget("AB12CDE", "0123456789ABCDEF")
    assert files_with(tmp_path, "AB12CDE") == files_with(tmp_path, "0123456789ABCDEF") == []


def test_purged_plate_is_in_no_entry(log, store):
    log = AuditLog(store.path)
    log.add("ana", "list changed", details="file: x", before="AB 12 CDE,allow", after="")
    log.add("ana", "list changed", after="XY99ZZZ,allow")
    Purge(store.path).plate("AB12CDE")
    assert [entry["before"] for entry in log.find()] == ["", "purged"]
    assert "CDE" not in log.file.read_text()
    assert log.find("XY99ZZZ")


def test_parallel_entries_are_all_kept(log):
    def add():
        for _ in range(50):
            log.add("ana", "x" * 500)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(log.find()) == 200


def test_unreadable_file_is_an_error(log):
    log.file.mkdir()
    with pytest.raises(StoreError, match="directory"):
        log.find()
    with pytest.raises(StoreError, match="directory"):
        log.add("ana", "one")


def test_long_change_names_the_number_of_its_other_lines():
    after = "\n".join(f"A{number},allow" for number in range(70))
    before, found = differing_lines("A3,allow\nB1,deny\n", after)
    assert before == "B1,deny"
    assert found.splitlines()[-1] == "and 19 more"
    assert len(found.splitlines()) == 51


def test_exported_rows_have_no_formulas(log):
    log.add("ana", "list changed", after='=HYPERLINK("x")')
    assert "'=HYPERLINK" in "".join(csv_lines(log.find()))
