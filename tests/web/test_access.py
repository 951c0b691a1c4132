"""Login sessions, tokens, and the requests that the guard refuses."""

import http.client
import json
import socket
import stat
import subprocess
import sys
import time
from contextlib import closing

import pytest

from plateid.store.audit_log import AuditLog
from plateid.web.access import Access
from plateid.web.credentials import credentials_file, read_credentials, write_credentials
from plateid.web.throttle import LoginError
from tests.support.broker import until
from tests.web.browser import find, log_in, screenshot, serious_issues, texts, wait
from tests.web.conftest import PASSWORD, TOKEN, VIEWER_PASSWORD, passwords, write_config

FORM = "application/x-www-form-urlencoded"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def event_stream(device, query="", **headers):
    connection = http.client.HTTPConnection("localhost", device.config.web.port, timeout=30)
    connection.request("GET", f"/stream/events{query}", headers={"Host": "localhost"} | headers)
    return closing(connection), connection.getresponse()


def test_without_login_only_the_login_page_is_served(locked):
    for path in ("/", "/events", "/lists", "/review", "/cameras/drive", "/events.csv", "/nothing"):
        status, _, headers = locked.request(path)
        assert (status, headers["Location"]) == (303, "/login"), path
    for path in ("/api/v1/events", "/api/v1/health", "/api/v1/openapi.json", "/api/"):
        assert locked.status(path) == 401, path
    assert locked.status("/lists", {"do": "save"}) == 401
    assert locked.status("/login") == locked.status("/static/style.css") == 200


def test_user_logs_in_and_out(locked, browser, screenshots):
    browser.get(locked.address)
    assert serious_issues(browser) == []
    screenshot(browser, screenshots / "web-login.jpg")
    log_in(browser, locked.address, PASSWORD)
    find(browser, ".logout button").click()
    wait(browser, lambda: texts(browser, "h1") == ["Log in"])
    browser.get(f"{locked.address}/events")
    assert texts(browser, "h1") == ["Log in"]


def test_forged_cookies_and_sessions_of_an_old_password_are_rejected(locked):
    cookie = locked.cookie(PASSWORD)
    assert locked.status("/lists", Cookie=cookie) == 200
    for forged in ("plateid=", "plateid=admin", "plateid=" + "A" * 5000, cookie[:-1], "x; " * 300):
        assert locked.status("/lists", Cookie=forged) in (303, 400), forged[:20]
    file = credentials_file(locked.config.store.path)
    time.sleep(0.01)
    changed = read_credentials(file).with_user("admin", passwords("another one")["admin"])
    write_credentials(file, changed)
    assert locked.status("/lists", Cookie=cookie) == 303


def test_stream_ends_with_its_session(locked):
    cookie = locked.cookie(PASSWORD)
    connection, answer = event_stream(locked, Cookie=cookie)
    with connection:
        assert answer.readline() == b"event: state\n"
        assert locked.status("/logout", {}, Cookie=cookie) == 303
        answer.read()  # blocks until the stream ends


@pytest.mark.parametrize(("after", "kind"), [("long-ago", b"reload"), ("", b"state")])
def test_stream_after_an_unknown_event_starts_with_reload(device, after, kind):
    connection, answer = event_stream(device, f"?after={after}")
    with connection:
        assert answer.readline() == b"event: " + kind + b"\n"


@pytest.mark.parametrize(
    ("page", "message", "selector"),
    [("/", "Log in", "h1"), ("/cameras/drive", "You are logged out", "#hints li")],
)
def test_page_shows_that_its_session_has_ended(locked, browser, page, message, selector):  # noqa: PLR0917
    log_in(browser, locked.address, PASSWORD)
    browser.get(locked.address + page)
    locked.request("/logout", {}, Cookie=f"plateid={browser.get_cookie('plateid')['value']}")
    wait(browser, lambda: message in " ".join(texts(browser, selector)), timeout_s=20)


def test_stream_without_a_session_is_no_page(locked):
    for path in ("/stream/events", "/stream/drive.mjpeg", "/cameras/drive/quality"):
        assert locked.status(path, Accept="text/event-stream") == 204, path
    assert locked.status("/stream/drive.jpg") == 204
    assert locked.status("/api/v1/events/stream", Accept="text/event-stream") == 401


def test_viewer_sees_everything_and_changes_nothing(locked):
    cookie, before = locked.cookie(VIEWER_PASSWORD), locked.list_file.read_text()
    status, text, _ = locked.request("/lists", Cookie=cookie)
    assert (status, 'value="save"' in text) == (200, False)
    for path in ("/lists", "/review", "/cameras/drive"):
        assert locked.status(path, {"csrf": "x", "do": "save"}, Cookie=cookie) == 403
    assert locked.list_file.read_text() == before


def test_token_reads_the_api_only(locked):
    status, text, _ = locked.request("/api/v1/events?plate=KX73LPH", **BEARER)
    assert status == 200
    assert {each["plate"] for each in json.loads(text)["events"]} == {"KX73LPH"}
    assert locked.status("/lists", **BEARER) == 303
    for wrong in ("Bearer", "Bearer x", "Basic token", "token"):
        assert locked.status("/api/v1/events", Authorization=wrong) == 401


def test_token_fetches_images(locked):
    found = json.loads(locked.request("/api/v1/events", **BEARER)[1])["events"]
    shown = next(each for each in found if each["snapshot"])
    for kind in ("snapshot", "crop"):
        path = f"/api/v1/events/{shown['id']}/{kind}.jpg"
        status, _, headers = locked.request(path, **BEARER)
        assert (status, headers["Content-Type"]) == (200, "image/jpeg")
        assert locked.status(path) == 401


def test_command_line_sets_passwords_and_tokens(tmp_path):
    def run(*arguments, text=""):
        command = [sys.executable, "-m", "plateid", "web", *arguments, "-c", "plateid.toml"]
        return subprocess.run(
            command, cwd=tmp_path, input=text, capture_output=True, text=True, check=False
        )

    file = credentials_file(write_config(tmp_path).store.path)
    short = run("set-password", text="short\n")
    assert (short.returncode, "8 to 256 characters" in short.stderr) == (1, True)
    assert not file.exists()
    assert run("set-password", text=f"{PASSWORD}\n").returncode == 0
    assert run("set-password", "--viewer", text=f"{VIEWER_PASSWORD}\n").returncode == 0
    token = run("new-token").stdout.strip()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert PASSWORD not in file.read_text()
    known = Access(file, needs_password=True)
    assert known.token_session(token).can("read_events")
    for password, role in ((PASSWORD, "admin"), (VIEWER_PASSWORD, "viewer")):
        assert known.log_in(password, "a")[1].role == role
    assert run("set-password", "--user", "ana", "--role", "operator", text=PASSWORD).returncode == 0
    assert run("set-password", "--user", "a b", text=PASSWORD).returncode == 1
    assert run("set-password", "--role", "operator", text=PASSWORD).returncode == 2
    assert known.log_in(PASSWORD, "a", "ana")[1].role == "operator"
    writes = run("new-token", "--name", "hotel", "--scope", "write_lists", "--days", "9")
    session = known.token_session(writes.stdout.strip())
    assert (session.user, session.scopes) == ("token hotel", {"write_lists"})
    changes = [entry["change"] for entry in AuditLog(tmp_path / "plateid.sqlite3").find("hotel")]
    assert changes == ["new token hotel (write_lists)"]
    assert run("set-password", "--remove").returncode == 0
    with pytest.raises(LoginError):
        known.log_in(PASSWORD, "a")


def test_forms_of_other_sites_or_without_csrf_token_are_rejected(device):
    form, before = device.list_form(plate="AB12CD", list="allow"), device.list_file.read_text()
    assert device.status("/lists", form, Origin="http://evil.example") == 403
    assert device.status("/lists", form, Sec_Fetch_Site="cross-site") == 403
    assert device.status("/lists", form | {"csrf": ""}) == 403
    assert device.status("/lists", form | {"csrf": "é" * 43}) == 403
    assert device.status("/lists", form | {"state": ""}) == 400
    assert device.list_file.read_text() == before


def test_without_password_only_local_host_names_are_served(device):
    assert device.status("/events", Host="evil.example") == 403
    assert device.status("/events", Host="localhost.evil.example:8480") == 403
    assert device.status("/events", Host=f"[::1]:{device.config.web.port}") == 200


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"])
def test_without_password_proxied_requests_are_rejected(device, header):
    assert device.status("/events", **{header: "192.0.2.1"}) == 403


def test_without_password_http_1_0_of_a_silent_proxy_is_rejected(device):
    with socket.create_connection(("127.0.0.1", device.config.web.port), timeout=10) as nginx:
        nginx.sendall(b"GET /events HTTP/1.0\r\nHost: localhost\r\n\r\n")
        assert nginx.recv(99).startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize("host", ["localhost/login?", "localhost/static/?", "x/api/v1/events?"])
def test_host_header_cannot_change_the_path(locked, host):
    assert locked.status("/events.csv", Host=host) == 303
    assert locked.status("/api/v1/events", Host=host) == 401
    assert locked.status("/events.csv", Host=host, **BEARER) == 303


def test_redirect_leads_to_no_other_host(locked):
    for path in (
        "/login/",
        "/events/",
        "//evil.example",
        "//evil.example/..",
        "/static",
        "/lists/",
    ):
        status, _, headers = locked.request(path, Host="evil.example")
        assert headers.get("Location", "/login") == "/login", (path, status)
    headers = locked.request("/login", {"password": PASSWORD}, Host="evil.example")[2]
    assert headers["Location"] == "/"


@pytest.mark.parametrize("path", ["//evil.example/x", "///evil.example/", "/javascript:alert(1)"])
def test_link_to_the_content_stays_on_the_page(device, path):
    status, text, _ = device.request(path)
    assert status == 404
    assert f'class="skip" href=".{path}?#main"' in text


def test_every_response_has_security_headers(device):
    for path in ("/", "/static/style.css", "/nothing", "/api/v1/events", "/events?plate=%27"):
        headers = device.request(path)[2]
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
def test_path_traversal_finds_no_file(device, path):
    assert device.status(path) in (404, 405)


def test_invalid_forms_are_rejected_and_logged_once(device, logs):
    token = device.hidden_field("csrf")
    many = "&".join(f"a{n}=1" for n in range(500))
    assert device.status("/lists", "{}", Content_Type="application/json") == 415
    assert device.status("/lists", "x=%ff%fe", Content_Type=FORM) == 400
    assert device.status("/lists", many, Content_Type=FORM) == 400
    assert (
        device.status("/review", f"csrf={token}&text=" + "x" * 2_100_000, Content_Type=FORM) == 413
    )
    assert device.request("/lists", method="DELETE")[0] == 405
    assert [entry["event"] for entry in logs].count("request refused") == 1


def test_interrupted_form_is_logged_as_refused(locked, logs):
    head = f"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\n"
    with socket.create_connection(("localhost", locked.config.web.port)) as client:
        client.sendall(f"{head}Content-Length: 100\r\n\r\npassword=".encode())
        time.sleep(0.2)
        logs.clear()
    until(lambda: logs, 5)
    assert [entry["event"] for entry in logs] == ["request refused"]
