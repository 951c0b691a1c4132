"""The web UI of a hub in Chromium, and devices that it manages: real broker, real PostgreSQL."""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from click.testing import CliRunner

from plateid.commands.main import main
from plateid.config.hub import HubConfig, HubMqttConfig
from plateid.config.load import load_config
from plateid.config.service import WebConfig
from plateid.fleet_link import HubError, fetch, link_folder
from plateid.hub.database import connect
from plateid.hub.desired import MasterList
from plateid.hub.history import FleetHistory
from plateid.hub.purge import purge_plate, traces, waiting
from plateid.store.audit_log import AuditLog
from plateid.store.history import History
from plateid.store.search import find_all
from plateid.store.search_query import Query
from plateid.web.credentials import (
    Credentials,
    User,
    credentials_file,
    hash_password,
    write_credentials,
)
from tests.support.broker import Subscriber, free_port, until
from tests.support.fleets import insert_events, linked_device, served_hub
from tests.support.histories import with_plate
from tests.support.samples import said
from tests.web.browser import find, log_in, serious_issues, texts, wait
from tests.web.conftest import PASSWORD

SOON_S = 5.0
"""Time in which a changed list is in force on all online devices, seconds."""


@pytest.fixture(name="hub")
def make_hub(tmp_path, started_broker, database):
    config = HubConfig(
        database=database,
        folder=tmp_path / "hub",
        mqtt=HubMqttConfig(port=started_broker.port),
        web=WebConfig(port=free_port()),
    )
    with served_hub(config) as served:
        yield served


def passes(count=1, **changes):
    now = datetime.now(UTC)
    for index in range(count):
        at = now - timedelta(minutes=10 * (count - index))
        made = with_plate(index + 1, **changes)
        yield replace(made, pass_id=made.id, first_seen=at, last_seen=at)


def test_fleet_is_searched_and_streamed_by_site(hub, started_broker, browser):
    config = hub.config.database
    insert_events(config, passes(3, plate="B68SPK", device="north-1"))
    insert_events(config, passes(1, plate="KX73LPH", device="south-1"))
    browser.get(f"{hub.address}/events?q=68S")
    assert texts(browser, ".passes .plate") == ["B6 8SPK"] * 3
    assert texts(browser, ".place")[0] == "north-1 · gate"
    browser.get(f"{hub.address}/events?site=s")
    assert texts(browser, ".passes .plate") == ["KX 73LPH"]
    assert serious_issues(browser) == []
    browser.get(f"{hub.address}/journeys?plate=b68spk")
    assert texts(browser, "h2")[0].endswith("1 device")
    browser.get(f"{hub.address}/?site=s")
    with closing(Subscriber(started_broker.port, "nothing")) as device:
        for name in ("north-1", "south-1"):
            (seen,) = passes(1, plate=f"NEW{name[0].upper()}", device=name)
            device.publish(f"plateid/{name}/gate/event", seen.to_json())
    wait(browser, lambda: "NE WS" in texts(browser, "#latest .plate"))
    assert "NE WN" not in texts(browser, "#latest .plate")
    status, text = hub.get("/events.csv?device=south-1")
    assert (status, text.count("\r\n")) == (200, 2)


def test_list_is_in_force_on_all_online_devices_within_seconds(hub, tmp_path, browser):
    own = "KX73LPH,deny\nB1ABC,allow\n"
    with (
        linked_device(tmp_path, hub, "one", own) as one,
        linked_device(tmp_path, hub, "two") as two,
    ):
        hub.post("/devices", do="place", device="one", site="north", groups="trucks")
        until(lambda: "trucks" in hub.get("/lists")[1] or hub.server._fleet.lives.names)
        browser.get(f"{hub.address}/lists")
        for name, value in (("plate", "KX73LPH"), ("name", "Ana")):
            find(browser, f"#edit [name={name}]").send_keys(value)
        find(browser, "#edit button[value=save]").click()
        saved_at = time.monotonic()
        until(lambda: one.match("KX73LPH") and one.lists.conflicts)
        until(lambda: two.match("KX73LPH") == "allow")
        assert time.monotonic() - saved_at < SOON_S
        assert one.match("KX73LPH") == "deny"  # the strictest of both is in force
        assert one.match("B1ABC") == "allow"
        until(lambda: "KX73LPH: deny on the device, allow on the hub" in hub.get("/devices")[1])
        hub.post("/lists", do="save", plate="TR1", list="watch", cameras="trucks")
        until(lambda: one.match("TR1") == "watch")
        assert two.match("TR1") == ""
    browser.get(f"{hub.address}/devices")
    assert serious_issues(browser) == []
    (newest, *_) = AuditLog(hub.config.folder / "hub").find("TR1")
    assert (newest["user"], newest["after"]) == ("admin", "TR1,watch,,,,,trucks")
    with linked_device(tmp_path, hub, "one", own) as back:  # it was away
        assert back.match("TR1") == "watch"
        hub.post("/lists", do="save", plate="TR2", list="watch")
        until(lambda: back.match("TR2") == "watch")


def test_unsigned_desired_state_is_refused(hub, started_broker, tmp_path, logs):
    with linked_device(tmp_path, hub, "one") as one:
        until(lambda: one.link.check() or one.link._reported.version)
        with connect(hub.config.database, purpose="test") as db:
            (sha,) = db.execute("SELECT sha256 FROM desired").fetchone()
        forged = {"device": "one", "version": 99, "sha256": sha, "url": hub.address}
        message = json.dumps({"desired": json.dumps(forged), "signature": "AAAA"})
        with closing(Subscriber(started_broker.port, "nothing")) as attacker:
            for lie in ('{"desired": 5, "signature": ""}', "[]", "[" * 50_000, message):
                attacker.publish("plateid/one/desired", lie)
            until(lambda: any(entry.get("what") == "hub" for entry in logs))
            assert one.link._reported.version < 99
            hub.post("/lists", do="save", plate="TR1", list="watch")
            until(lambda: one.match("TR1") == "watch")  # the link goes on


def test_lies_of_a_device_do_not_disturb_the_hub(hub, started_broker):
    with closing(Subscriber(started_broker.port, "nothing")) as liar:
        liar.publish("plateid/liar/status", "online", retain=True)
        until(lambda: ">liar</a>" in hub.get("/devices")[1])
        lies = (
            "[" * 100_000,
            '"text"',
            '{"conflicts": 5}',
            '{"failure": "\\u0000"}',
            "NaN",
            "\xff",
        )
        for lie in lies:
            liar.publish("plateid/liar/reported", lie)
        liar.publish("plateid/a b/status", "offline")
        liar.publish("plateid/liar/gate/snapshot", b"no image")
        liar.publish("plateid/liar/gate/snapshot", b"\xff\xd8\xff" + bytes(3_000_000))
        liar.publish("plateid/liar/status", "offline", retain=True)
        until(lambda: "Offline" in hub.get("/devices")[1] or "offline" in hub.get("/devices")[1])
        with connect(hub.config.database, purpose="test") as db:
            db.execute("""UPDATE device SET health = '{"clock_synced": [], "version": {}}'""")
            assert db.execute("SELECT name, reported FROM device").fetchall() == [("liar", None)]
            assert db.execute("SELECT count(*) FROM snapshot").fetchone() == (0,)
    assert hub.get("/devices")[0] == 200
    assert hub.get("/?site=made-up")[0] == 200
    assert not hub.server._fleet.lives._of_sites


def test_plate_is_purged_from_database_and_every_device(hub, tmp_path):
    config = hub.config.database
    insert_events(
        config,
        [*passes(2, plate="B68SPK", device="one"), *passes(1, plate="KX73LPH", device="one")],
    )
    insert_events(config, passes(1, plate="B68SPKX", device="one"))
    file = tmp_path / "hub.toml"
    file.write_text(f'folder = "{hub.config.folder}"\n[database]\nurl = "{config.url}"\n')
    audit = AuditLog(hub.config.folder / "hub")
    audit.add("ana", "list changed", after="B 68 SPK,watch")
    command = ["hub", "purge", "-c", str(file), "--plate", "B 68-SPK"]
    refused = CliRunner().invoke(main, [*command[:-1], "-"])
    assert (refused.exit_code, "needs a plate" in refused.output) == (2, True)
    with linked_device(tmp_path, hub, "one") as one, ThreadPoolExecutor(1) as pool:
        for event in passes(2, plate="B68SPK"):
            one.store.append(event)
        until(lambda: one.link.check() or one.link._reported.version)
        done = pool.submit(CliRunner().invoke, main, command)
        until(lambda: one.link.check() or done.done(), 60)
        assert "2 events deleted, 0 left in the database" in done.result().output
        assert "not confirmed yet: none" in done.result().output
        assert done.result().exit_code == 0
        newest, *_, listed = audit.find()
        assert (newest["change"], newest["details"]) == ("plate purged", "events: 2")
        assert listed["after"] == "purged"
        with connect(config, purpose="test") as db:
            assert traces(db, "KX73LPH") == 1
            until(lambda: db.execute("SELECT count(*) FROM purge").fetchone() == (0,))
        assert list(find_all(History(one.store.path), Query())) == []
        assert b"B68SPK" not in one.store.path.read_bytes()


def test_device_is_enrolled_once_by_a_command(hub, tmp_path):
    file = tmp_path / "plateid.toml"
    file.write_text('device = "old"\n[store]\npath = "gate.sqlite3"\n[web]\nenabled = true\n')
    old = tmp_path / "gate-hub"
    old.mkdir()
    (old / "reported.json").write_text('{"version": 99}')  # of another hub
    assert "hub is not the name" in hub.post("/devices", do="enrol", device="hub")[1]
    _, page = hub.post("/devices", do="enrol", device="gate-1")
    code = re.search(r'<code id="code">.* (\S+)</code>', page)[1]
    command = ["enrol", "-c", str(file), hub.address, code]
    done = CliRunner().invoke(main, command)
    assert (done.exit_code, done.output.endswith("enrolled as gate-1; restart plateid\n")) == (
        0,
        True,
    )
    made = load_config(file)
    assert (made.device, made.mqtt.port) == ("gate-1", hub.config.mqtt.port)
    folder = link_folder(made.store.path)
    secret = folder / "mqtt.key"
    assert not (folder / "reported.json").exists()
    assert secret.stat().st_mode & 0o077 == 0
    again = CliRunner().invoke(main, command)
    assert again.exit_code == 1
    assert "code: is wrong, used or expired" in again.output


def test_revoked_device_gets_nothing_and_its_certificate_is_listed(hub, tmp_path):
    with linked_device(tmp_path, hub, "one") as one:
        token = (one.link._folder / "token").read_text()
        until(lambda: hub.get("/api/v1/desired", Authorization=f"Bearer {token}")[0] == 200)
        assert hub.get("/events", Authorization=f"Bearer {token}")[0] == 200  # of loopback
        assert hub.get("/api/v1/events", Authorization=f"Bearer {token}")[0] == 403
        hub.post("/devices", do="revoke", device="one")
        assert hub.get("/api/v1/desired", Authorization=f"Bearer {token}")[0] == 401
        assert (hub.config.folder / "crl.pem").read_text().startswith("-----BEGIN X509 CRL")


def test_user_of_a_site_sees_only_its_events(hub, browser):
    insert_events(hub.config.database, passes(1, plate="B68SPK", device="north-1"))
    insert_events(hub.config.database, passes(1, plate="KX73LPH", device="south-1"))
    users = {
        "admin": User("admin", hash_password(PASSWORD)),
        "ana": User("operator", hash_password(PASSWORD), ("s",)),
    }
    write_credentials(credentials_file(hub.config.folder / "hub"), Credentials(users))
    log_in(browser, hub.address, PASSWORD, "ana")
    browser.get(f"{hub.address}/events")
    assert texts(browser, ".passes .plate") == ["KX 73LPH"]
    browser.get(f"{hub.address}/devices")
    assert texts(browser, "tbody td:first-child") == ["south-1"]
    hub.cookie = f"plateid={browser.get_cookie('plateid')['value']}"
    status, page = hub.get("/events?site=n")
    assert (status, "site: is none of yours" in page) == (400, True)
    assert hub.post("/lists", do="create")[0] == 403


def test_master_list_is_sent_as_it_is_or_refused(hub, logs, tmp_path):
    text = "plate,list,name,cameras\nAB1,allow,+40 721,\nAB2,deny,,north\n"
    assert MasterList(text).part_of(["one"]).splitlines()[1:] == ["AB1,allow,+40 721,,,"]
    assert MasterList(text).part_of(["one", "north"]).endswith("AB2,deny,,,,\n")
    hub.post("/lists", do="save", plate="TR1", list="watch")
    with linked_device(tmp_path, hub, "one") as one:
        until(lambda: one.match("TR1") == "watch")
        (hub.config.folder / "lists.csv").write_text('plate,list,note\nAB1,allow,"a\nb"\n')
        until(lambda: said(logs, "master list refused, devices keep theirs"))
        with connect(hub.config.database, purpose="test") as db:
            purge = purge_plate(db, "B68SPK")  # goes out nevertheless, as bundles do
            until(lambda: one.match("TR1") and not waiting(db, purge.id))
        assert one.match("TR1") == "watch"
    assert hub.get("/devices")[0] == 200
    hub.server._web.check()


def test_list_that_the_device_cannot_use_leaves_the_one_before(hub, tmp_path):
    with linked_device(tmp_path, hub, "one") as one:
        hub.post("/lists", do="save", plate="TR1", list="watch")
        until(lambda: one.match("TR1") == "watch")
        document = {"lists": "plate,list\nTR2,unheard\n", "purges": []}
        one.link._fetched.put(({"version": 98, "sha256": "x"}, document))
        assert one.match("TR1") == "watch"
        assert "unheard" in one.link._reported.failure
        one.lists.reload()  # as after a restart
        assert one.match("TR1") == "watch"


def test_redirect_does_not_get_the_token(tmp_path):
    class Redirect(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(302)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

    asked = []
    with HTTPServer(("127.0.0.1", 0), Redirect) as server, ThreadPoolExecutor(1) as pool:
        pool.submit(server.handle_request)
        with pytest.raises(HubError):
            fetch(f"http://127.0.0.1:{server.server_port}/", tmp_path, token="t")  # noqa: S106
    assert asked == ["/"]


def test_alert_is_sent_again_until_the_webhook_answers(hub, logs):
    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):
            got.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(500 if len(got) == 1 else 204)
            self.end_headers()

    got = []
    with HTTPServer(("127.0.0.1", 0), Hook) as server, ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: [server.handle_request() for _ in range(2)])
        url = f"http://127.0.0.1:{server.server_port}/geheim"
        until(lambda: hub.server._post(url, 1, {"alert": "disk"}) or len(got) == 2)
    assert got == [b'{"alert": "disk"}'] * 2
    assert "geheim" not in str(logs)


def test_search_goes_on_after_the_database_has_closed_connections(database):
    with closing(FleetHistory(database)) as history:
        assert history.select(Query(), 1) == []
        with connect(database, purpose="test") as db:
            db.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'plateid search' AND datname = current_database()"
            )
        assert history.select(Query(), 1) == []


@pytest.mark.usefixtures("hub")
def test_faults_of_devices_start_and_end_as_alerts(started_broker):
    with closing(Subscriber(started_broker.port, "plateid/hub/alert")) as heard:
        heard.publish("plateid/one/status", "offline", retain=True)
        until(lambda: heard.messages)
        first = json.loads(heard.messages[0].payload)
        assert {key: first[key] for key in ("device", "alert", "state")} == {
            "device": "one",
            "alert": "offline",
            "state": "started",
        }
