"""Cameras, lists and outputs in `plateid.toml`."""

import socket

import pytest

from plateid.config.load import formats_of, load_config
from plateid.config.root import Config, merged
from plateid.core.view import View
from plateid.errors import ConfigError
from tests.config.test_load import write

NAME = socket.gethostname().partition(".")[0]

CAMERA = """
[[camera]]
name = "gate"
url = "rtsp://camera.local/stream"
"""
ROI = ((0.0, 0.1), (1.0, 0.1), (1.0, 0.9))


def loaded(tmp_path, text: str) -> Config:
    return load_config(write(tmp_path, text))


def test_camera_view_is_the_whole_image_by_default(tmp_path):
    assert loaded(tmp_path, CAMERA).camera[0].view == View()
    text = (
        CAMERA + "roi = [[0, 0.1], [1, 0.1], [1, 0.9]]\nmasks = [[[0, 0.1], [1, 0.1], [1, 0.9]]]\n"
    )
    text += 'min_plate_height = 12\napproaching = "in"\n'
    assert loaded(tmp_path, text).camera[0].view == View(ROI, (ROI,), 12.0, None, "in")
    line = CAMERA + "line = [[0.2, 0.5], [0.8, 0.5]]\n"
    assert loaded(tmp_path, line).camera[0].view == View(line=((0.2, 0.5), (0.8, 0.5)))


@pytest.mark.parametrize(
    ("text", "hides"),
    [
        ("", False),
        ("snapshots.enabled = false\nprivacy.unlisted = 'drop'\n", False),
        ("privacy.listed = 'hash'\n", True),
        ("snapshots.unlisted = 'vehicle'\n", True),
        ("snapshots.unlisted = 'off'\n", True),
    ],
)
def test_images_hide_plates_unless_all_are_shown_or_there_are_no_images(tmp_path, text, hides):
    assert loaded(tmp_path, text + CAMERA).hides_plates == hides


WEB = "web.enabled = true\n"
READING = '[[camera]]\nname = "gate"\nkind = "events"\n'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (READING, 'camera gate: kind = "events" needs [web] enabled'),
        (WEB + CAMERA + 'kind = "events"\n', 'camera[0]: url: not for kind = "events"'),
        (READING.replace('kind = "events"', 'url = "events://posts"'), "events://posts is for"),
        (
            WEB + READING + "line = [[0, 0], [1, 1]]\nloop = true\n",
            "camera[0]: line, loop: not for",
        ),
        (WEB + READING.replace('"events"', '"posts"'), "camera[0].kind: "),
        (WEB + '[[camera]]\nname = "gate"\n', "camera[0].url: is missing"),
    ],
)
def test_camera_that_posts_events_has_no_keys_of_a_stream(tmp_path, text, reason):
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    assert reason in str(caught.value)
    assert loaded(tmp_path, WEB + READING).camera[0].kind == "events"


def test_change_of_the_kind_of_a_camera_waits_for_a_restart(tmp_path):
    running, wanted = loaded(tmp_path, WEB + CAMERA), loaded(tmp_path, WEB + READING)
    assert merged(running, wanted) == (running, ["camera"])
    assert merged(wanted, wanted) == (wanted, [])


def test_camera_events_override_the_common_events(tmp_path):
    own = '[camera.events]\nmin_confidence = 0.96\nformats = "own.toml"\n'
    common = '[events]\nsure_confidence = 0.97\nregions = ["ro"]\n'
    config = loaded(tmp_path, CAMERA + own + CAMERA.replace("gate", "drive") + common)
    gate, drive = (camera.events or config.events for camera in config.camera)
    assert (gate.min_confidence, gate.sure_confidence, gate.regions) == (0.96, 0.97, ("ro",))
    assert gate.formats == tmp_path / "own.toml"
    assert drive == config.events


def test_each_camera_has_its_own_regions(tmp_path):
    own = '[camera.events]\nregions = ["de"]\n'
    formats = formats_of(loaded(tmp_path, CAMERA + own + CAMERA.replace("gate", "drive")))
    assert {name: one.regions for name, one in formats.items()} == {"gate": ("de",), "drive": ()}
    wrong = loaded(tmp_path, CAMERA + '[camera.events]\nregions = ["xx"]\n')
    with pytest.raises(ConfigError, match=r"camera gate: events\.regions: unknown region xx"):
        formats_of(wrong)


def test_files_of_lists_and_outputs_are_relative_to_the_configuration(tmp_path, monkeypatch):
    text = """
    lists.file = "plates.csv"
    logfile.csv = "plates/log.csv"
    logfile.jsonl = "/var/log/plates.jsonl"
    webhook = [{name = "a", url = "http://x:80/y?z", secret_file = "secret", ca_file = "ca.pem"}]
    """
    config = loaded(tmp_path, text + CAMERA)
    assert config.lists.file == tmp_path / "plates.csv"
    assert config.logfile.csv == tmp_path / "plates" / "log.csv"
    assert str(config.logfile.jsonl) == "/var/log/plates.jsonl"
    (webhook,) = config.webhook
    assert (webhook.secret_file, webhook.ca_file) == (tmp_path / "secret", tmp_path / "ca.pem")
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "secret").touch()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    credential = loaded(tmp_path, text + CAMERA).webhook[0].secret_file
    assert credential == tmp_path / "credentials" / "secret"


@pytest.mark.parametrize("section", ["gps", "metrics", "web"])
def test_optional_section_is_off_until_it_is_enabled(tmp_path, section):
    assert not getattr(loaded(tmp_path, CAMERA), section).enabled
    assert getattr(loaded(tmp_path, f"{CAMERA}[{section}]\nenabled = true\n"), section).enabled


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("web.enabled = true", ""),
        ('web.enabled = true\nweb.host = "0.0.0.0"', f"http://{NAME}.local:8480"),
        ('web.enabled = true\nweb.host = "0.0.0.0"\nweb.ingress = "172.30.32.2"', ""),
        ('web.enabled = true\nweb.host = "fd00::1"', "http://[fd00::1]:8480"),
        ('homeassistant.configuration_url = "https://a.example/b"', "https://a.example/b"),
        ('homeassistant.configuration_url = "homeassistant://app/x"', "homeassistant://app/x"),
        ('homeassistant.configuration_url = ""\nweb.host = "0.0.0.0"\nweb.enabled = true', ""),
    ],
)
def test_home_assistant_gets_the_web_address_that_other_devices_reach(tmp_path, text, url):
    assert loaded(tmp_path, f"{text}\n{CAMERA}").visit_url == url


def test_address_with_a_password_is_refused(tmp_path):
    text = 'homeassistant.configuration_url = "https://a:b@c/"\n'
    with pytest.raises(ConfigError, match="configuration_url: must be a URL without"):
        loaded(tmp_path, text + CAMERA)
