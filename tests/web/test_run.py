"""`plateid run` with `[web]`: the web UI of the whole service."""

import http.client
import json
import time
from contextlib import closing
from urllib.parse import urlencode

import pytest

from tests.app.test_app import finished, run
from tests.support.broker import free_ports, until
from tests.support.videos import write_video


@pytest.fixture
def config(tmp_path, bundle):
    write_video(tmp_path / "video.mp4", count=45)
    file = tmp_path / "plateid.toml"
    broker, web = free_ports(2)
    file.write_text(
        f"""
device = "gate-1"
models.bundle = "{bundle}"
mqtt.port = {broker}
store.path = "events.sqlite3"
web = {{enabled = true, port = {web}}}

[[camera]]
name = "gate"
url = "video.mp4"   # forever
loop = true
"""
    )
    return file


def request(config, path, form=None):
    port = int(config.read_text().split("enabled = true, port = ")[1].split("}")[0])
    with closing(http.client.HTTPConnection("localhost", port, timeout=5)) as connection:
        body = form and urlencode(form)
        kind = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
        connection.request("POST" if form else "GET", path, body, kind)
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_web_ui_shows_events_and_a_drawing_is_applied_at_once(config):
    config.write_text("\ufeff" + config.read_text())  # the byte-order mark of some editors
    process = run(config)
    until(lambda: "web UI started" in process.stderr.readline(), 30)
    until(lambda: json.loads(request(config, "/api/v1/events")[1])["events"], 30)
    (event,) = json.loads(request(config, "/api/v1/events?plate=AB12&limit=1")[1])["events"]
    assert event["plate"] == "AB12"
    assert request(config, f"/events/{event['id']}/snapshot.jpg")[1].startswith(b"\xff\xd8")
    assert request(config, "/stream/gate.jpg")[1].startswith(b"\xff\xd8")
    token = (
        request(config, "/cameras/gate")[1].decode().split('name="csrf" value="')[1].split('"')[0]
    )
    corner = [[0, 0], [0.01, 0], [0, 0.01]]
    assert request(config, "/cameras/gate", {"csrf": token, "roi": json.dumps(corner)})[0] == 303
    until(lambda: "configuration reloaded" in process.stderr.readline(), 10)
    assert "# forever" in config.read_text()
    assert b"0.01" in request(config, "/cameras/gate")[1]
    process.terminate()
    started = time.monotonic()
    code, errors = finished(process)
    assert code == 0, errors
    assert time.monotonic() - started < 4
