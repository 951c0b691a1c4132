"""The pages "People" and "Changes": users, roles, tokens, sessions and the audit log."""

import csv
import io
import json
from datetime import datetime, timedelta

import pytest
from selenium.webdriver.support.ui import Select

from plateid.store.audit_log import AuditLog
from plateid.web.credentials import (
    Token,
    credentials_file,
    hash_token,
    read_credentials,
    write_credentials,
)
from plateid.web.routes import ROUTES, Route
from tests.web.browser import find, fits, log_in, serious_issues, texts, wait
from tests.web.conftest import PASSWORD, VIEWER_PASSWORD

OPERATOR_PASSWORD, NEW = "operator words", "another one"


def known(device):
    return read_credentials(credentials_file(device.config.store.path))


def form_of(device, cookie, page="/people", **fields):
    """Returns a form with the CSRF token of a session."""
    text = device.request(page, Cookie=cookie)[1]
    hidden = {name: text.split(f'name="{name}" value="')[1].split('"')[0] for name in ("csrf",)}
    return hidden | fields


def log_in_as(device, user, password):
    status, _, headers = device.request("/login", {"user": user, "password": password})
    assert status == 303
    return headers["Set-Cookie"].split(";")[0]


@pytest.fixture
def admin(locked):
    """The cookie of an admin's session."""
    return locked.cookie(PASSWORD)


def add_user(device, admin, **fields):
    added = {"do": "user", "role": "operator", "password": OPERATOR_PASSWORD} | fields
    return device.status("/people", form_of(device, admin, **added), Cookie=admin)


def test_only_pages_without_a_session_have_no_scope():
    opened = {getattr(each, "path", "") for each in ROUTES if not isinstance(each, Route)}
    assert opened == {"/login", "/first-password", "/logout", "/static"}


def test_admin_adds_a_user_and_a_token_and_ends_a_session(locked, browser):
    log_in(browser, locked.address, PASSWORD)
    browser.get(f"{locked.address}/people")
    find(browser, "#user [name=name]").send_keys("ana")
    Select(find(browser, "#user [name=role]")).select_by_visible_text("operator")
    find(browser, "#user [name=password]").send_keys(OPERATOR_PASSWORD)
    find(browser, "#user button").click()
    wait(browser, lambda: "ana" in texts(browser, "td"))
    ana = log_in_as(locked, "ana", OPERATOR_PASSWORD)
    assert locked.status("/lists", Cookie=ana) == 200
    browser.refresh()
    find(browser, '[aria-label="End the session of ana"]').click()
    wait(browser, lambda: not browser.find_elements("css selector", '[aria-label*="of ana"]'))
    assert locked.status("/lists", Cookie=ana) == 303
    find(browser, "#new-token [name=name]").send_keys("hotel")
    find(browser, "#new-token [name=write_lists]").click()
    find(browser, "#new-token button").click()
    token = find(browser, "#token").text
    assert known(locked).tokens["hotel"].scopes == ("write_lists",)
    bearer = {"Authorization": f"Bearer {token}"}
    assert locked.status("/api/v1/lists/entries", **bearer) == 200
    assert locked.status("/api/v1/events", **bearer) == 403
    assert serious_issues(browser) == []
    browser.set_window_size(390, 844)
    assert fits(browser)
    browser.get(f"{locked.address}/people/changes")
    assert texts(browser, "tbody td:nth-child(3)")[0].startswith("token created")
    assert serious_issues(browser) == []
    assert fits(browser)


def test_operator_changes_lists_and_labels_but_neither_cameras_nor_users(locked, admin):
    add_user(locked, admin, name="ana")
    ana = log_in_as(locked, "ana", OPERATOR_PASSWORD)
    page = locked.request("/lists", Cookie=ana)[1]
    state = page.split('name="state" value="')[1].split('"')[0]
    entry = {"do": "save", "plate": "AB12", "list": "allow", "state": state}
    form = form_of(locked, ana, "/lists", **entry)
    assert locked.status("/lists", form, Cookie=ana) == 303
    assert locked.status("/review", {"csrf": form["csrf"], "id": "x"}, Cookie=ana) == 404
    for path in ("/cameras/drive", "/people", "/setup/broker", "/setup/camera"):
        assert locked.status(path, {"csrf": form["csrf"]}, Cookie=ana) == 403, path
    for path in ("/people", "/people/changes", "/people/changes.csv", "/setup/camera"):
        assert locked.status(path, Cookie=ana) == 403, path
    assert "/people" not in page


def test_change_of_role_or_password_and_removal_end_the_sessions_of_a_user(locked, admin):
    for changes in (
        {"role": "viewer", "password": ""},
        {"password": "another one"},
        {"do": "remove"},
    ):
        add_user(locked, admin, name="ana")
        ana = log_in_as(locked, "ana", OPERATOR_PASSWORD)
        assert locked.status("/", Cookie=ana) == 200
        assert add_user(locked, admin, name="ana", **changes) == 303
        assert locked.status("/", Cookie=ana) == 303, changes
    assert locked.status("/", Cookie=admin) == 200


def test_user_logs_in_with_name_and_own_password_only(locked, admin):
    add_user(locked, admin, name="ana")
    for user, password in (("ana", PASSWORD), ("ben", OPERATOR_PASSWORD), ("", OPERATOR_PASSWORD)):
        assert locked.status("/login", {"user": user, "password": password}) == 403
    assert locked.status("/login", {"user": "plateid", "password": VIEWER_PASSWORD}) == 303
    assert 'name="user" autocomplete="username" maxlength' in locked.text("/login")


def test_user_changes_the_own_password_in_the_browser(locked, admin, browser):
    add_user(locked, admin, name="ana", role="viewer")
    other = log_in_as(locked, "ana", OPERATOR_PASSWORD)
    log_in(browser, locked.address, OPERATOR_PASSWORD, "ana")
    find(browser, "footer a").click()
    assert serious_issues(browser) == []
    for name, text in {"old": OPERATOR_PASSWORD, "password": NEW, "repeated": NEW}.items():
        find(browser, f"[name={name}]").send_keys(text)
    find(browser, "main button").click()
    wait(browser, lambda: "Live" in texts(browser, "h1"))
    assert locked.status("/", Cookie=other) == 303
    assert locked.status("/", Cookie=log_in_as(locked, "ana", NEW)) == 200
    assert AuditLog(locked.config.store.path).find("own password")[0]["user"] == "ana"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"old": PASSWORD}, "Wrong password."),
        ({"repeated": "another two"}, "The passwords differ."),
        ({"password": "short", "repeated": "short"}, "A password has 8 to 256 characters"),
    ],
)
def test_own_password_is_not_changed_without_the_old_one_or_a_good_new_one(
    locked, admin, fields, reason
):
    add_user(locked, admin, name="ana", role="viewer")
    ana = log_in_as(locked, "ana", OPERATOR_PASSWORD)
    wanted = {"old": OPERATOR_PASSWORD, "password": NEW, "repeated": NEW} | fields
    form = form_of(locked, ana, "/password", **wanted)
    assert reason in locked.request("/password", form, Cookie=ana)[1]
    assert locked.status("/", Cookie=ana) == 200


def test_shared_password_is_not_changed_by_its_users(locked):
    viewer = locked.cookie(VIEWER_PASSWORD)
    wanted = {"old": VIEWER_PASSWORD, "password": NEW, "repeated": NEW}
    form = form_of(locked, viewer, "/password", **wanted)
    assert locked.status("/password", form, Cookie=viewer) == 403
    assert locked.status("/password", wanted, Cookie=viewer) == 403
    assert "/password" not in locked.request("/", Cookie=viewer)[1]


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "a b"},
        {"name": "x" * 65},
        {"name": "ana", "password": "short"},
        {"name": "ana", "password": ""},
        {"name": "ana", "role": "owner"},
        {"name": "viewer", "role": "operator"},
        {"name": "admin", "do": "remove"},
        {"name": "hotel", "do": "token"},
        {"name": "hotel", "do": "token", "read_events": "1", "expires": "soon"},
        {"do": "end", "session": "x"},
        {"do": "all"},
    ],
)
def test_invalid_change_is_refused_with_a_reason(locked, admin, fields):
    before = known(locked)
    added = {"do": "user", "role": "operator", "password": OPERATOR_PASSWORD} | fields
    form = form_of(locked, admin, **added)
    status, text, _ = locked.request("/people", form, Cookie=admin)
    assert (status, 'role="alert"' in text) == (400, True)
    assert known(locked) == before


def test_first_user_without_a_password_must_be_an_admin(device):
    form = {"csrf": device.hidden_field("csrf", "/people"), "do": "user", "name": "ana"}
    form["password"] = OPERATOR_PASSWORD
    assert device.status("/people", form | {"role": "operator"}) == 400
    assert device.status("/people", form | {"role": "admin"}) == 303
    assert device.status("/people") == 303
    assert device.status("/people", Cookie=log_in_as(device, "ana", OPERATOR_PASSWORD)) == 200


def test_expired_token_is_refused(locked):
    today = datetime.now().astimezone().date()
    for days, status in ((0, 200), (-1, 401)):
        expires = today + timedelta(days=days)
        token = Token(hash_token("old"), ("read_events",), expires)
        write_credentials(
            credentials_file(locked.config.store.path), known(locked).with_token("old", token)
        )
        assert locked.status("/api/v1/events", Authorization="Bearer old") == status


def test_audit_log_names_who_changed_what_before_and_after(locked, admin):
    add_user(locked, admin, name="ana")
    ana = log_in_as(locked, "ana", OPERATOR_PASSWORD)
    state = locked.request("/lists", Cookie=ana)[1].split('name="state" value="')[1].split('"')[0]
    entry = {"do": "save", "row": "1", "plate": "KX73LPH", "list": "deny", "state": state}
    form = form_of(locked, ana, "/lists", **entry)
    assert locked.status("/lists", form, Cookie=ana) == 303
    drawing = form_of(locked, admin, "/cameras/drive", line="[[0.1, 0.5], [0.9, 0.5]]")
    assert locked.status("/cameras/drive", drawing, Cookie=admin) == 303
    view, listed, user = AuditLog(locked.config.store.path).find()
    assert (view["user"], view["change"], view["before"]) == ("admin", "camera view changed", "")
    assert "line = [[0.1, 0.5], [0.9, 0.5]]" in view["after"]
    assert (listed["user"], listed["address"]) == ("ana", "127.0.0.1")
    assert (listed["before"], listed["after"]) == ("KX73LPH,allow,Ana,blue car", "KX73LPH,deny,,")
    assert (user["user"], user["before"]) == ("admin", "")
    assert user["after"].startswith("operator, password version ")
    exported = locked.request("/people/changes.csv?q=kx73", Cookie=admin)[1]
    assert [row["after"] for row in csv.DictReader(io.StringIO(exported))] == ["KX73LPH,deny,,"]
    assert "2 of 2 changes" in locked.request("/people/changes?q=ANA", Cookie=admin)[1]


def test_change_is_made_and_logged_though_the_audit_log_fails(device, logs):
    AuditLog(device.config.store.path).file.path.mkdir()
    assert device.status("/lists", device.list_form(plate="AB12", list="allow")) == 303
    assert "AB12" in device.list_file.read_text()
    found = [(each["event"], each["log_level"]) for each in logs[-2:]]
    assert found == [("list changed in the web UI", "info"), ("audit log failed", "error")]


@pytest.mark.parametrize("password", ["secret", 'x"secret', "'secret"])
def test_audit_log_has_no_address_of_a_camera(device, password):
    form = {"csrf": device.hidden_field("csrf", "/setup/camera"), "old": "yard", "name": "yard"}
    url = f"rtsp://ana:{password}@camera.local/key"
    assert device.status("/setup/camera", form | {"url": url}) == 303
    (entry,) = AuditLog(device.config.store.path).find()
    assert (entry["change"], "camera.local" in json.dumps(entry)) == ("camera saved", False)
