"""Crops, contact sheets and self-labels of a run, and its import into the histories."""

import json
from contextlib import closing
from pathlib import Path

import av
import psycopg
import pytest
from click.testing import CliRunner

from plateid.archive.search import events
from plateid.capture.images import read_image
from plateid.commands.main import main
from plateid.store.event_store import EventStore
from tests.support.archives import read_archive
from tests.support.sighted import FPS, Vehicle, write_street
from train.dataset.image_reading import read_tables


@pytest.fixture(scope="module")
def output(tmp_path_factory, sighted):
    folder = tmp_path_factory.mktemp("images")
    vehicles = [Vehicle(0, 1, speed=100), Vehicle(1, 7, y=56)]
    write_street(folder / "a b_20261124_091200.mp4", vehicles, [n / FPS for n in range(15 * FPS)])
    read_archive([folder], folder / "out", sighted, crops=True, labels=True)
    return folder / "out"


def test_each_pass_has_a_crop_in_the_sheet_of_its_day(output):
    sheet = next(output.glob("crops/*/index.html"))
    crops = [*sheet.parent.glob("*.jpg")]
    found = [json.loads(text) for text in events(output)]
    assert {each.stem for each in crops} == {each["pass_id"] for each in found}
    assert all(f"{each.name}" in sheet.read_text() for each in crops)
    assert min(read_image(each).width for each in crops) >= 48  # the width of a plate


def test_labels_are_a_data_set_of_the_trainer(tmp_path):
    with av.open("plateid/demo/demo.mp4") as demo, av.open(str(tmp_path / "a.mp4"), "w") as part:
        stream = part.add_stream_from_template(demo.streams.video[0])
        for packet in demo.demux(video=0):
            if packet.pts is not None and packet.pts * packet.time_base < 4:
                packet.stream = stream
                part.mux(packet)
    read_archive([tmp_path / "a.mp4"], tmp_path, Path("default"), fast=True, labels=True)
    images = read_tables([tmp_path / "labels"])
    assert {text for image in images for text in image.texts} == {"MM93LXN"}
    assert all(float(image.labels.row["confidence"]) >= 0.97 for image in images)


def imported(output, file):
    done = CliRunner().invoke(main, ["archive", "import", str(output), "-c", str(file)])
    assert done.exit_code == 0, done.output
    return done.output


def test_import_into_a_device_is_idempotent_and_sends_nothing(output, tmp_path):
    file, count = tmp_path / "plateid.toml", len([*events(output)])
    file.write_text(
        '[[camera]]\nname = "gate"\nurl = "rtsp://127.0.0.1/1"\n[store]\npath = "events.sqlite3"\n'
    )
    assert imported(output, file) == imported(output, file)
    with closing(EventStore(tmp_path / "events.sqlite3")) as store:
        assert (store.counts().events, store.counts().outbox) == (count, 0)


def test_import_into_a_hub_is_idempotent(output, tmp_path, database):
    file, wanted = tmp_path / "hub.toml", [json.loads(text) for text in events(output)]
    file.write_text(f'[database]\nurl = "{database.url}"\n')
    assert imported(output, file) == imported(output, file)
    with psycopg.connect(database.url) as db:
        rows = db.execute("SELECT camera, plate FROM event ORDER BY first_seen").fetchall()
    assert wanted
    assert rows == [("images0-a-b", each["plate"]) for each in wanted]
