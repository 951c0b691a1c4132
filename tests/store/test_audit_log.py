"""The audit log as a file: bounded, searchable, and without purged plates."""

import stat
import threading
from contextlib import suppress

import pytest

from plateid.core.event_csv import csv_lines
from plateid.errors import StoreError
from plateid.store import audit_log
from plateid.store.audit_log import AuditLog, differing_lines
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
    assert stat.S_IMODE(log.file.path.stat().st_mode) == 0o600


def test_old_entries_go_and_new_ones_stay(log):
    for number in range(3):
        log.add("ana", str(number))
    with log.file.opened() as db:
        db.execute("UPDATE entry SET at = '2001' || substr(at, 5) WHERE change = '0'")
    log.trim()
    assert [entry["change"] for entry in log.find()] == ["2", "1"]


def test_many_changes_in_a_day_do_not_fill_the_disk(log, monkeypatch):
    monkeypatch.setattr(audit_log, "MAX_CHARACTERS", 1000)
    for number in range(20):
        log.add("ana", str(number), details="x" * 100)
    assert [entry["change"] for entry in log.find()] == [str(n) for n in range(19, 12, -1)]


def test_interrupted_entry_hides_no_other_one(log):
    log.add("ana", "one")
    with suppress(ZeroDivisionError), log.file.opened() as db:
        db.execute("INSERT INTO entry SELECT at, user, address, 'two', '', '', '' FROM entry")
        raise ZeroDivisionError
    assert [entry["change"] for entry in log.find()] == ["one"]


def test_purged_plate_is_in_no_entry(log, store, tmp_path):
    log = AuditLog(store.path)
    log.add("ana", "list changed", details="file: x", before="AB 12 CDE,allow", after="")
    log.add("ana", "list changed", after="XY99ZZZ,allow")
    log.add("ana", "session changed", before="0123456789ABCDEF")
    log.forget("0123456789ABCDEF")
    Purge(store.path).plate("AB12CDE")
    assert [entry["before"] for entry in log.find()] == ["purged", "", "purged"]
    assert files_with(tmp_path, "CDE") == files_with(tmp_path, "0123456789ABCDEF") == []
    assert log.find("XY99ZZZ")


def test_parallel_entries_are_all_kept(log):
    def add():
        for _ in range(10):
            log.add("ana", "x" * 500)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(log.find()) == 40


def test_unreadable_file_is_an_error(log):
    log.file.path.mkdir()
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
    assert "'=HYPERLINK" in "".join(csv_lines(entry.values() for entry in log.find()))
