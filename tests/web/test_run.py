"""`plateid run` with `[web]`: the page of a box that works."""

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
    write_video(tmp_path / "clip.mp4", count=45)
    file = tmp_path / "plateid.toml"
    broker, web = free_ports(2)
    file.write_text(
        f"""
device = "box"
models.bundle = "{bundle}"
mqtt.port = {broker}
store.path = "events.sqlite3"
web = {{enabled = true, port = {web}}}

[[camera]]
name = "gate"
url = "clip.mp4"   # again and again
loop = true
"""
    )
    return file


def ask(config, path, form=None):
    port = int(config.read_text().split("enabled = true, port = ")[1].split("}")[0])
    with closing(http.client.HTTPConnection("localhost", port, timeout=5)) as connection:
        body = form and urlencode(form)
        kind = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
        connection.request("POST" if form else "GET", path, body, kind)
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_what_the_camera_sees_is_on_the_page_and_a_drawing_is_in_force_at_once(config):
    config.write_text("\ufeff" + config.read_text())  # as some editors begin a file
    process = run(config)
    until(lambda: "web UI started" in process.stderr.readline(), 30)
    until(lambda: json.loads(ask(config, "/api/v1/events")[1])["events"], 30)
    (event,) = json.loads(ask(config, "/api/v1/events?plate=AB12&limit=1")[1])["events"]
    assert event["plate"] == "AB12"
    assert ask(config, f"/events/{event['id']}/snapshot.jpg")[1].startswith(b"\xff\xd8")
    assert ask(config, "/stream/gate.jpg")[1].startswith(b"\xff\xd8")
    token = ask(config, "/cameras/gate")[1].decode().split('name="csrf" value="')[1].split('"')[0]
    corner = [[0, 0], [0.01, 0], [0, 0.01]]
    assert ask(config, "/cameras/gate", {"csrf": token, "roi": json.dumps(corner)})[0] == 303
    until(lambda: "configuration reloaded" in process.stderr.readline(), 10)
    assert "# again and again" in config.read_text()
    assert b"0.01" in ask(config, "/cameras/gate")[1]
    process.terminate()
    started = time.monotonic()
    code, errors = finished(process)
    assert code == 0, errors
    assert time.monotonic() - started < 4
