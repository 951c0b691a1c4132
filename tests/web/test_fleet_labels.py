"""Labels of a fleet: offered by devices, given on the hub in Chromium, taken by the trainer."""

import base64
import json
import re
import subprocess
import sys
import urllib.request
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
from click.testing import CliRunner
from selenium.webdriver import Keys

from plateid.commands.main import main
from plateid.config.load import load_config
from plateid.core.records import Snapshot
from plateid.hub.database import connect
from plateid.hub.purge import purge_plate, traces
from plateid.store.audit_log import AuditLog
from plateid.store.event_store import EventStore
from plateid.store.label_export import GREY
from plateid.store.labels import Label, Labels
from plateid.store.snapshot_files import SnapshotFiles
from plateid.store.snapshots import encoded
from plateid.web.credentials import (
    Credentials,
    Token,
    credentials_file,
    hash_token,
    write_credentials,
)
from tests.support.broker import until
from tests.support.fleets import insert_events
from tests.support.histories import with_plate
from tests.web.browser import find, press, serious_issues, texts, wait
from tests.web.conftest import TOKEN
from tests.web.test_fleet import make_hub  # noqa: F401 - a fixture

TRAINER = Path(__file__).parents[2] / ".venv-train" / "bin" / "python"
GATHER = """
import sys
import urllib.request
from pathlib import Path
from train.learn.gather import Sources, gather
from train.train_error import TrainError
token, *urls = sys.argv[1:]
for number, url in enumerate(urls):
    (work := Path(token).parent / f"work{number}").mkdir()
    try:
        print(*sorted(each.texts[0] for each in gather(Sources((), (url,), Path(token)), work)))
    except TrainError as error:
        print(error)
"""
CONFIG = """
device = "new"
[store]
path = "gate.sqlite3"
[web]
enabled = false
[[camera]]
name = "gate"
url = "rtsp://127.0.0.1:1/none"
"""
LABELS = "SELECT id::text, verdict, text, jpeg FROM label"


def rows(hub, query=LABELS):
    with connect(hub.config.database, purpose="test") as db:
        return db.execute(query).fetchall()


def fill(store, file, frame, plates):
    """Stores an event of each plate; the snapshot of the last one hides it."""
    now, files, image = (
        datetime.now(UTC),
        SnapshotFiles(file),
        encoded(frame.image.resized(1280, 720), 90),
    )
    for number, plate in enumerate(plates, 1):
        made = with_plate(number, plate.text, device="one", box=plate.box, confidence=0.5)
        made = replace(made, pass_id=made.id, first_seen=now, last_seen=now)
        made = replace(made, char_confidences=(0.5,) * len(plate.text), list=None)
        kept = files.add(made.id, image, hidden=number == len(plates))
        made = replace(made, event_type="plate_left", snapshot=kept)
        store.append(made)
        yield made


def test_plates_of_a_device_are_reviewed_on_the_hub_and_learned_from(hub, tmp_path, browser, scene):
    file = tmp_path / "plateid.toml"
    file.write_text(CONFIG)
    _, page = hub.post("/devices", do="enrol", device="one")
    code = re.search(r'<code id="code">.* (\S+)</code>', page)[1]
    assert CliRunner().invoke(main, ["enrol", "-c", str(file), hub.address, code]).exit_code == 0
    hub.post("/devices", do="place", device="one", site="north", groups="trucks")
    store_file = load_config(file).store.path
    with closing(EventStore(store_file)) as store:
        labelled, offered, _ = made = [*fill(store, store_file, *scene)]
        Labels(store_file).add(Label(labelled.id, "plate", "AB12CDE", labelled.box))
    insert_events(hub.config.database, made)
    command = [sys.executable, "-m", "plateid", "run", "-c", str(file)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as device:
        try:
            until(lambda: len(rows(hub, f"{LABELS} WHERE jpeg IS NOT NULL")) == 2, 60)
        finally:
            device.terminate()
    (_, *label, jpeg), (id_, *task, _) = rows(hub, f"{LABELS} ORDER BY id")
    assert (label, id_, task) == (["plate", "AB12CDE"], offered.id, [None, ""])
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image[0, 0].tolist() == [GREY] * 3, "only the surroundings of the plate leave the device"
    browser.get(f"{hub.address}/review?group=trucks")
    assert serious_issues(browser) == []
    field = find(browser, "[name=text]")
    field.clear()
    field.send_keys("KX73LPH", Keys.ENTER)
    wait(browser, lambda: texts(browser, "#label-counts dd")[:1] == ["2"])
    assert "group=trucks" in browser.current_url
    press(browser, Keys.ALT, "z")
    wait(browser, lambda: texts(browser, "#label-counts dd")[:1] == ["1"])
    find(browser, "[name=text]").send_keys(Keys.ENTER)
    wait(browser, lambda: texts(browser, "#label-counts dd")[:1] == ["2"])
    assert AuditLog(hub.config.folder / "hub").find(offered.id)[0]["change"] == "label saved"

    token = Credentials(tokens={"learn": Token(hash_token(TOKEN))})
    write_credentials(credentials_file(hub.config.folder / "hub"), token)
    (tmp_path / "token").write_text(TOKEN)
    urls = [hub.address + group for group in ("", "?group=trucks", "/?group=north", "?group=hub")]
    command = [TRAINER, "-c", GATHER, tmp_path / "token", *urls]
    answers = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    *known, unknown = answers.splitlines()
    assert known == [" ".join(sorted(["AB12CDE", offered.plate]))] * 3
    assert "group: there is no site, group or device hub" in unknown
    with connect(hub.config.database, purpose="test") as db:
        assert traces(db, "AB12CDE") == 1
        assert purge_plate(db, "AB12CDE").events == 1
    assert [row[0] for row in rows(hub)] == [offered.id]


def test_device_sends_only_images_of_its_plates_that_the_hub_wants(hub):
    now = datetime.now(UTC)
    made = [
        replace(with_plate(n, f"AB{n}", device=name), first_seen=now, snapshot=Snapshot(kept, "0"))
        for n, (name, kept) in enumerate(
            [("one", "a.jpg"), ("one", "a-hidden.jpg"), ("two", "a.jpg")]
        )
    ]
    insert_events(hub.config.database, made)
    with connect(hub.config.database, purpose="test") as db:
        db.execute("UPDATE device SET token_sha256 = %s WHERE name = 'one'", (hash_token(TOKEN),))

    def send(**values):
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
        address, body = f"{hub.address}/api/v1/labels", json.dumps(values).encode()
        return hub._answer(urllib.request.Request(address, body, headers))  # noqa: S310 - loopback

    until(lambda: send() == (200, "[]"))
    own, hidden, other = (each.id for each in made)
    label = {"verdict": "plate", "text": "AB1", "box": [1, 2, 3, 4]}
    labels = [label | {"id": id_} for id_ in (own, hidden, other)]
    assert send(labels=labels, offered=[hidden, other]) == (200, json.dumps([own]))
    images = dict.fromkeys((own, hidden, other), base64.b64encode(b"1").decode())
    for _ in range(2):
        assert send(images=images) == (200, "[]")
        images[own] = base64.b64encode(b"2").decode()
    with connect(hub.config.database, purpose="test") as db:
        assert db.execute("SELECT id::text, jpeg FROM label").fetchall() == [(own, b"1")]
    hub.server._fleet.history.labels.remove(own)  # undone on the hub
    assert send(labels=labels[:1]) == (200, "[]")
    assert rows(hub) == [(own, None, "", b"1")]
    lies = ({"text": "\0"}, {"text": "a" * 99}, {"box": [1]}, {"box": [1e9] * 4}, {"verdict": "x"})
    for lie in (*lies, {"id": "x"}, {"box": [float("nan")] * 4}):
        assert send(labels=[label | {"id": own} | lie])[0] == 400, lie
    assert send(offered=["x"])[0] == 400
    assert send(labels="[" * 10_000)[0] == 400
