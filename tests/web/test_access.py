"""Who gets in, and what the page refuses."""

import html
import http.client
import json
import os
import re
import socket
import stat
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta

import pytest
from selenium.webdriver import Keys
from selenium.webdriver.common.by import By

from plateid.config.load import load_config
from plateid.core.records import ListMatch
from plateid.errors import ConfigError
from plateid.web import access
from plateid.web.access import Access
from plateid.web.credentials import (
    Credentials,
    credentials_file,
    hash_password,
    hash_token,
    read_credentials,
    write_credentials,
)
from tests.support.broker import free_port, until
from tests.support.samples import NOON, event, outbox_of, payloads
from tests.web.conftest import CONFIG, served
from tests.web.test_pages import screenshot, serious_issues, texts, wait

PASSWORD, VIEWER = "correct horse", "battery staple"
FORM = "application/x-www-form-urlencoded"
EVIL = (
    """<script>document.title='hacked'</script><img src=x onerror="document.title='hacked'">'"--"""
)


@pytest.fixture
def locked(box):
    write_credentials(
        credentials_file(box.config.store.path),
        Credentials(hash_password(PASSWORD), hash_password(VIEWER), hash_token("token")),
    )
    return box


def cookie(box, password):
    status, _, headers = box.ask("/login", {"password": password})
    assert status == 303
    assert re.search(r"HttpOnly.*SameSite=strict", headers["Set-Cookie"], re.IGNORECASE)
    return headers["Set-Cookie"].split(";")[0]


def test_without_a_password_nothing_but_the_form_is_served(locked):
    for path in ("/", "/events", "/lists", "/review", "/cameras/drive", "/events.csv", "/nothing"):
        status, _, headers = locked.ask(path)
        assert (status, headers["Location"]) == (303, "/login"), path
    for path in ("/api/v1/events", "/api/v1/health", "/api/v1/openapi.json", "/api/"):
        assert locked.ask(path)[0] == 401, path
    assert locked.ask("/lists", {"do": "save"})[0] == 401
    assert locked.ask("/login")[0] == locked.ask("/static/style.css")[0] == 200


def test_one_logs_in_and_out_by_hand(locked, browser, pictured):
    browser.get(locked.address)
    assert serious_issues(browser) == []
    screenshot(browser, pictured / "web-login.jpg")
    browser.find_element(By.NAME, "password").send_keys(PASSWORD, Keys.ENTER)
    wait(browser, lambda: "Live" in texts(browser, "nav a"))
    browser.find_element(By.CSS_SELECTOR, ".logout button").click()
    wait(browser, lambda: texts(browser, "h1") == ["Log in"])
    browser.get(f"{locked.address}/events")
    assert texts(browser, "h1") == ["Log in"]


def test_forged_cookies_and_old_sessions_are_no_sessions(locked):
    known = cookie(locked, PASSWORD)
    assert locked.ask("/lists", Cookie=known)[0] == 200
    for forged in ("plateid=", "plateid=admin", "plateid=" + "A" * 5000, known[:-1], "x; " * 300):
        assert locked.ask("/lists", Cookie=forged)[0] in (303, 400), forged[:20]
    keys = read_credentials(credentials_file(locked.config.store.path))
    time.sleep(0.01)
    changed = Credentials(hash_password("another one"), keys.viewer)
    write_credentials(credentials_file(locked.config.store.path), changed)
    assert locked.ask("/lists", Cookie=known)[0] == 303


def test_a_stream_ends_with_its_session(locked):
    known = cookie(locked, PASSWORD)
    headers = {"Cookie": known, "Host": "localhost"}
    with closing(
        http.client.HTTPConnection("localhost", locked.config.web.port, timeout=30)
    ) as viewer:
        viewer.request("GET", "/stream/events", headers=headers)
        answer = viewer.getresponse()
        assert answer.readline() == b"event: state\n"
        assert locked.ask("/logout", {}, Cookie=known)[0] == 303
        answer.read()  # its end; without one, the time-out


@pytest.mark.parametrize(("after", "kind"), [("long-ago", b"reload"), ("", b"state")])
def test_who_comes_back_too_late_is_told_to_begin_anew(box, after, kind):
    with closing(http.client.HTTPConnection("localhost", box.config.web.port, timeout=30)) as late:
        late.request("GET", f"/stream/events?after={after}", headers={"Host": "localhost"})
        assert late.getresponse().readline() == b"event: " + kind + b"\n"


@pytest.mark.parametrize("page", ["/", "/cameras/drive"])
def test_a_page_whose_session_ends_says_so(locked, browser, page):
    browser.get(locked.address)
    browser.find_element(By.NAME, "password").send_keys(PASSWORD, Keys.ENTER)
    wait(browser, lambda: "Live" in texts(browser, "nav a"))
    browser.get(locked.address + page)
    known = browser.get_cookie("plateid")["value"]
    locked.ask("/logout", {}, Cookie=f"plateid={known}")
    said, selector = ("Log in", "h1") if page == "/" else ("You are logged out", "#hints li")
    wait(browser, lambda: said in " ".join(texts(browser, selector)), patience_s=20)
    browser.get("about:blank")
    browser.get_log("browser")  # says that the stream is none any more


def test_viewers_see_all_and_change_nothing(locked):
    known = cookie(locked, VIEWER)
    status, text, _ = locked.ask("/lists", Cookie=known)
    assert status == 200
    assert 'value="save"' not in text
    before = locked.list_file.read_text()
    for path in ("/lists", "/review", "/cameras/drive"):
        assert locked.ask(path, {"csrf": "x", "do": "save"}, Cookie=known)[0] == 403
    assert locked.list_file.read_text() == before


def test_a_token_reads_the_api_and_nothing_else(locked):
    header = {"Authorization": "Bearer token"}
    status, text, _ = locked.ask("/api/v1/events?plate=KX73LPH", **header)
    assert status == 200
    assert {each["plate"] for each in json.loads(text)["events"]} == {"KX73LPH"}
    assert locked.ask("/lists", **header)[0] == 303
    for wrong in ("Bearer", "Bearer x", "Basic token", "token"):
        assert locked.ask("/api/v1/events", Authorization=wrong)[0] == 401


def test_a_token_fetches_pictures(locked):
    header = {"Authorization": "Bearer token"}
    found = json.loads(locked.ask("/api/v1/events", **header)[1])["events"]
    shown = next(each for each in found if each["snapshot"])
    for kind in ("snapshot", "crop"):
        path = f"/api/v1/events/{shown['id']}/{kind}.jpg"
        status, _, headers = locked.ask(path, **header)
        assert (status, headers["Content-Type"]) == (200, "image/jpeg")
        assert locked.ask(path)[0] == 401


def test_wrong_passwords_have_to_wait_also_the_right_one_then(locked, logs):
    for _ in range(access.FREE_ATTEMPTS):
        assert locked.ask("/login", {"password": "wrong"})[0] == 403
    status, _, headers = locked.ask("/login", {"password": PASSWORD})
    assert status == 429
    assert 0 < int(headers["Retry-After"]) <= access.RETRY_S
    assert [entry["event"] for entry in logs].count("wrong password") == access.FREE_ATTEMPTS


def test_many_passwords_at_once_are_no_more_tries_than_one_after_another(locked):
    with ThreadPoolExecutor(30) as pool:
        answers = list(
            pool.map(lambda _: locked.ask("/login", {"password": "wrong"})[0], range(30))
        )
    assert Counter(answers) == {403: access.FREE_ATTEMPTS, 429: 30 - access.FREE_ATTEMPTS}


def test_forms_of_other_sites_and_without_our_token_are_refused(box):
    token, before = box.csrf(), box.list_file.read_text()
    form = {"csrf": token, "do": "save", "plate": "AB12CD", "list": "allow"}
    assert box.ask("/lists", form, Origin="http://evil.example")[0] == 403
    assert box.ask("/lists", form, Sec_Fetch_Site="cross-site")[0] == 403
    assert box.ask("/lists", form | {"csrf": ""})[0] == 403
    assert box.ask("/lists", form | {"csrf": "é" * 43})[0] == 403
    assert box.list_file.read_text() == before
    assert box.ask("/lists", form)[0] == 400  # nor does it say which state of the list it is for
    assert box.list_file.read_text() == before


def test_a_name_that_a_stranger_points_at_this_machine_is_not_served(box):
    assert box.ask("/events", Host="evil.example")[0] == 403
    assert box.ask("/events", Host="localhost.evil.example:8480")[0] == 403
    assert box.ask("/events", Host=f"[::1]:{box.config.web.port}")[0] == 200


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"])
def test_without_a_password_nobody_comes_by_a_proxy_on_this_machine(box, header):
    assert box.ask("/events", **{header: "192.0.2.1"})[0] == 403


def test_without_a_password_nobody_comes_by_a_proxy_that_does_not_say_that_it_is_one(box):
    with socket.create_connection(("127.0.0.1", box.config.web.port), timeout=10) as nginx:
        nginx.sendall(b"GET /events HTTP/1.0\r\nHost: localhost\r\n\r\n")
        assert nginx.recv(99).startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize("host", ["localhost/login?", "localhost/static/?", "x/api/v1/events?"])
def test_what_is_asked_for_is_the_path_whatever_the_host_header_says(locked, host):
    assert locked.ask("/events.csv", Host=host)[0] == 303
    assert locked.ask("/api/v1/events", Host=host)[0] == 401
    assert locked.ask("/events.csv", Host=host, Authorization="Bearer token")[0] == 303


def test_every_answer_has_the_headers_that_browsers_need(box):
    for path in ("/", "/static/style.css", "/nothing", "/api/v1/events", "/events?plate=%27"):
        headers = box.ask(path)[2]
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert "Server" not in headers


@pytest.mark.parametrize(
    "path",
    [
        "/static/../site.py",
        "/static/..%2fsite.py",
        "/static/%2e%2e/%2e%2e/config.py",
        "/static//etc/passwd",
        "/events/..%2f..%2fplates.csv/snapshot.jpg",
        "/events/%00/snapshot.jpg",
        "/stream/..%2fplates.csv.jpg",
        "/cameras/..",
        "/cameras/%3Cscript%3E",
    ],
)
def test_no_path_leads_out(box, path):
    assert box.ask(path)[0] in (404, 405)


@pytest.mark.parametrize(
    "name",
    ["../plates.csv", "/etc/passwd", "2026/11/24/../../../plates.csv", "2026/11/24/x.jpg", "", 7],
)
def test_an_altered_store_names_no_file_of_others(box, name):
    last = json.loads(payloads(box.store)[0])
    last["snapshot"] = {"file": name, "sha256": ""} if name else None
    with box.store.transaction() as db:
        db.execute("UPDATE event SET payload = ? WHERE id = ?", (json.dumps(last), last["id"]))
    assert box.ask(f"/events/{last['id']}/snapshot.jpg")[0] == 404
    assert box.ask(f"/events/{last['id']}")[0] == 200


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("plate=' OR 1=1 --", 400),
        ("plate=%25", 400),
        ("plate=" + "A" * 1000, 400),
        ("camera=' OR '1'='1", 200),
        ("listed=x", 400),
        ("min=nan", 400),
        ("limit=1e9", 400),
        ("limit=-1", 400),
        ("since=0000", 400),
        ("since=9999-12-31T23:59:59%2B00:00", 200),
        ("after=x~1", 400),
        ("after=2026-11-24T12:00:00Z~99999999999999999999", 400),
        ("fuzzy=1&plate=AB*", 400),
        ("order=plate", 400),
    ],
)
def test_a_search_that_is_none_is_refused_with_the_field(box, query, status):
    query = query.replace(" ", "%20").replace("'", "%27")
    found, text, _ = box.ask(f"/api/v1/events?{query}")
    assert found == status
    if status == 400:
        assert json.loads(text)["error"].startswith(query.split("=")[0].replace("fuzzy", "plate"))
    else:
        assert json.loads(text)["events"] == []


def test_what_is_no_form_is_refused_and_logged_once(box, logs):
    token = box.csrf()
    assert box.ask("/lists", "{}", Content_Type="application/json")[0] == 415
    assert box.ask("/lists", "x=%ff%fe", Content_Type=FORM)[0] == 400
    assert box.ask("/lists", "&".join(f"a{n}=1" for n in range(500)), Content_Type=FORM)[0] == 400
    assert box.ask("/lists", f"csrf={token}&note=" + "x" * 2_100_000, Content_Type=FORM)[0] == 413
    assert box.ask("/lists", method="DELETE")[0] == 405
    assert [entry["event"] for entry in logs].count("request refused") == 1


def test_who_leaves_in_the_middle_of_a_form_is_no_fault_of_ours(locked, logs):
    head = f"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\n"
    with socket.create_connection(("localhost", locked.config.web.port)) as client:
        client.sendall(f"{head}Content-Length: 100\r\n\r\npassword=".encode())
        time.sleep(0.2)
        logs.clear()
    until(lambda: logs, 5)
    assert [entry["event"] for entry in logs] == ["request refused"]


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "a' OR 1=1", "../x", "a/b", ""])
def test_a_camera_has_no_name_that_could_do_harm(tmp_path, name):
    text = CONFIG.format(port=free_port()).replace('"drive"', json.dumps(name))
    (tmp_path / "plateid.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"camera\[0\].name"):
        load_config(tmp_path / "plateid.toml")


@pytest.mark.parametrize("text", ["'; DROP TABLE event; --", "' OR '1'='1", "%' UNION SELECT 1"])
def test_texts_that_look_like_sql_are_texts(box, text):
    made = event(1, plate=text, plate_display=text, camera="drive", list=ListMatch(text, "deny", 0))
    box.store.append(made)
    box.list_file.write_text(f'plate,list,name,note\nAB12,allow,"{text}","{text}"\n')
    for path in ("/events", f"/events/{made.id}", "/lists", "/review"):
        assert box.ask(path)[0] == 200
    found = json.loads(box.ask("/api/v1/events?listed=deny")[1])["events"]
    assert [each["list"]["name"] for each in found] == [text]
    assert len(json.loads(box.ask("/api/v1/events?limit=500")[1])["events"]) == 71


def test_texts_that_look_like_scripts_are_texts(box, browser):
    late = {"camera": "drive", "first_seen": NOON + timedelta(days=1)}
    made = event(1, plate="XSS1", plate_display=EVIL, plate_raw=EVIL, **late)
    box.store.append(made)
    box.list_file.write_text(
        'plate,list,name,note\nAB12,allow,"' + EVIL.replace('"', '""') + '",=1\n'
    )
    browser.get(box.address)
    wait(browser, lambda: texts(browser, "#latest .plate"))
    box.server.publish(event(2, plate_display=EVIL, camera="drive"))
    wait(browser, lambda: texts(browser, "#latest .plate")[0] == EVIL)
    for path in ("/events", f"/events/{made.id}", "/lists"):
        browser.get(box.address + path)
        assert browser.title != "hacked"
        assert any(EVIL in text for text in texts(browser, "main"))


def test_a_spreadsheet_gets_no_formula(box):
    box.store.append(event(1, list=ListMatch('=HYPERLINK("http://evil")', "watch", 0)))
    assert "\"'=HYPERLINK(" in box.ask("/events.csv")[1]


@pytest.mark.parametrize(
    "cells",
    [
        {"plate": "", "list": "allow"},
        {"plate": "Ü 1", "list": "allow"},
        {"plate": "AB12", "list": "friends"},
        {"plate": "AB12", "list": "allow", "cameras": "roof"},
        {"plate": "AB12", "list": "allow", "valid_to": "soon"},
        {"plate": "AB12", "list": "allow", "note": "a\nEVIL,allow"},
        {"plate": "AB12", "list": "allow", "row": "99"},
        {"plate": "AB12", "list": "allow", "row": "x"},
    ],
)
def test_a_row_that_is_wrong_leaves_the_list_as_it_is(box, cells):
    before = box.list_file.read_text()
    page = box.ask("/lists")[1]
    state = page.split('name="state" value="')[1].split('"')[0]
    form = {"csrf": box.csrf(), "state": state, "do": "save"} | cells
    status, text, _ = box.ask("/lists", form)
    assert status == 400
    assert 'role="alert"' in text
    assert box.list_file.read_text() == before


def test_a_list_of_a_spreadsheet_behind_a_link_is_changed_where_it_lies(box):
    elsewhere = box.folder / "share.csv"
    elsewhere.write_text("\ufeff# ours\nplate;list\nXY99ZZ;deny\n")
    box.list_file.unlink()
    box.list_file.symlink_to(elsewhere)
    page = box.ask("/lists")[1]
    assert "XY99ZZ" in page
    state = page.split('name="state" value="')[1].split('"')[0]
    form = {"csrf": box.csrf(), "state": state, "do": "save", "plate": "AB12", "list": "allow"}
    assert box.ask("/lists", form)[0] == 303
    assert box.list_file.is_symlink()
    assert elsewhere.read_text() == "\ufeff# ours\nplate;list\nXY99ZZ;deny\nAB12;allow\n"


def test_a_list_that_somebody_else_changed_meanwhile_is_not_overwritten(box):
    page = box.ask("/lists")[1]
    state = page.split('name="state" value="')[1].split('"')[0]
    box.list_file.write_text("plate,list\nXY99ZZ,deny\n")
    form = {"csrf": box.csrf(), "state": state, "do": "save", "row": "1", "plate": "KX73LPX"}
    status, text, _ = box.ask("/lists", form)
    assert (status, "XY99ZZ" in text) == (400, True)
    assert "KX73LPX" not in text, "a second press must not put it in the place of another row"
    assert "<h2>Add a plate</h2>" in text
    assert "XY99ZZ" in box.list_file.read_text()


def test_a_history_that_cannot_be_read_is_not_an_empty_one(box):
    box.config.store.path.rename(box.folder / "gone")
    assert "The event store cannot be read" in box.ask("/")[1]
    assert "The event store cannot be read" in box.ask("/start")[1]
    lists = box.ask("/lists")[1]
    assert ">Unknown</td>" in lists
    assert ">Never</td>" not in lists


def test_a_few_events_that_wait_for_long_are_not_on_their_way(box):
    outbox = outbox_of(box.store)
    outbox.remove([each.event.id for each in outbox.pending(1000)][3:])
    with box.store.transaction() as db:
        db.execute("UPDATE delivery SET queued_at = unixepoch()")
    assert "The MQTT broker has all events" in box.ask("/start")[1]
    assert 'class="ok">Up to date' in box.ask("/")[1]
    with box.store.transaction() as db:
        db.execute("UPDATE delivery SET queued_at = queued_at - 60")
    assert "Events wait for the MQTT broker" in box.ask("/start")[1]
    assert 'class="bad">3 events waiting' in box.ask("/")[1]


def test_without_a_clock_nobody_knows_how_long_events_wait(box):
    outbox = outbox_of(box.store)
    outbox.remove([each.event.id for each in outbox.pending(1000)][3:])
    with box.store.transaction() as db:
        db.execute("UPDATE delivery SET queued_at = NULL")
    assert 'class="unknown">Unknown' in box.ask("/")[1]
    outbox = outbox_of(box.store)
    outbox.remove([each.event.id for each in outbox.pending(1000)])
    assert 'class="ok">Up to date' in box.ask("/")[1]


def test_what_was_drawn_is_shown_before_it_is_read_again(box):
    roi = "[[0.1,0.1],[0.9,0.1],[0.5,0.9]]"
    assert box.ask("/cameras/drive", {"csrf": box.csrf(), "roi": roi})[0] == 303
    page = html.unescape(box.ask("/cameras/drive?saved=1")[1])
    assert "[[0.1, 0.1], [0.9, 0.1], [0.5, 0.9]]" in page


def test_a_list_that_plateid_may_not_write_is_shown_and_it_is_said(box, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, _: path != box.folder)
    status, text, _ = box.ask("/lists")
    assert status == 200
    assert f"plateid cannot write {box.list_file}" in text
    assert "KX73LPH" in text
    assert 'action="/lists"' not in text


def test_of_two_who_change_a_list_at_once_one_is_told_and_the_other_saved(box, monkeypatch):
    page = box.ask("/lists")[1]
    state = page.split('name="state" value="')[1].split('"')[0]
    form = {"csrf": box.csrf(), "state": state, "do": "save", "list": "allow"}
    slow = os.fsync
    monkeypatch.setattr("os.fsync", lambda file: (time.sleep(0.2), slow(file)))
    plates = ("CC33CC", "DD44DD")
    with ThreadPoolExecutor(2) as pool:
        answers = [
            answer[0]
            for answer in pool.map(lambda p: box.ask("/lists", form | {"plate": p}), plates)
        ]
    assert sorted(answers) == [303, 400]
    written = box.list_file.read_text()
    assert [plate in written for plate in plates] == [answer == 303 for answer in answers]


@pytest.mark.parametrize(
    "view",
    [
        {"roi": "[[0,0],[2,0],[1,1]]"},
        {"roi": "[[0,0]]"},
        {"line": "[[0,0],[0,0]]"},
        {"masks": '"x"'},
        {"roi": "[" * 5000},
        {"roi": "NaN"},
    ],
)
def test_a_drawing_that_is_none_leaves_the_configuration_as_it_is(box, view):
    before = (box.folder / "plateid.toml").read_text()
    form = {"csrf": box.csrf()} | view
    assert box.ask("/cameras/drive", form)[0] == 400
    assert (box.folder / "plateid.toml").read_text() == before
    assert box.reloads == []


def test_the_command_line_sets_passwords_and_tokens(tmp_path):
    config = served(tmp_path, "")

    def run(*arguments, text=""):
        command = [sys.executable, "-m", "plateid", "web", *arguments, "-c", "plateid.toml"]
        return subprocess.run(
            command, cwd=tmp_path, input=text, capture_output=True, text=True, check=False
        )

    file = credentials_file(config.store.path)
    short = run("set-password", text="short\n")
    assert short.returncode == 1
    assert "8 to 256 characters" in short.stderr
    assert not file.exists()
    assert run("set-password", text=f"{PASSWORD}\n").returncode == 0
    assert run("set-password", "--viewer", text=f"{VIEWER}\n").returncode == 0
    token = run("new-token").stdout.strip()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert PASSWORD not in file.read_text()
    known = Access(file, needs_password=True)
    assert known.has_token(token)
    for password, role in ((PASSWORD, "admin"), (VIEWER, "viewer")):
        assert known.session(known.log_in(password, "a") or "").role == role
    assert run("set-password", "--remove").returncode == 0
    assert known.log_in(PASSWORD, "a") is None
