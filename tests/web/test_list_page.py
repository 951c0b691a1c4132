"""Tests of the page "Lists"."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from selenium.webdriver.support.ui import Select

from plateid.store.list_file import ListChange, ListFile, ListUndo
from tests.web.browser import find, texts, wait


def test_entries_are_added_edited_deleted_and_restored_with_comments(device, browser):
    before = device.list_file.read_text()
    browser.get(f"{device.address}/lists")
    find(browser, "#edit [name=plate]").send_keys("CJ 12 ABC")
    Select(find(browser, "#edit [name=list]")).select_by_visible_text("Deny")
    find(browser, "#edit [name=valid_to]").send_keys("2026-12-31")
    find(browser, "#edit button").click()
    wait(browser, lambda: "CJ 12 ABC" in texts(browser, "td .plate"))
    find(browser, '[aria-label="Edit KX73LPH"]').click()
    name = find(browser, "#edit [name=name]")
    name.clear()
    name.send_keys("Ana, née Pop")
    find(browser, "#edit button").click()
    wait(browser, lambda: "Ana, née Pop" in texts(browser, "td"))
    lists = ListFile(device.config.lists, ("drive", "yard")).lists
    assert [(entry.plate, entry.kind, entry.name) for entry in lists.entries] == [
        ("KX73LPH", "allow", "Ana, née Pop"),
        ("B68SPK", "watch", "Dan"),
        ("CJ12ABC", "deny", "CJ 12 ABC"),
    ]
    assert "# the gardener" in device.list_file.read_text()
    find(browser, '[aria-label="Delete B 68 SPK"]').click()
    for change in ("delete B 68 SPK", "edit KX73LPH", "add CJ 12 ABC"):
        wait(browser, lambda change=change: texts(browser, ".undo button") == [f"Undo: {change}"])
        find(browser, ".undo button").click()
    wait(browser, lambda: device.list_file.read_text() == before)
    wait(browser, lambda: not texts(browser, ".undo button"))


@pytest.mark.parametrize(
    "cells",
    [
        {},
        {"plate": "", "list": "allow"},
        {"plate": "AB12", "list": "allow", "do": ""},
        {"do": "delete"},
        {"do": "delete", "row": "99"},
        {"plate": "", "list": "", "row": "1"},
        {"plate": "AB12", "list": "allow", "note": "x" * 501},
        {"plate": "Ü 1", "list": "allow"},
        {"plate": "AB12", "list": "friends"},
        {"plate": "AB12", "list": "allow", "cameras": "roof"},
        {"plate": "AB12", "list": "allow", "valid_to": "soon"},
        {"plate": "AB12", "list": "allow", "note": "a\nEVIL,allow"},
        {"plate": "AB12", "list": "allow", "row": "99"},
        {"plate": "AB12", "list": "allow", "row": "x"},
    ],
)
def test_invalid_entry_leaves_the_list_unchanged(device, cells):
    before = device.list_file.read_text()
    status, text, _ = device.request("/lists", device.list_form(**cells))
    assert (status, 'role="alert"' in text) == (400, True)
    assert "invalid literal" not in text
    assert device.list_file.read_text() == before


def test_changes_are_logged_by_account_and_address_without_plate(device, logs):
    assert device.status("/lists", device.list_form(plate="AB 12", list="allow")) == 303
    assert device.status("/lists", device.list_form(do="undo")) == 303
    found = [each for each in logs if each["event"] == "list changed in the web UI"]
    assert [(each["account"], each["address"], each["change"]) for each in found] == [
        ("admin", "127.0.0.1", "save"),
        ("admin", "127.0.0.1", "undo"),
    ]
    assert "AB 12" not in str(logs)


def test_page_shows_the_first_entries_of_a_long_list(device):
    entries = "".join(f"A{number:05d},allow\n" for number in range(5000))
    device.list_file.write_text(f"plate,list\n{entries}")
    text = device.text("/lists")
    assert "The first 1000 of 5000 entries are shown" in text
    assert ("A00999" in text, "A01000" in text) == (True, False)
    assert "A04999" in device.text("/lists?row=5000")


def test_undo_of_long_lists_takes_limited_memory(monkeypatch):
    monkeypatch.setattr("plateid.store.list_file.MAX_UNDO_CHARACTERS", 100)
    undo = ListUndo()
    for number in range(10):
        undo.append(ListChange("add", "x" * 20, f"{number:020d}"))
    assert len(undo) == 2
    assert undo.last(f"{9:020d}") == undo[-1]
    undo.append(ListChange("add", "x" * 200, ""))
    assert undo.last("") is None


def test_spreadsheet_list_behind_a_symlink_is_edited_in_place(device):
    target = device.folder / "share.csv"
    target.write_text("\ufeff# ours\nplate;list\nXY99ZZ;deny\n")
    device.list_file.unlink()
    device.list_file.symlink_to(target)
    assert "XY99ZZ" in device.text("/lists")
    assert device.status("/lists", device.list_form(plate="AB12", list="allow")) == 303
    assert device.list_file.is_symlink()
    assert target.read_text() == "\ufeff# ours\nplate;list\nXY99ZZ;deny\nAB12;allow\n"


def test_list_that_changed_since_the_page_was_loaded_is_not_overwritten(device):
    form = device.list_form(row="1", plate="KX73LPX")
    device.list_file.write_text("plate,list\nXY99ZZ,deny\n")
    status, text, _ = device.request("/lists", form)
    assert (status, "XY99ZZ" in text) == (400, True)
    assert "KX73LPX" not in text, "a second try must not replace another row"
    assert "<h2>Add a plate</h2>" in text
    assert "XY99ZZ" in device.list_file.read_text()


def test_only_one_of_two_parallel_changes_is_saved(device, monkeypatch):
    form, fsync = device.list_form(list="allow"), os.fsync
    monkeypatch.setattr("os.fsync", lambda file: (time.sleep(0.2), fsync(file)))
    plates = ("CC33CC", "DD44DD")
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda plate: device.status("/lists", form | {"plate": plate}), plates)
        statuses = list(found)
    assert sorted(statuses) == [303, 400]
    written = device.list_file.read_text()
    assert [plate in written for plate in plates] == [status == 303 for status in statuses]


def test_read_only_list_is_shown_without_forms(device, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, _: path != device.folder)
    status, text, _ = device.request("/lists")
    assert status == 200
    assert f"plateid cannot write {device.list_file}" in text
    assert "KX73LPH" in text
    assert 'action="/lists"' not in text


def test_last_seen_is_unknown_if_the_store_is_unreadable(device):
    device.config.store.path.rename(device.folder / "gone")
    page = device.text("/lists")
    assert ">Unknown</td>" in page
    assert ">Never</td>" not in page
