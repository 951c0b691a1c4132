"""The set-up on a device that runs: cameras, expected countries and the broker."""

import json
import socket
import time
import tomllib
from contextlib import closing

import pytest
from paho.mqtt.publish import single

from plateid.config.cameras import CameraConfig
from tests.web.conftest import VIEWER_PASSWORD
from tests.web.onvif_camera import OnvifCamera


def post(device, path, **form):
    """Posts a form with the token of the page."""
    return device.request(path, {"csrf": device.hidden_field("csrf", "/start")} | form)


def written(device):
    return tomllib.loads((device.folder / "plateid.toml").read_text())


def test_camera_is_added_renamed_and_removed_and_comments_stay(device):
    camera = {"name": "gate", "url": "rtsp://camera.local/third", "do": "save"}
    assert post(device, "/setup/camera", old="", **camera)[0] == 303
    assert post(device, "/setup/camera", **camera | {"old": "drive", "name": "road"})[0] == 303
    assert post(device, "/setup/camera", old="yard", do="remove")[0] == 303
    assert [each["name"] for each in written(device)["camera"]] == ["road", "gate"]
    assert "# my device" in (device.folder / "plateid.toml").read_text()
    assert (device.restarts, device.reloads) == (3, [])


def test_new_address_of_a_camera_needs_no_restart(device):
    camera = {"old": "drive", "name": "drive", "url": "/dev/video7", "size": "1280x720"}
    assert post(device, "/setup/camera", **camera)[0] == 303
    assert written(device)["camera"][0] == {
        "name": "drive",
        "url": "/dev/video7",
        "size": "1280x720",
    }
    assert (device.restarts, len(device.reloads)) == (0, 1)


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ({"name": "drive", "url": "x"}, "camera name used twice: drive"),
        ({"name": "a/b", "url": "x"}, "name: must be 1 to 64 letters, digits, - or _"),
        ({"name": "a", "url": ""}, "url: is missing"),
        ({"old": "roof", "name": "a", "url": "x"}, "no [[camera]] table named roof"),
        ({"old": "roof", "do": "remove"}, "no [[camera]] table named roof"),
    ],
)
def test_wrong_camera_is_refused_with_the_reason_and_changes_nothing(device, form, reason):
    before = written(device)
    status, text, _ = post(device, "/setup/camera", **form)
    assert (status, reason in text) == (400, True), text
    assert written(device) == before
    assert (device.restarts, device.reloads) == (0, [])


def test_camera_test_answers_with_an_image_and_the_format(device, rtsp):
    status, _, headers = post(device, "/setup/camera/test", name="a", url=rtsp.url)
    assert (status, headers["Content-Type"]) == (200, "image/jpeg")
    assert headers["X-Camera"] == "320x240, 25 frames a second"


def test_camera_test_names_the_reason_within_five_seconds(device):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"rtsp://user:secret@127.0.0.1:{silent.getsockname()[1]}/live"
        started = time.monotonic()
        status, text, _ = post(device, "/setup/camera/test", name="gate", url=address)
        assert time.monotonic() - started < 6
    assert status == 400
    assert "no answer or no video" in text
    assert "secret" not in text


@pytest.mark.alone
def test_camera_in_the_network_is_found_with_the_address_of_its_maker(device):
    with closing(OnvifCamera()):
        status, text, _ = post(device, "/setup/camera/found")
    assert status == 200
    (found,) = (each for each in json.loads(text) if each["name"] == "HIKVISION DS-2CD2042")
    assert found["url"] == "rtsp://USER:PASSWORD@127.0.0.1:554/Streaming/Channels/101"
    assert found["service"].endswith("/onvif/device_service")


@pytest.mark.alone
def test_found_camera_of_an_unknown_maker_gets_an_address_in_the_network(device):
    with closing(OnvifCamera(name="USB_Video%20Camera")):
        status, text, _ = post(device, "/setup/camera/found")
    assert status == 200
    (found,) = (each for each in json.loads(text) if each["name"] == "USB Video Camera")
    assert found["url"] == "rtsp://USER:PASSWORD@127.0.0.1:554/"


@pytest.mark.alone
def test_found_camera_gives_the_addresses_of_its_streams(device):
    live = "rtsp://admin:p%40ss@127.0.0.1:554/live"
    with closing(OnvifCamera()) as camera:
        login = {"service": camera.address, "user": "admin", "password": "p@ss"}
        status, text, _ = post(device, "/setup/camera/asked", **login)
        both = {"url": f"{live}/sub", "main_url": f"{live}/main"}
        wanted = both if "main_url" in CameraConfig.model_fields else {"url": f"{live}/main"}
        assert (status, json.loads(text)) == (200, wanted)
        status, text, _ = post(device, "/setup/camera/asked", **login | {"password": "wrong"})
        assert (status, "refuses this user name or password" in text) == (400, True), text
    status, text, _ = post(device, "/setup/camera/asked", **login)
    assert (status, "Connection refused" in text) == (400, True), text
    status, text, _ = post(device, "/setup/camera/asked", service="http://\x01/")
    assert (status, "non-printable" in text) == (400, True), text


def test_expected_countries_are_saved_and_unknown_ones_refused(device):
    page = device.request("/start")[1]
    assert all(f'name="region-{name}">' in page for name in ("eu", "ro", "us-ca"))
    assert post(device, "/setup/regions", **{"region-ro": "on", "region-us-ca": "on"})[0] == 303
    assert written(device)["events"]["regions"] == ["ro", "us-ca"]
    page = device.request("/start")[1]  # before the reload
    assert all(f'name="region-{name}" checked>' in page for name in ("ro", "us-ca"))
    status, text, _ = post(device, "/setup/regions", **{"region-atlantis": "on"})
    assert (status, "atlantis" in text) == (400, True)
    assert written(device)["events"]["regions"] == ["ro", "us-ca"]


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ({"host": "127.0.0.1", "port": "1"}, "127.0.0.1:1: Connection refused"),
        ({"host": "127.0.0.1", "port": "x"}, "port: must be a whole number"),
        ({"host": ""}, "host: must not be empty"),
    ],
)
def test_broker_test_names_the_reason(device, form, reason):
    status, text, _ = post(device, "/setup/broker", do="test", **form)
    assert (status, reason in text) == (400, True), text
    assert "mqtt" not in written(device)


def test_broker_test_finds_home_assistant_by_its_retained_message(device, broker):
    broker.start()
    address = {"host": "127.0.0.1", "port": str(broker.port)}
    assert "Home Assistant is not connected" in post(device, "/setup/broker", **address)[1]
    single("homeassistant/status", "online", retain=True, qos=1, port=broker.port)
    status, text, _ = post(device, "/setup/broker", do="test", **address)
    assert (status, "Home Assistant found" in text) == (200, True)


def test_broker_is_saved_with_its_password_in_a_file_of_its_own(device):
    form = {"host": "127.0.0.1", "port": "1884", "username": "plateid", "password": "right"}
    assert post(device, "/setup/broker", do="save", **form)[0] == 303
    secret = device.folder / "mqtt-password"
    assert secret.read_text() == "right"
    assert secret.stat().st_mode & 0o777 == 0o600
    mqtt = written(device)["mqtt"]
    assert mqtt == {
        "host": "127.0.0.1",
        "port": 1884,
        "username": "plateid",
        "password_file": "mqtt-password",
    }
    assert device.restarts == 1


def test_password_of_a_broker_that_a_variable_names_is_not_written(device, monkeypatch):
    monkeypatch.setenv("PLATEID_MQTT_PASSWORD_FILE", "mqtt-password")
    form = {"host": "127.0.0.1", "username": "plateid", "password": "right"}
    status, text, _ = post(device, "/setup/broker", do="save", **form)
    assert (status, "the variable PLATEID_MQTT_PASSWORD_FILE sets it" in text) == (400, True)
    assert not (device.folder / "mqtt-password").exists()


def test_viewers_neither_see_an_address_nor_change_anything(locked):
    cookie = locked.cookie(VIEWER_PASSWORD)
    assert locked.status("/setup/camera?name=drive", Cookie=cookie) == 403
    assert "/setup/" not in locked.request("/start", Cookie=cookie)[1]
    for path in ("camera", "camera/test", "camera/found", "regions", "broker"):
        assert locked.status(f"/setup/{path}", {"name": "a"}, Cookie=cookie) == 403


def test_camera_of_a_list_entry_stays(device):
    device.list_file.write_text("plate,list,cameras\nB68SPK,allow,yard\n")
    before = written(device)
    status, text, _ = post(device, "/setup/camera", old="yard", do="remove")
    assert (status, "there is no &#39;yard&#39;" in text, written(device)) == (400, True, before)
