"""`plateid run` with lists, rules, a webhook and log files, from a video to the events."""

import csv
import json
import subprocess
from collections.abc import Iterator
from contextlib import closing

import pytest

from plateid.store.sessions import Sessions
from tests.app.test_app import PLATEID, finished, run
from tests.support.broker import free_port, until
from tests.support.videos import write_video
from tests.support.web_server import WebServer

LIST = "plate,list,name\nA812,allow,Ana\n"


@pytest.fixture
def server() -> Iterator[WebServer]:
    with closing(WebServer()) as made:
        yield made


@pytest.fixture
def config(tmp_path, bundle, server):
    write_video(tmp_path / "video.mp4", count=45)
    (tmp_path / "plates.csv").write_text(LIST)
    file = tmp_path / "plateid.toml"
    file.write_text(
        f"""
models.bundle = "{bundle}"
mqtt.port = {free_port()}
lists.file = "plates.csv"
logfile.csv = "log.csv"
webhook = [{{name = "web", url = "http://127.0.0.1:{server.port}/"}}]

[[camera]]
name = "gate"
url = "video.mp4"
"""
    )
    return file


def test_event_is_matched_logged_and_sent_without_broker(config, server):
    code, errors = finished(run(config))
    assert code == 0, errors
    sent = [json.loads(post.body) for post in server.posts]
    assert [event["event_type"] for event in sent] == ["plate_seen", "plate_left"]
    assert {event["plate"] for event in sent} == {"AB12"}
    assert sent[0]["list"] == {"name": "Ana", "kind": "allow", "distance": 1}
    with (config.parent / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["plate"], row["list_name"]) for row in rows] == 2 * [("AB12", "Ana")]


def test_masked_plate_gives_no_event(config, server):
    mask = "masks = [[[0, 0], [1, 0], [1, 1], [0, 1]]]\n"
    config.write_text(config.read_text() + mask)
    code, errors = finished(run(config))
    assert code == 0, errors
    assert server.posts == []


def test_edited_list_is_read_again(config):
    config.write_text(config.read_text() + "loop = true\n")
    process = run(config)
    until(lambda: "camera online" in process.stderr.readline())
    (config.parent / "plates.csv").write_text("plate,list\nAB12,white\n")
    until(lambda: "lists refused" in (line := process.stderr.readline()) and "line 2: list" in line)
    (config.parent / "plates.csv").write_text(LIST.replace("allow", "deny"))
    until(lambda: "lists read" in process.stderr.readline())
    process.terminate()
    assert finished(process)[0] == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("plate,list\nAB12,white\n", "plates.csv: line 2: list: 'white' is not one of"),
        (None, "plates.csv: No such file or directory"),
    ],
)
def test_wrong_lists_are_one_line_and_an_exit_code(config, text, message):
    file = config.parent / "plates.csv"
    file.unlink()
    if text is not None:
        file.write_text(text)
    code, errors = finished(run(config))
    assert code == 2
    assert message in errors
    assert "Traceback" not in errors


def test_check_counts_listed_plates_and_tests_webhooks(config):
    text = config.read_text().replace('name = "web"', 'name = "web", secret_file = "nowhere"')
    config.write_text(text)
    command = [*PLATEID, "check", "-c", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    assert any(line.startswith("ok    lists") and "1 plate" in line for line in lines), lines
    assert any(line.startswith("FAIL  webhook web") and "nowhere" in line for line in lines), lines


def test_occupancy_is_published_and_follows_corrections(config, broker, subscriber):
    text = config.read_text().replace('name = "gate"', 'name = "gate"\nloop = true')
    port = text.split("mqtt.port = ")[1].split("\n")[0]
    occupancy = '\n[occupancy]\nenabled = true\ncapacity = 5\nentry = ["gate"]\nexit = ["yard"]\n'
    yard = '\n[[camera]]\nname = "yard"\nurl = "rtsp://127.0.0.1:1/"\n'
    config.write_text(text.replace(port, str(broker.port)) + yard + occupancy)
    process = run(config)
    none, one = {"inside": 0, "capacity": 5, "free": 5, "listed": {}}, {"inside": 1, "free": 4}
    until(lambda: [json.loads(text) for text in subscriber.texts("/occupancy")][:1] == [none])
    until(lambda: json.loads(subscriber.texts("/occupancy")[-1]).items() >= one.items())
    assert list(json.loads(subscriber.texts("/occupancy")[-1])["listed"]) == ["Ana"]
    sessions = Sessions(config.parent / "plateid.sqlite3")
    sessions.end(sessions.inside()[0].id)
    until(lambda: json.loads(subscriber.texts("/occupancy")[-1]) == none)
    process.terminate()
    assert finished(process)[0] == 0
