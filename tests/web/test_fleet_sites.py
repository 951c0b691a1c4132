"""What users of some sites see and change on a hub; its map; reads of other makers over HTTP."""

import io
import json
import urllib.request
import zipfile
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from plateid.core.drawing import encode_jpeg
from plateid.core.records import Snapshot
from plateid.hub.database import connect
from plateid.store.audit_log import AuditLog
from plateid.web.credentials import (
    Credentials,
    Token,
    User,
    credentials_file,
    hash_password,
    hash_token,
    write_credentials,
)
from tests.support.broker import Subscriber, until
from tests.support.fleets import insert_events
from tests.support.histories import with_plate
from tests.web.browser import find, log_in, serious_issues, texts, wait
from tests.web.conftest import PASSWORD, TOKEN
from tests.web.test_fleet import make_hub  # noqa: F401 - a fixture

NORTH, SOUTH = "north-1", "south-1"
JPEG = encode_jpeg(np.full((720, 1280, 3), 90, np.uint8), 80)


def write_users(hub):
    users = {
        "admin": User("admin", hash_password(PASSWORD)),
        "ana": User("operator", hash_password(PASSWORD), ("s",)),
    }
    tokens = {
        "read": Token(hash_token(TOKEN)),
        "post": Token(hash_token("post"), ("post_events",)),
        "south": Token(
            hash_token("south"), ("read_events", "read_images", "post_events"), None, ("s",)
        ),
    }
    write_credentials(credentials_file(hub.config.folder / "hub"), Credentials(users, tokens))


def offered(hub, number, device, plate):
    """Stores an event that its device has offered for review."""
    now = datetime.now(UTC)
    made = with_plate(number, plate, device=device, first_seen=now, last_seen=now)
    made = replace(made, pass_id=made.id, snapshot=Snapshot(f"2026/12/01/{made.id}.jpg", "0" * 64))
    insert_events(hub.config.database, [made])
    with connect(hub.config.database, purpose="test") as db:
        values = made.id, device, JPEG
        db.execute("INSERT INTO label (id, device, jpeg) VALUES (%s, %s, %s)", values)
    return made


def zipped(hub, path, **headers):
    headers = headers or {"Cookie": hub.cookie}
    request = urllib.request.Request(f"{hub.address}{path}", headers=headers)  # noqa: S310
    with urllib.request.urlopen(request) as answer:  # noqa: S310 - loopback
        return zipfile.ZipFile(io.BytesIO(answer.read())).namelist()


def test_operator_of_a_site_sees_and_changes_only_its_events(hub, started_broker, browser):
    north, south = offered(hub, 1, NORTH, "B68SPK"), offered(hub, 2, SOUTH, "KX73LPH")
    write_users(hub)
    with connect(hub.config.database, purpose="test") as db:
        conflict = '{"conflicts": ["B6 8SPK: deny on the device, allow on the hub"]}'
        db.execute("UPDATE device SET reported = %s::jsonb", (conflict,))
    log_in(browser, hub.address, PASSWORD, "ana")
    hub.cookie = f"plateid={browser.get_cookie('plateid')['value']}"
    for path in (  # searches, and pages of what they find
        "/events",
        "/events.csv",
        "/events.json",
        "/events?device=north-1",
        "/journeys?plate=B68SPK",
        "/api/v1/events",
        "/",
        "/?site=n",
        "/devices",
        "/map",
        "/review",
        "/lists",
    ):
        status, text = hub.get(path)
        assert status == 200, path
        assert north.id not in text, path
        assert "B6 8SPK" not in text, path
        assert "north-1" not in text or path.endswith("device=north-1"), path
    for path, status in (
        (f"/events/{north.id}", 404),
        (f"/events/{north.id}/snapshot.jpg", 404),
        (f"/events/{north.id}/crop.jpg", 404),
        (f"/events/{north.id}/vehicle.jpg", 404),
        (f"/api/v1/events/{north.id}", 404),
        (f"/events/{south.id}", 200),
        ("/events?site=n", 400),
        ("/review?group=n", 400),
        ("/review?group=north-1", 400),
        ("/review/labels.zip?group=n", 400),
        ("/lists.csv", 404),
        ("/people", 403),
        ("/people/changes", 403),
    ):
        assert hub.get(path)[0] == status, path
    _, page = hub.get("/review?group=s")
    assert "KX73LPH" in page
    label = {"verdict": "plate", "box": "562,413,649,436"}
    assert hub.post("/review", id=north.id, text="AAA", **label)[0] == 404
    assert hub.post("/review", id=south.id, text="KX73LPX", **label)[0] == 200
    with connect(hub.config.database, purpose="test") as db:
        db.execute(
            "UPDATE label SET verdict = 'plate', text = 'B1', box = '{1,1,9,9}' WHERE device = %s",
            (NORTH,),
        )
    for path in ("/review/labels.zip", "/review/labels.zip?group=s", "/api/v1/labels.zip"):
        assert zipped(hub, path) == [f"images/{south.id}.jpg", "labels.csv"]
    assert "KX73LPX" in hub.get("/events")[1], "the corrected text"
    south_token = {"Authorization": "Bearer south"}
    assert zipped(hub, "/api/v1/labels.zip", **south_token) == [
        f"images/{south.id}.jpg",
        "labels.csv",
    ]
    assert hub.get(f"/api/v1/events/{north.id}", **south_token)[0] == 404
    read = json.dumps({"plate": "AB1", "time": datetime.now(UTC).isoformat()})
    for device, status in ((NORTH, 403), (SOUTH, 204), ("unknown", 403)):
        assert post(hub, read, token="south", path=f"/api/v1/reads/{device}/gate")[0] == status  # noqa: S106
    for form in ({"do": "place", "device": SOUTH}, {"do": "locate", "site": "s", "at": "1, 2"}):
        assert hub.post("/devices", page=f"/events/{south.id}", **form)[0] == 403
    assert hub.post("/lists", do="create")[0] == 403
    browser.get(f"{hub.address}/?site=n")
    live = Subscriber(started_broker.port, "nothing")
    for number, (device, plate) in enumerate(((NORTH, "NEWN"), (SOUTH, "NEWS")), 3):
        seen = with_plate(number, plate, device=device, first_seen=datetime.now(UTC))
        live.publish(f"plateid/{device}/gate/event", seen.to_json())
    until(lambda: "NE WS" in texts(browser, "#latest .plate"))
    assert "NE WN" not in texts(browser, "#latest .plate")
    live.close()
    (entry, *_) = AuditLog(hub.config.folder / "hub").find(south.id)
    assert (entry["user"], entry["change"]) == ("ana", "label saved")


def test_map_shows_sites_at_their_coordinates_with_their_state(hub, browser):
    insert_events(hub.config.database, [with_plate(1, "B68SPK", device=NORTH)])
    insert_events(hub.config.database, [with_plate(2, "B68SPK", device=SOUTH)])
    with connect(hub.config.database, purpose="test") as db:
        db.execute("UPDATE device SET online = name = 'south-1'")
        db.execute("INSERT INTO alert (device, kind) SELECT * FROM fault ON CONFLICT DO NOTHING")
    browser.get(f"{hub.address}/map")
    assert texts(browser, "tbody td")[:4] == ["n", "Fault", "1", "Not set"]
    for site, at in (("n", "46.7712, 23.6236"), ("s", "44.4268, 26.1025")):
        for name, value in (("site", site), ("at", at)):
            find(browser, f"#locate [name={name}]").send_keys(value)
        find(browser, "#locate button").click()
        wait(browser, lambda at=at: at in texts(browser, "tbody td"))
    for lie in ("91, 0", "0, 181", "NaN, 0", "1", ""):
        status, page = hub.post("/devices", do="locate", site="s", at=lie)
        assert (status, "Latitude and longitude are degrees" in page) == (400, True), lie
    assert serious_issues(browser) == []
    north, south = browser.find_elements("css selector", "#map circle")
    assert (north.get_attribute("class"), south.get_attribute("class")) == (
        "site fault",
        "site online",
    )
    apart = {
        key: float(south.get_attribute(key)) - float(north.get_attribute(key))
        for key in ("cx", "cy")
    }
    assert apart["cx"] / apart["cy"] == pytest.approx(
        0.74, abs=0.01
    )  # 172 km east, 261 km south: 2.4789 cos 45.6
    link = find(browser, 'tbody a[href*="openstreetmap"]')
    assert "mlat=46.7712&mlon=23.6236" in link.get_attribute("href")
    write_users(hub)
    log_in(browser, hub.address, PASSWORD, "ana")
    browser.get(f"{hub.address}/map")
    assert [each.text for each in browser.find_elements("css selector", "#map text")] == ["s"]


def post(hub, body, token="post", path="/api/v1/reads/box/gate"):  # noqa: S107
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"{hub.address}{path}", body.encode(), headers)  # noqa: S310
    return hub._answer(request)


def test_read_of_another_maker_is_posted_and_stored_once_or_quarantined(hub):
    write_users(hub)
    now = datetime.now(UTC).isoformat()
    good = json.dumps({"plate": "AB12 CDE", "time": now, "confidence": 0.9, "region": "gb"})
    assert [post(hub, good) for _ in range(2)] == [(204, "")] * 2
    bad = {
        "[": "not JSON",
        '{"plate": "AB1"}': "a read needs plate and time",
        json.dumps({"plate": "AB1", "time": "2090-01-01T00:00:00Z"}): "of the future",
        json.dumps({"plate": "AB1", "time": now, "confidence": 7}): "out of schema: confidence",
    }
    for body, reason in bad.items():
        status, answer = post(hub, body)
        assert (status, reason in json.loads(answer)["error"]) == (400, True)
        post(hub, body)
    assert post(hub, good, token=TOKEN)[0] == 403
    assert post(hub, good, token="guessed")[0] == 401  # noqa: S106
    assert post(hub, good, path="/api/v1/reads/a b/gate".replace(" ", "%20"))[0] == 400
    assert post(hub, '"' + "x" * 70_000 + '"')[0] == 413
    with connect(hub.config.database, purpose="test") as db:
        stored = db.execute("SELECT device, camera, plate, payload FROM event").fetchall()
        counts = db.execute("SELECT messages FROM quarantine WHERE device = 'box'").fetchall()
    ((*names, payload),) = stored
    assert names == ["box", "gate", "AB12CDE"]
    assert payload["model"]["reader"] == "unknown"
    assert sorted(counts) == [(2,)] * 4
