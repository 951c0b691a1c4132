"""`plateid run` with `[privacy]` and `[metrics]`: what is published and what is kept."""

import json
import re
from contextlib import closing

import pytest

from plateid.store.event_store import EventStore
from tests.app.test_app import finished, run
from tests.service.test_metrics import scraped
from tests.support.broker import Subscriber, free_port, until
from tests.support.samples import payloads
from tests.support.videos import write_video

PLATE = "AB12"


@pytest.fixture
def config(tmp_path, bundle, started_broker):
    write_video(tmp_path / "video.mp4", count=45)
    (tmp_path / "box").mkdir()
    (tmp_path / "plates.csv").write_text("plate,list,name\n")
    file = tmp_path / "plateid.toml"
    file.write_text(
        f"""
device = "box"
models.bundle = "{bundle}"
mqtt.port = {started_broker.port}
store.path = "box/events.sqlite3"
lists.file = "plates.csv"
logfile = {{csv = "box/log.csv", jsonl = "box/log.jsonl"}}
privacy = {{unlisted = "hash", listed = "drop"}}

[[camera]]
name = "gate"
url = "video.mp4"
"""
    )
    return file


@pytest.mark.parametrize("listed", [False, True])
def test_subscribers_get_plates_that_the_device_does_not_keep(config, started_broker, listed):
    if listed:
        (config.parent / "plates.csv").write_text(f"plate,list,name\n{PLATE},allow,Ana\n")
    with closing(Subscriber(started_broker.port)) as subscriber:
        code, errors = finished(run(config))
        assert code == 0, errors
        events = subscriber.events("/event")
    assert [event["plate"] for event in events] == [PLATE, PLATE]
    with closing(EventStore(config.parent / "box" / "events.sqlite3")) as store:
        kept = {json.loads(payload)["plate"] for payload in payloads(store)}
    lines = (config.parent / "box" / "log.jsonl").read_text().splitlines()
    logged = {json.loads(line)["plate"] for line in lines}
    said = set(re.findall(r'plate=(?:"")?(\S*)', errors))
    assert kept == logged == said
    (plate,) = kept
    assert bool(re.fullmatch("" if listed else "[0-9A-F]{32}", plate))
    for file in (path for path in (config.parent / "box").rglob("*") if path.is_file()):
        assert PLATE.encode() not in file.read_bytes().replace(plate.encode(), b""), file
    assert PLATE not in errors.replace(plate, "")


def test_metrics_count_frames_inferences_and_events_without_plates(config):
    port = free_port()
    text = config.read_text().replace('"video.mp4"', '"video.mp4"\nloop = true')
    (config.parent / "plates.csv").write_text(f"plate,list,name\n{PLATE},allow,Ana\n")
    config.write_text(f"{text}\n[metrics]\nenabled = true\nport = {port}\n")
    process = run(config)
    until(lambda: "metrics server started" in process.stderr.readline())
    until(lambda: scraped(port)["plateid_events_total"][("gate", "plate_seen")] == 1)
    samples = scraped(port)
    process.terminate()
    code, errors = finished(process)
    assert code == 0, errors
    assert samples["plateid_camera_online"] == {("gate",): 1}
    frames = samples["plateid_frames_total"][("gate",)]
    dropped = samples["plateid_frames_dropped_total"][("gate",)]
    for stage in ("detector", "reader"):
        assert 0 < samples[f"plateid_{stage}_seconds_count"][("gate",)] <= frames - dropped
        assert samples[f"plateid_{stage}_seconds_sum"][("gate",)] > 0
    assert samples["plateid_output_events"].keys() == {("csv",), ("jsonl",)}
    assert PLATE not in str(samples)
    assert "Ana" not in str(samples)
