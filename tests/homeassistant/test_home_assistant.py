"""The program `hass` with a real broker: discovery, states, upgrade and restarts."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from plateid.config.outputs import HomeAssistantConfig
from plateid.core.ids import uuid7
from plateid.core.records import ListMatch
from plateid.outputs.discovery import DiscoveryPublisher
from plateid.outputs.mqtt import MqttPublisher
from plateid.outputs.mqtt_topics import MqttDevice
from plateid.store.event_store import EventStore
from tests.homeassistant.home_assistant import automation
from tests.homeassistant.program import Program
from tests.support.broker import Broker, until
from tests.support.samples import QUICK, event, make_health, outbox_of

PLATE = "event.gate_drive_plate"
WAIT_S = 120.0
ROUNDS = 1
"""Number of restarts of each: broker, plateid, Home Assistant."""
SUBSCRIBED_S = 3.0
"""Time after which Home Assistant has subscribed: entities are available before, seconds."""
pytestmark = pytest.mark.timeout(1500)


@dataclass
class Installation:
    """plateid's outputs with a store, a broker, Home Assistant with a gate, and who opened it."""

    folder: Path
    broker: Broker
    home: Program
    passes: int = 0
    _publisher: MqttPublisher | None = None
    _store: EventStore | None = None

    def start_plateid(self) -> None:
        self._store = EventStore(self.folder / "events.sqlite3")
        names = ("plateid", "gate", self._store.instance, ("drive",))
        device = MqttDevice(*names, True, True, True, "http://gate.local:8480", "tiny-2")
        config = HomeAssistantConfig()
        discovery = DiscoveryPublisher(config, device, self._store, list_names=lambda: ("Ana",))
        health = make_health(self._store, cameras=device.cameras, listed=["Ana"])
        self._publisher = MqttPublisher(
            self.broker.config,
            device,
            queue=outbox_of(self._store),
            discovery=discovery,
            health=health.to_json,
            backoff=QUICK,
        )
        self._publisher.set_camera_status("drive", online=True)
        self._publisher.set_disk_status(failed=False)
        self._publisher.set_occupancy('{"inside": 1, "free": 2, "listed": {"Ana": "x"}}')
        self._publisher.start()

    def stop_plateid(self) -> None:
        if self._publisher is not None and self._store is not None:
            self._publisher.stop(5)
            self._store.close()
            self._publisher = self._store = None

    def drive_through(self) -> str:
        """Publishes a pass of an allowed vehicle; returns its id."""
        assert self._publisher is not None
        assert self._store is not None
        now, pass_id = datetime.now(UTC), uuid7()
        self._publisher.set_snapshot("drive", b"jpeg")
        for kind in ("plate_seen", "plate_left"):
            self.passes += 1
            changes = {"camera": "drive", "device": "gate", "pass_id": pass_id, "event_type": kind}
            listed = {"list": ListMatch("Ana", "allow", 0), "first_seen": now, "last_seen": now}
            self._store.append(event(self.passes, **changes, **listed))
        self._publisher.notify()
        return pass_id

    def states(self) -> dict[str, Any]:
        """The states of plateid's entities, by entity id."""
        return {id_: each for id_, each in self.home.states().items() if ".gate_" in id_}

    def wait_for(self, entity: str, state: str) -> None:
        until(lambda: self.states().get(entity, {"state": ""})["state"] == state, WAIT_S)

    def wait_ready(self) -> None:
        """Waits until Home Assistant hears the events."""
        gone = {"state": "unavailable"}
        until(lambda: self.states().get(PLATE, gone)["state"] != "unavailable", WAIT_S)


@contextmanager
def installed(folder: Path) -> Iterator[Installation]:
    """Runs Home Assistant with a broker and a gate; plateid is not started."""
    data = {"pass_id": "{{ trigger.to_state.attributes.pass_id }}"}
    actions = [{"action": "shell_command.open_gate", "data": data}]
    gate = automation(
        "open-gate", plates=[PLATE], open_actions=actions, cooldown_s=0, max_age_s=300
    )
    with closing(Broker(folder)) as broker, closing(Program(folder / "config", gate)) as home:
        broker.options = f"persistence true\npersistence_location {folder}/"
        broker.start()
        home.start()
        home.set_up(broker.port)
        made = Installation(folder, broker, home)
        yield made
        made.stop_plateid()


@pytest.fixture(scope="module")
def installation(tmp_path_factory) -> Iterator[Installation]:
    with installed(tmp_path_factory.mktemp("home")) as made:
        yield made


@pytest.fixture
def plateid(installation) -> Iterator[None]:
    """plateid is running and Home Assistant hears it."""
    installation.start_plateid()
    installation.wait_ready()
    yield
    installation.stop_plateid()


@pytest.mark.usefixtures("plateid")
def test_devices_and_entities_have_their_states_without_any_complaint(installation):
    pass_id = installation.drive_through()
    home = installation.home
    for entity, state in (("sensor.gate_outbox", "0"), ("sensor.gate_drive_last_plate", "B68SPK")):
        installation.wait_for(entity, state)
    until(lambda: installation.states()[PLATE]["attributes"].get("event_type") == "plate_left")
    everything = installation.states()
    states = {id_: each["state"] for id_, each in everything.items()}
    changing = (PLATE, "image.gate_drive_snapshot", "sensor.gate_disk_free")
    assert all(states.pop(id_) not in ("unknown", "unavailable") for id_ in changing)
    for depends in ("sensor.gate_temperature", "sensor.gate_ana_last_seen"):
        assert states.pop(depends) != "unavailable"
    assert states == {
        "sensor.gate_drive_last_plate": "B68SPK",
        "binary_sensor.gate_drive_camera": "on",
        "sensor.gate_drive_reads_per_minute": "0",
        "binary_sensor.gate_ana_inside": "on",
        "sensor.gate_vehicles_inside": "1",
        "sensor.gate_free_places": "2",
        "sensor.gate_outbox": "0",
        "binary_sensor.gate_clock": "off",
        "binary_sensor.gate_disk": "off",
        "update.gate_model_bundle": "on",
    }
    attributes = everything[PLATE]["attributes"]
    assert attributes["pass_id"] == pass_id
    assert not {"path", "candidates", "char_confidences"} & attributes.keys()
    assert everything["sensor.gate_disk_free"]["attributes"]["unit_of_measurement"] == "GB"
    devices = {each["name"]: each for each in home.ask("config/device_registry/list")}
    assert devices["Drive"]["via_device_id"] == devices["Gate"]["id"]
    for name, model in (("Gate", "Licence-plate reader"), ("Drive", "Camera")):
        assert devices[name]["model"] == model
        assert devices[name]["configuration_url"] == "http://gate.local:8480"
        assert devices[name]["sw_version"]
    repairs = [each["issue_id"] for each in home.ask("repairs/list_issues")["issues"]]
    assert repairs == ["deprecated_method"]  # of Home Assistant itself, when it comes from PyPI
    assert home.complaints() == []


def restart_broker(installation: Installation) -> None:
    installation.broker.kill()
    installation.wait_for(PLATE, "unavailable")
    installation.broker.start()


def restart_plateid(installation: Installation) -> None:
    installation.stop_plateid()
    installation.wait_for(PLATE, "unavailable")
    installation.start_plateid()


def restart_home_assistant(installation: Installation) -> None:
    installation.home.stop()
    installation.home.start()


@pytest.mark.usefixtures("plateid")
def test_gate_opens_once_for_each_pass_whatever_restarts(installation):
    expected = installation.home.opened()
    for _ in range(ROUNDS):
        for restart in (restart_broker, restart_plateid, restart_home_assistant):
            expected.append(installation.drive_through())
            until(lambda: len(installation.home.opened()) >= len(expected), WAIT_S)
            restart(installation)
            installation.wait_ready()
            time.sleep(SUBSCRIBED_S)
    expected.append(installation.drive_through())
    until(lambda: len(installation.home.opened()) >= len(expected), WAIT_S)
    time.sleep(2)  # a second opening would follow at once
    assert installation.home.opened() == expected
