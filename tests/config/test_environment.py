"""Environment variables set values of the configuration."""

from pathlib import Path

import pytest

from plateid.config.edit import (
    add_camera,
    camera_table,
    change_config,
    remove_camera,
    section,
    set_values,
)
from plateid.config.environment import KEYS
from plateid.config.load import load_config
from plateid.config.root import Config
from plateid.errors import ConfigError

FILE = '[[camera]]\nname = "Front-gate"\nurl = "rtsp://a"\ntimeout_s = 3.0\n\n[mqtt]\nport = 9\n'


@pytest.fixture
def file(tmp_path) -> Path:
    made = tmp_path / "plateid.toml"
    made.write_text(FILE)
    return made


@pytest.fixture
def variables(monkeypatch):
    def set_all(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"PLATEID_{name}", value)

    return set_all


def test_variables_have_priority_and_keep_the_rest_of_their_section(file, variables):
    variables(DEVICE="yard", MQTT_HOST="broker", WEB_ENABLED="true", EVENTS_REGIONS='["ro"]')
    config = load_config(file)
    assert (config.device, config.mqtt.host, config.mqtt.port) == ("yard", "broker", 9)
    assert (config.web.enabled, config.events.regions) == (True, ("ro",))


def test_variable_sets_the_address_of_a_camera_or_adds_one(file, variables):
    variables(CAMERA_FRONT_GATE="rtsp://b", CAMERA_YARD="rtsp://c")
    cameras = [(c.name, c.url, c.timeout_s) for c in load_config(file).camera]
    default = Config.model_validate({"camera": [{"name": "a", "url": "b"}]}).camera[0].timeout_s
    assert cameras == [("Front-gate", "rtsp://b", 3.0), ("yard", "rtsp://c", default)]


def test_empty_file_and_variables_are_a_configuration(file, variables):
    file.write_text("")
    variables(CAMERA_YARD="rtsp://c")
    assert [camera.name for camera in load_config(file).camera] == ["yard"]


def test_variable_with_file_reads_a_secret_but_keys_that_are_files_stay_paths(
    file, variables, tmp_path
):
    (tmp_path / "url").write_text("rtsp://user:secret@c\n")
    (tmp_path / "word").write_text("secret")
    secret = str(tmp_path / "url")
    variables(CAMERA_YARD_FILE=secret, MQTT_USERNAME_FILE=secret)
    variables(MQTT_PASSWORD_FILE="word")  # noqa: S106 - a path
    config = load_config(file)
    assert config.camera[1].url == config.mqtt.username == "rtsp://user:secret@c"
    assert config.mqtt.password_file == tmp_path / "word"


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ("MQTT_HOSST=a", "PLATEID_MQTT_HOSST: sets no key: did you mean PLATEID_MQTT_HOST?"),
        ("CAMERA_=a", "PLATEID_CAMERA_: sets no key"),
        ("MQTT_PORT=many", "{file}: PLATEID_MQTT_PORT: mqtt.port: must be a whole number"),
        ("DEVICE=12", "{file}: PLATEID_DEVICE: device: must be text in quotes"),
        ("CAMERA_FRONT_GATE=[1]", "{file}: PLATEID_CAMERA_FRONT_GATE: camera[0].url: must be text"),
        ("CAMERA_YARD=", "{file}: PLATEID_CAMERA_YARD: camera[1].url: must not be empty"),
        ("CAMERA_A_FILE=rtsp://u:p@h/", "PLATEID_CAMERA_A_FILE: No such file or directory"),
        ("DEVICE_FILE=/nowhere", "PLATEID_DEVICE_FILE: /nowhere: No such file or directory"),
    ],
)
def test_wrong_variable_is_one_error_that_names_it(file, variables, variable, message):
    name, _, value = variable.partition("=")
    variables(**{name: value})
    with pytest.raises(ConfigError) as error:
        load_config(file)
    assert str(error.value).startswith(message.format(file=file))


@pytest.mark.parametrize("name", ["DEVICE", "CAMERA_YARD"])
def test_variable_beside_its_file_form_is_one_error_that_names_both(file, variables, name):
    variables(**{name: "a", f"{name}_FILE": "/nowhere"})
    with pytest.raises(ConfigError) as error:
        load_config(file)
    both = f"PLATEID_{name}_FILE: PLATEID_{name} sets the same key: unset one of them"
    assert str(error.value) == both


def test_variables_of_kubernetes_for_a_service_named_plateid_are_ignored(file, variables):
    variables(SERVICE_HOST="10.0.0.1", PORT="tcp://10.0.0.1:8480", PORT_8480_TCP_PORT="8480")
    assert load_config(file).device == "plateid"


def test_web_ui_cannot_change_what_a_variable_sets(file, variables):
    variables(MQTT_HOST="broker", DEVICE="yard")

    def change(values: dict[str, object]) -> None:
        change_config(file, lambda document: set_values(section(document, "mqtt"), values))

    change({"host": "broker", "port": 10})
    with pytest.raises(ConfigError, match=r"mqtt\.host: the variable PLATEID_MQTT_HOST sets it"):
        change({"host": "other", "port": 11})
    assert load_config(file).mqtt.port == 10


def test_web_ui_cannot_change_the_address_of_a_camera_that_a_variable_sets(file, variables):
    variables(CAMERA_FRONT_GATE="rtsp://b", CAMERA_YARD="rtsp://c")

    def set_camera(**values: object) -> None:
        change_config(file, lambda made: set_values(camera_table(made, "Front-gate"), values))

    set_camera(loop=True)
    added = {"name": "Yard", "url": "rtsp://d"}
    for change, name in (
        (lambda: set_camera(url="rtsp://d"), "FRONT_GATE"),
        (lambda: change_config(file, lambda made: remove_camera(made, "Front-gate")), "FRONT_GATE"),
        (lambda: change_config(file, lambda made: add_camera(made, added)), "YARD"),
    ):
        with pytest.raises(ConfigError, match=f"the variable PLATEID_CAMERA_{name} sets it"):
            change()
    first, _ = load_config(file).camera
    assert (first.url, first.loop) == ("rtsp://b", True)


def test_device_that_a_variable_sets_cannot_be_changed(file, variables):
    variables(DEVICE="yard")
    with pytest.raises(ConfigError, match="device: the variable PLATEID_DEVICE sets it"):
        change_config(file, lambda document: set_values(document, {"device": "gate"}))


def test_every_variable_sets_its_own_key():
    assert len(set(KEYS.values())) == len(KEYS) > 70
