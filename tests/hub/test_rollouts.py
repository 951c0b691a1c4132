"""Bundles in waves: a real hub, broker and PostgreSQL, and links of devices with real bundles."""

import itertools
import json
import re
from contextlib import ExitStack

import psycopg
import pytest
from click.testing import CliRunner

from plateid.bundles import trial
from plateid.bundles.install import pack_bundle
from plateid.commands.main import main
from plateid.config.hub import HubConfig, HubMqttConfig
from plateid.config.service import WebConfig
from plateid.fleet_link import link_folder
from plateid.hub import server
from plateid.hub.purge import ARCHIVE_AGE, drop_old
from plateid.hub.rollouts import START
from plateid.models import bundle
from tests.hub.test_ingest import ingesting
from tests.support.broker import free_port, until
from tests.support.fleets import LinkedDevice, ServedHub, linked_device, served_hub
from tests.support.packed import write_keys, write_packed

WAIT_S = 60
ALERTS = """
    SELECT device, alert_change(device, kind, 'started') ->> 'reason' FROM alert
    WHERE kind = 'rollout'"""
ENDED = "SELECT state, reason FROM rollout_device WHERE rollout = 2 AND wave = 1"

VALUES = {"target": "", "trial_minutes": 1, "hold_h": 0, "max_errors": 0} | {
    "bundle": "new",
    "version": 1,
    "sha256": "",
    "signature": "",
    "archive": b"tar",
}


@pytest.fixture
def config(tmp_path, started_broker, database, monkeypatch):
    """A hub with signed bundles, whose devices decide at once."""
    monkeypatch.setattr(trial, "MIN_READS", 0)
    monkeypatch.setattr(server, "ROLLOUTS_S", 0.2)
    monkeypatch.setattr(server, "ALERTS_S", 0.2)
    key = write_keys(tmp_path, "ours")
    made = HubConfig(
        database=database,
        folder=tmp_path / "hub",
        trusted_keys=tmp_path / "trusted",
        mqtt=HubMqttConfig(port=started_broker.port),
        web=WebConfig(port=free_port()),
    )
    (tmp_path / "hub.toml").write_text(
        f'trusted_keys = "trusted"\n[database]\nurl = "{database.url}"\n'
    )
    for version, name in enumerate(("ancient", "old", "new"), 1):
        write_packed(tmp_path, key, name=name, header=f"version = {version}")
    with ingesting(made):
        yield made


def roll_out(config: HubConfig, name: str, *options: str) -> tuple[int, str]:
    folder = config.trusted_keys.parent
    command = ["hub", "rollout", str(folder / f"{name}.tar"), "-c", str(folder / "hub.toml")]
    done = CliRunner().invoke(main, [*command, "--trial", "0.001", "--hold", "0.0001", *options])
    return done.exit_code, done.output


def select(config: HubConfig, query: str) -> list[tuple]:
    with psycopg.connect(config.database.url) as db:
        return db.execute(query.encode()).fetchall()


def state(config: HubConfig) -> str:
    return select(config, "SELECT state FROM rollout ORDER BY id DESC LIMIT 1")[0][0]


class Fleet:
    """Three devices, whose main threads work while a test waits."""

    def __init__(self, devices: list[LinkedDevice]) -> None:
        self.devices = devices
        self.seen: set[tuple[str, ...]] = set()

    def until(self, is_so) -> None:
        def step() -> bool:
            for device in self.devices:
                device.step()
            self.seen.add(self.bundles)
            return is_so()

        until(step, WAIT_S)

    @property
    def bundles(self) -> tuple[str, ...]:
        return tuple(sorted(device.bundle for device in self.devices))


def linked(stack: ExitStack, config: HubConfig, hub) -> Fleet:
    folder = config.trusted_keys.parent
    names = ("one", "two", "three")
    fleet = Fleet([stack.enter_context(linked_device(folder, hub, name)) for name in names])
    fleet.until(
        lambda: (
            select(config, "SELECT count(*) FROM device WHERE health_at > '-infinity'") == [(3,)]
        )
    )
    return fleet


def seen(hub: ServedHub, device: LinkedDevice) -> tuple[int, int]:
    """What a device gets if it asks for the newest bundle, and the rollout that it knows."""
    token = (link_folder(device.store.path) / "token").read_text()
    headers = {"Authorization": f"Bearer {token}"}
    (digest,) = select(hub.config, "SELECT sha256 FROM rollout ORDER BY id DESC LIMIT 1")[0]
    status, _ = hub.get(f"/api/v1/bundles/{digest}", **headers)
    return status, json.loads(hub.get("/api/v1/desired", **headers)[1])["bundle"]["rollout"]


def reports(fleet: Fleet) -> set[tuple[int, str]]:
    """What the devices report of rollouts."""
    bundles = [device.link._reported.bundle for device in fleet.devices]
    return {(bundle.rollout, bundle.state) for bundle in bundles}


def test_bundle_reaches_all_in_waves_and_a_canary_that_fails_goes_back(config) -> None:
    with ExitStack() as stack:
        with served_hub(config) as hub:
            fleet = linked(stack, config, hub)
            code, output = roll_out(config, "old")  # with what the hub logs meanwhile
            assert (code, "rollout 1: old 2 to 3 devices\n" in output) == (0, True)
            assert "is still running" in roll_out(config, "new")[1]
            fleet.until(lambda: fleet.bundles == ("", "", "old"))
        with served_hub(config) as hub:  # a restart in the middle
            fleet.until(lambda: state(config) == "done")
            assert fleet.bundles == ("old", "old", "old")
            assert ("", "old", "old") in fleet.seen, "wave after wave"
            code, output = roll_out(config, "ancient")
            assert (code, "version 1 is older than 2, which a device has" in output) == (1, True)
            # the canary restarts during its hold, so wave 2 does not start
            assert roll_out(config, "new", "--errors", "0", "--hold", "1")[0] == 0
            (canary,) = select(
                config, "SELECT device FROM rollout_device WHERE rollout = 2 AND wave = 1"
            )
            (failing,) = [each for each in fleet.devices if each.file.stem == canary[0]]
            fleet.seen.clear()
            fleet.until(lambda: "new" in fleet.bundles)
            fleet.until(lambda: reports(fleet) == {(1, "installed"), (2, "installed")})
            (other, _) = (each for each in fleet.devices if each is not failing)
            assert seen(hub, other) == (404, 1), "a device of a later wave"
            uptimes = itertools.count(100, -1)

            def restarts() -> bool:
                failing.health["uptime_s"] = next(uptimes)
                return state(config) == "rolled back"

            fleet.until(restarts)
            fleet.until(lambda: ("rolled back", "by the hub") in select(config, ENDED))
            fleet.until(lambda: reports(fleet) == {(1, "installed")})
            fleet.until(lambda: select(config, ALERTS))
        assert fleet.seen == {("old", "old", "old"), ("new", "old", "old")}
        reason = select(config, "SELECT reason FROM rollout WHERE id = 2")
        why = f"wave 1: 1 of 1 devices failed, for example {canary[0]}: "
        assert reason[0][0].startswith(why)
        assert select(config, ALERTS) == [("hub", f"rollout 2: {reason[0][0]}")]
        others = select(
            config, "SELECT state, wanted FROM rollout_device WHERE rollout = 2 AND wave > 1"
        )
        assert others == [("waiting", None)] * 2


def test_rollout_says_that_devices_are_too_old_for_its_bundle(config, monkeypatch) -> None:
    folder = config.trusted_keys.parent
    spec = folder / "new-bundle/bundle.toml"
    spec.write_text(spec.read_text().replace("format = 1", "format = 2"))
    golden = [(folder / "street.png", "AB12")]
    pack_bundle(spec.parent, golden, key=folder / "ours.key", out=folder / "new.tar")
    with ExitStack() as stack:
        fleet = linked(stack, config, stack.enter_context(served_hub(config)))
        assert roll_out(config, "new")[0] == 0
        monkeypatch.setattr(bundle, "FORMATS", (1,))  # from now on, this is an old device
        fleet.until(lambda: state(config) == "rolled back")
        fleet.until(lambda: select(config, ALERTS))
        assert fleet.seen == {("", "", "")}
    ((hub, reason),) = select(config, ALERTS)
    expected = "rollout 1: wave 1: 1 of 1 devices failed, for example .*: failed: .*format 2; this"
    assert (hub, bool(re.match(expected, reason))) == ("hub", True), reason


@pytest.mark.parametrize(
    ("devices", "waves"), [(1, [1, 0, 0]), (2, [1, 1, 0]), (49, [1, 4, 44]), (1000, [20, 80, 900])]
)
def test_waves_have_two_and_ten_percent_and_all(database, devices, waves) -> None:
    query = "SELECT wave_of(place, %s) FROM generate_series(1, %s) AS place"
    with psycopg.connect(database.url) as db:
        found = [wave for (wave,) in db.execute(query, (devices, devices))]
    assert [found.count(wave) for wave in (1, 2, 3)] == waves
    assert found == sorted(found)


def test_rollout_ends_though_a_device_is_revoked_meanwhile(database) -> None:
    with psycopg.connect(database.url, autocommit=True) as db:
        db.execute("INSERT INTO device (name, token_sha256) VALUES ('one', '1'), ('two', '2')")
        db.execute(START, VALUES)
        db.execute("UPDATE rollout_device SET state = 'installed' WHERE wave = 1")
        db.execute("UPDATE device SET health_at = now() + interval '1 second'")
        assert db.execute("SELECT advance_rollouts()").fetchone() == ("rollout 1: wave 2 starts",)
        assert db.execute("SELECT advance_rollouts()").fetchone() is None
        db.execute("SELECT revoke_device(device) FROM rollout_device WHERE wave = 2")
        assert db.execute("SELECT advance_rollouts()").fetchone() == ("rollout 1 done",)


def test_rollout_has_a_number_that_no_device_has_reported(database) -> None:
    """After the database was restored from a backup."""
    report = json.dumps({"version": 1, "bundle": {"rollout": 7}})
    with psycopg.connect(database.url, autocommit=True) as db:
        db.execute("INSERT INTO device (name, token_sha256) VALUES ('one', '1')")
        for _ in range(2):
            db.execute("SELECT note_report('one', %s)", (report,))
        assert db.execute(START, VALUES).fetchone() == ("rollout 8: new 1 to 1 devices",)


def test_archive_is_kept_while_a_rollout_runs_and_for_a_time_after_it(database) -> None:
    with psycopg.connect(database.url, autocommit=True) as db:
        for number, name in enumerate(("one", "two", "three"), 1):
            db.execute("INSERT INTO device (name, token_sha256) VALUES (%s, %s)", (name, name))
            db.execute(START, VALUES | {"target": name})
            if name != "two":
                db.execute("SELECT end_rollout(%s, 'done', '')", (number,))
        db.execute(
            "UPDATE rollout_device SET state_at = now() - %s, wanted = 'install' WHERE rollout < 3",
            (ARCHIVE_AGE,),
        )
        list(drop_old(db, 365))
        assert db.execute("SELECT id FROM rollout WHERE archive = ''").fetchall() == [(1,)]
        wanted = db.execute("SELECT device FROM wanted_bundle ORDER BY 1").fetchall()
        assert wanted == [("three",), ("two",)]
