"""List entries in the JSON API, as a booking system uses them."""

import http.client
import json
from contextlib import closing

import pytest

from plateid.store.list_file import ListFile
from plateid.web.credentials import credentials_file, read_credentials, write_credentials
from tests.web.conftest import TOKEN, WRITE_TOKEN

PATH = "/api/v1/lists/entries"
BOOKING = {
    "plate": "CJ 12 ABC",
    "list": "allow",
    "name": "Room 12",
    "valid_from": "2026-12-01T14:00:00Z",
    "valid_to": "2026-12-05T10:00:00Z",
}


def ask(device, method, path=PATH, body=None, *, token=WRITE_TOKEN, **headers):
    """Returns status, JSON and ETag of a response."""
    named = {"Authorization": f"Bearer {token}"} | headers
    if body is not None:
        named["Content-Type"] = "application/json"
    text = body if isinstance(body, str) else body and json.dumps(body)
    status, answer, found = device.request(path, text, method=method, **named)
    return status, answer and json.loads(answer), found["ETag"]


def test_booking_is_created_once_changed_and_deleted(locked):
    before = locked.list_file.read_text()
    status, entry, etag = ask(locked, "POST", body=BOOKING)
    assert (status, entry["plate"], entry["valid_to"]) == (
        201,
        "CJ12ABC",
        "2026-12-05T10:00:00.000Z",
    )
    assert etag == f'"{entry["etag"]}"'
    assert ask(locked, "POST", body=BOOKING) == (200, entry, etag)
    assert ask(locked, "GET", f"{PATH}?plate=cj-12-abc&list=allow") == (
        200,
        {"entries": [entry]},
        etag,
    )
    key = f"{PATH}?plate=CJ12ABC&list=allow"
    status, later, changed = ask(locked, "PATCH", key, {"valid_to": None, "note": "late"})
    assert (status, later["valid_to"], later["note"]) == (200, None, "late")
    assert (later["name"], later["valid_from"]) == (entry["name"], entry["valid_from"])
    lists = ListFile(locked.config.lists, ("drive", "yard")).lists
    assert [each.note for each in lists.entries if each.plate == "CJ12ABC"] == ["late"]
    assert ask(locked, "DELETE", key, **{"If-Match": etag})[0] == 412
    assert ask(locked, "DELETE", key, **{"If-Match": changed})[0] == 204
    assert ask(locked, "DELETE", key)[0] == 404
    assert locked.list_file.read_text() == before.replace("note\n", "note,valid_from,valid_to\n")


def test_unchanged_entries_are_not_sent_again(locked):
    etag = ask(locked, "GET")[2]
    assert ask(locked, "GET", **{"If-None-Match": etag})[:2] == (304, "")
    ask(locked, "POST", body=BOOKING)
    assert ask(locked, "GET", **{"If-None-Match": etag})[0] == 200


def test_post_creates_only_if_asked_to(locked):
    assert ask(locked, "POST", body=BOOKING, **{"If-None-Match": "*"})[0] == 201
    assert ask(locked, "POST", body=BOOKING, **{"If-None-Match": "*"})[0] == 412


def test_entry_that_contradicts_another_is_refused_with_both_lines(locked):
    status, answer, _ = ask(locked, "POST", body={"plate": "kx73 lph", "list": "deny"})
    assert status == 409
    assert "line 2 (KX73LPH,allow,Ana,blue car)" in answer["error"]
    assert "line 5 (kx73 lph,deny,,)" in answer["error"]


@pytest.mark.parametrize(
    ("method", "body", "status"),
    [
        ("POST", {"plate": "AB12"}, 400),
        ("POST", {"plate": "", "list": "allow"}, 400),
        ("POST", {"plate": "Ü1", "list": "allow"}, 400),
        ("POST", {"plate": "AB12", "list": "friends"}, 400),
        ("POST", {"plate": "AB12", "list": ["allow"]}, 400),
        ("POST", {"plate": "AB12", "list": "allow", "colour": "red"}, 400),
        ("POST", {"plate": "AB12", "list": "allow", "name": 1}, 400),
        ("POST", {"plate": "AB12", "list": "allow", "name": "\ud800"}, 400),
        ("POST", {"plate": "AB12", "list": "allow", "note": "a\nEVIL,allow"}, 400),
        ("POST", {"plate": "AB12", "list": "allow", "cameras": ["roof"]}, 400),
        ("POST", {"plate": "AB12", "list": "allow", "valid_to": "soon"}, 400),
        ("POST", [], 400),
        ("POST", "{", 400),
        ("PATCH", {"plate": "AB12", "list": "allow"}, 404),
        ("PUT", {"plate": "AB12", "list": "allow"}, 405),
    ],
)
def test_invalid_request_changes_nothing_and_says_why(locked, method, body, status):
    before = locked.list_file.read_text()
    found, answer, _ = ask(locked, method, body=body)
    assert (found, bool(answer["error"])) == (status, True)
    assert locked.list_file.read_text() == before


def test_only_tokens_with_the_scope_write(locked):
    before = locked.list_file.read_text()
    for method in ("POST", "PATCH", "DELETE"):
        status, answer, _ = ask(locked, method, body=BOOKING, token=TOKEN)
        assert (status, "write_lists" in answer["error"]) == (403, True)
    assert ask(locked, "GET", token=TOKEN)[0] == 200
    assert locked.list_file.read_text() == before


def test_plates_are_streamed_to_a_token_until_it_is_withdrawn(locked):
    connection = http.client.HTTPConnection("localhost", locked.config.web.port, timeout=30)
    headers = {"Authorization": f"Bearer {WRITE_TOKEN}"}
    with closing(connection):
        connection.request("GET", "/api/v1/events/stream", headers=headers)
        answer = connection.getresponse()
        assert (answer.status, answer.readline()) == (200, b"event: state\n")
        file = credentials_file(locked.config.store.path)
        write_credentials(file, read_credentials(file).with_token("booking", None))
        answer.read()  # blocks until the stream ends
