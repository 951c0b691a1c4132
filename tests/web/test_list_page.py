"""Tests of the page "Lists"."""

import html
import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from urllib.parse import quote

import pytest
from selenium.webdriver.support.ui import Select

from plateid.config.load import load_config
from plateid.core.records import rfc3339
from plateid.store.list_file import ListChange, ListFile, ListUndo
from tests.web.browser import find, texts, wait
from tests.web.conftest import make_pass


def test_entries_are_added_edited_deleted_and_restored_with_comments(device, browser):
    before = device.list_file.read_text()
    browser.get(f"{device.address}/lists")
    find(browser, "#edit [name=plate]").send_keys("CJ 12 ABC")
    Select(find(browser, "#edit [name=list]")).select_by_visible_text("Deny")
    find(browser, "#edit [name=valid_to]").send_keys("12312026")
    find(browser, "#edit [name=valid_to_time]").send_keys("0630PM")
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
    assert lists.entries[2].valid_to == datetime(2026, 12, 31, 18, 30)  # noqa: DTZ001 - local
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
        {"plate": "AB12", "list": "allow", "valid_to_time": "18:30"},
        {"plate": "kx73 lph", "list": "deny"},
        {"plate": "KX73-LPH", "list": "allow"},
        {"plate": "KX73LPH", "list": "deny", "row": "3"},
        {"do": "add", "csv": "plate,colour\nAB12,red\n"},
        {"do": "add", "csv": "plate,list\nAB12,allow\nab 12,watch\n"},
        {"do": "replace", "csv": "plate,list\nAB12,allow\nAB12,deny\n"},
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
    real = os.access
    monkeypatch.setattr("os.access", lambda path, mode: path != device.folder and real(path, mode))
    status, text, _ = device.request("/lists")
    assert status == 200
    assert f"plateid cannot write {device.list_file}" in text
    assert "KX73LPH" in text
    assert 'action="lists"' not in text


def test_last_seen_is_unknown_if_the_store_is_unreadable(device):
    device.config.store.path.rename(device.folder / "gone")
    page = device.text("/lists")
    assert ">Unknown</td>" in page
    assert ">Never</td>" not in page


def test_contradicting_entry_is_refused_with_both_lines(device):
    form = device.list_form(plate="kx73 lph", list="deny", note="gone")
    text = html.unescape(device.request("/lists", form)[1])
    assert "line 2 (KX73LPH,allow,Ana,blue car)" in text
    assert "line 5 (kx73 lph,deny,,gone)" in text


@pytest.mark.parametrize(
    ("first", "second", "status"),
    [
        (("allow", "", "2026-01-31", ""), ("deny", "2026-02-01", "", ""), 303),
        (("allow", "", "2026-01-31", ""), ("deny", "2026-01-31", "", ""), 400),
        (("allow", "", "", "drive"), ("deny", "", "", "yard"), 303),
        (("allow", "", "", "drive"), ("deny", "", "", ""), 400),
    ],
)
def test_entries_of_a_plate_may_differ_in_time_or_camera(device, first, second, status):
    names = ("list", "valid_from", "valid_to", "cameras")
    for cells, expected in ((first, 303), (second, status)):
        entry = dict(zip(names, cells, strict=True))
        assert device.status("/lists", device.list_form(plate="AB12CD", **entry)) == expected


def test_old_conflict_does_not_block_other_changes(device):
    device.list_file.write_text("plate,list\nAB12,allow\nAB12,deny\n")
    assert device.status("/lists", device.list_form(plate="CD34", list="allow")) == 303


def test_list_is_created_from_the_empty_page(device, browser):
    lists = device.config.lists.model_copy(update={"file": None})
    device.server.use(device.config.model_copy(update={"lists": lists}))
    browser.get(f"{device.address}/lists")
    find(browser, "button[value=create]").click()
    wait(browser, lambda: texts(browser, "tbody td") == ["No entries"])
    find(browser, "#edit [name=plate]").send_keys("CJ 12 ABC")
    find(browser, "#edit button").click()
    wait(browser, lambda: texts(browser, "td .plate") == ["CJ 12 ABC"])
    assert len(device.reloads) == 1
    file = device.folder / "plateid.toml"
    file.write_text(file.read_text().replace('file = "plates.csv"', "max_distance = 0.25"))
    created = load_config(file).lists
    assert [entry.plate for entry in ListFile(created, ()).lists.entries] == ["CJ12ABC"]


def test_search_finds_plates_names_and_notes(device):
    for wanted, found in (
        *(("b68 spk", "B 68 SPK"), ("8-sp", "B 68 SPK"), ("dan", "B 68 SPK")),
        *(("ana", "KX73LPH"), ("BLUE", "KX73LPH")),
    ):
        page = device.text(f"/lists?q={quote(wanted)}")
        assert [plate in page for plate in ("KX73LPH", "B 68 SPK")] == [
            plate == found for plate in ("KX73LPH", "B 68 SPK")
        ], wanted
    assert "No entry contains" in device.text("/lists?q=%3Cb%3E")


def test_list_is_exported_and_imported_again(device, browser, tmp_path):
    noted = device.list_form(plate="AB12CD", list="allow", name="=1+1", note='a "b", c')
    assert device.status("/lists", noted) == 303
    text = device.text("/lists.csv")
    assert "'=1+1" in text
    before = device.text("/api/v1/lists/entries")
    file = tmp_path / "import.csv"
    file.write_text(text.replace("KX73LPH,allow,Ana", "kx73 lph,allow,Anna") + "XY99ZZ,deny\n")
    browser.get(f"{device.address}/lists")
    find(browser, "#import summary").click()
    find(browser, "#import [type=file]").send_keys(str(file))
    wait(browser, lambda: "XY99ZZ" in find(browser, "#import textarea").get_attribute("value"))
    find(browser, "#import [value=add]").click()
    wait(browser, lambda: "XY99ZZ" in texts(browser, "td .plate"))
    assert texts(browser, "td .plate") == ["kx73 lph", "B 68 SPK", "AB12CD", "XY99ZZ"]
    assert texts(browser, "tbody td:nth-child(3)")[0] == "Anna"
    assert "# the gardener" in device.list_file.read_text()
    replaced = device.list_form(do="replace", csv=text)
    assert device.status("/lists", replaced) == 303
    assert device.text("/api/v1/lists/entries") == before


def test_long_list_is_imported_in_one_form(device):
    rows = "".join(f"A{number:05d},allow\n" for number in range(20_000))
    assert device.status("/lists", device.list_form(do="replace", csv=f"plate,list\n{rows}")) == 303
    assert "1000 of 20000 entries" in device.text("/lists")


def test_last_seen_counts_passes_of_before_the_listing(device):
    seen = make_pass(7, "CJ12A8C", camera="yard", confidence=0.9)
    device.store.append(seen)
    assert device.status("/lists", device.list_form(plate="CJ 12 ABC", list="allow")) == 303
    assert f'datetime="{rfc3339(seen.first_seen)}"' in device.text("/lists")
