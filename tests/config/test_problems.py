"""Messages for configurations that plateid refuses."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plateid.config.load import load_config, load_formats
from plateid.config.outputs import ListsConfig
from plateid.config.problems import line_numbers
from plateid.config.root import Config
from plateid.errors import ConfigError
from plateid.outputs.webhook import read_secret
from plateid.store.list_file import ListFile
from tests.config.test_load import GOOD, write

CAMERA = '[[camera]]\nname = "gate"\nurl = "rtsp://camera.local/stream"\n'
CONTROL = "must not contain control characters"
WEBHOOK = '[[webhook]]\nname = "a"\nurl = "http://x/"\n'


def messages(tmp_path, text: str) -> list[str]:
    file = write(tmp_path, text)
    with pytest.raises(ConfigError) as raised:
        load_config(file)
    assert str(raised.value).isprintable()
    return [line.removeprefix(f"{file}: ") for line in raised.value.lines]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sorce = 1\n", 'line 4: unknown key "camera[0].sorce"'),
        ("timeout = 1\n", 'line 4: unknown key "camera[0].timeout": did you mean "timeout_s"?'),
        ("[zzz]\n", 'line 4: unknown key "zzz"'),
        (CAMERA, "camera name used twice: gate"),
        ('[occupancy]\nenabled = true\nentry = ["x"]', "occupancy: there is no camera x"),
        (
            "[occupancy]\nenabled = true",
            "occupancy needs entry, or a camera with line or approaching",
        ),
        (
            '[occupancy]\nenabled = true\nentry = ["gate"]\nexit = ["gate"]',
            "line 4: occupancy: camera gate is in both entry and exit",
        ),
        (
            "[events]\nrequire_direction = true",
            "camera gate: events.require_direction needs line or approaching",
        ),
        (
            f"roi = {65 * [[0, 0]]}\n",
            "line 4: camera[0].roi: must have at most 64 items, not 65",
        ),
        (
            f"masks = {65 * [3 * [[0, 0]]]}\n",
            "line 4: camera[0].masks: must have at most 64 items, not 65",
        ),
        (64 * CAMERA, "line 1: camera: must have at most 64 items, not 65"),
        (17 * WEBHOOK, "line 4: webhook: must have at most 16 items, not 17"),
        (
            f"[events]\nregions = {251 * ['ro']}\n",
            "line 5: events.regions: must have at most 250 items, not 251",
        ),
        (
            f"{WEBHOOK}events = {3 * ['plate_seen']}\n",
            "line 7: webhook[0].events: must have at most 2 items, not 3",
        ),
        ("timeout_s = 0\n", "line 4: camera[0].timeout_s: must be greater than 0"),
        ("timeout_s = 61\n", "line 4: camera[0].timeout_s: must be less than or equal to 60"),
        ("timeout_s = nan\n", "line 4: camera[0].timeout_s: must be a finite number"),
        ('loop = "a"\n', "line 4: camera[0].loop: must be true or false"),
        ("roi = [[0, 0], [1, 1]]\n", "line 4: camera[0].roi: must have at least 3 items, not 2"),
        (
            "roi = [\n[0, 0],\n[2, 0],\n[1, 1]]\n",
            "line 6: camera[0].roi[1][0]: must be less than or equal to 1",
        ),
        ("line = [[0, 0]]\n", "line 4: camera[0].line[1]: is missing"),
        ("line = [[0, 0], [0, 0]]\n", "line 1: camera[0]: line: both points are the same"),
        (
            'line = [[0, 0], [1, 1]]\napproaching = "in"\n',
            "line 1: camera[0]: set either line or approaching, not both",
        ),
        ('approaching = "left"\n', "line 4: camera[0].approaching: must be 'in' or 'out'"),
        (
            'size = "640x480"\n',
            "line 1: camera[0]: size and format are for USB cameras, /dev/videoN",
        ),
        (
            'size = "large"\n',
            'line 4: camera[0].size: must be a width and a height, for example "1920x1080"',
        ),
        (
            "[camera.events]\nmin_confidense = 1\n",
            'line 5: unknown key "camera[0].events.min_confidense": did you mean "min_confidence"?',
        ),
        (
            "[camera.events]\nmin_confidence = 0.99\n",
            "line 4: camera[0].events: sure_confidence is lower than min_confidence",
        ),
        (
            "[camera.events]\nmin_reads = 4\n[events]\nlost_s = 0\n",
            "line 7: events.lost_s: must be greater than 0",
        ),
        ("[mqtt]\nport = 70000\n", "line 5: mqtt.port: must be less than or equal to 65535"),
        ('[mqtt]\nport = "a"\n', "line 5: mqtt.port: must be a whole number"),
        ('[mqtt]\nca_file = "a"\n', "line 4: mqtt: ca_file needs tls"),
        ('[mqtt]\ntls = true\nkey_file = "a"\n', "line 4: mqtt: key_file needs certificate_file"),
        ('[mqtt]\npassword_file = "a"\n', "line 4: mqtt: password_file needs username"),
        ('[web]\nenabled = true\nkey_file = "a"\n', "line 4: web: key_file needs certificate_file"),
        (
            '[web]\nenabled = true\nhost = "localhost"\n',
            "line 6: web.host: is not a valid IPv4 or IPv6 address",
        ),
        ("[metrics]\n", "line 4: metrics: set enabled = true, or false to keep it off"),
        (
            '[homeassistant]\nprefix = "a/#"\n',
            "line 5: homeassistant.prefix: must be an MQTT topic without wildcards",
        ),
        (
            '[models]\nprovider = "gpu"\n',
            "line 5: models.provider: must be auto, cpu, openvino, cuda or tensorrt",
        ),
        ("[models]\nbundle = 3\n", "line 5: models.bundle: must be a path in quotes"),
        ("timeout_s = true\n", "line 4: camera[0].timeout_s: must be a number"),
        ('timeout_s = "3"\n', "line 4: camera[0].timeout_s: must be a number"),
        ("roi = [[true, 0], [1, 0], [1, 1]]\n", "line 4: camera[0].roi[0][0]: must be a number"),
        ("loop = 1\n", "line 4: camera[0].loop: must be true or false"),
        ('loop = "yes"\n', "line 4: camera[0].loop: must be true or false"),
        ("[mqtt]\nport = true\n", "line 5: mqtt.port: must be a whole number"),
        ('[mqtt]\nport = "1883"\n', "line 5: mqtt.port: must be a whole number"),
        ("[mqtt]\nport = 1883.0\n", "line 5: mqtt.port: must be a whole number"),
        ("[mqtt]\nhost = 1\n", "line 5: mqtt.host: must be text in quotes"),
        ("[web]\nenabled = true\nhost = 1\n", "line 6: web.host: must be an IP address"),
        ("[events]\nlost_s = inf\n", "line 5: events.lost_s: must be a finite number"),
        (
            "[events]\nlost_s = 1e300\n",
            "line 5: events.lost_s: must be less than or equal to 10000000",
        ),
        (
            "[retention]\noutbox_events = 1e9\n",
            "line 5: retention.outbox_events: must be a whole number",
        ),
        ('[store]\npath = ""\n', "line 5: store.path: must not be empty"),
        ('[store]\npath = "a\\u0000b"\n', f"line 5: store.path: {CONTROL}"),
        ('[mqtt]\nhost = "a\\u0000b"\n', f"line 5: mqtt.host: {CONTROL}"),
        (WEBHOOK.replace("//x", "//x\\u0000"), f"line 6: webhook[0].url: {CONTROL}"),
        ('[camera.events]\nformats = "a\\nb"\n', f"line 5: camera[0].events.formats: {CONTROL}"),
        (
            WEBHOOK.replace("http://", "http://u:p@"),
            "line 6: webhook[0].url: must be an http:// or https:// URL without a password",
        ),
        (
            WEBHOOK + 'lists = ["white"]\n',
            "line 7: webhook[0].lists[0]: must be 'allow', 'deny', 'watch' or 'none'",
        ),
        (WEBHOOK + 'cameras = ["yard"]\n', "webhook a: there is no camera yard"),
        (2 * WEBHOOK, "webhook name used twice: a"),
        (
            '[privacy]\nunlisted = "hash"\n[snapshots]\nunlisted = "keep"\n',
            'snapshots.unlisted = "keep" shows plates, but privacy.unlisted is "hash"',
        ),
    ],
)
def test_problem_is_named_with_its_line_and_a_suggestion(tmp_path, text, message):
    assert messages(tmp_path, CAMERA + text) == [message]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"cameras = 1\n{CAMERA}", 'line 1: unknown key "cameras": did you mean "camera"?'),
        (CAMERA.replace("camera.local", "\\u0000"), f"line 3: camera[0].url: {CONTROL}"),
        (CAMERA.replace("url", "#"), "line 1: camera[0].url: is missing"),
        ('device = "gate"\n', "camera: is missing"),
        (f"device = 1\n{CAMERA}", "line 1: device: must be text in quotes"),
        (
            CAMERA.replace("gate", "ga/te"),
            "line 2: camera[0].name: must be 1 to 64 letters, digits, - or _",
        ),
        (f"camera = 3\n{WEBHOOK}", "line 1: camera: must be a list"),
        (
            "[camera]\nname = 'gate'",
            "line 1: camera: is one table: write [[camera]] in two brackets",
        ),
        ("device = \n", "line 1, column 10: Invalid value"),
    ],
)
def test_problem_of_the_whole_file_is_named(tmp_path, text, message):
    assert message in messages(tmp_path, text)


def test_problems_of_a_long_file_are_found_in_seconds(tmp_path):
    masks = "masks = [\n" + 20 * (30 * "[[0,0],[0,1],[1,1]],\n\n") + "]\n"
    started = time.monotonic()
    found = messages(tmp_path, 2 * (CAMERA + masks) + CAMERA + 'x = 1\ndevice = "gate"\n')
    assert any(each.endswith('unknown key "camera[2].x"') for each in found)
    assert time.monotonic() - started < 20


def test_all_problems_are_reported_in_the_order_of_their_lines(tmp_path):
    found = messages(tmp_path, f"{CAMERA}loop = 3\n[gps]\nport = 0\n[mqtt]\nprot = 1\n")
    assert [message.split(": ")[0] for message in found] == ["line 4", "line 5", "line 6", "line 8"]


@pytest.mark.parametrize(
    ("value", "message"), [("9" * 5000, "Exceeds the limit"), ("[" * 3000, "maximum recursion")]
)
def test_hostile_file_is_one_error(tmp_path, value, message):
    assert message in messages(tmp_path, f"device = {value}\n")[0]


def test_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere.toml: No such file"):
        load_config(tmp_path / "nowhere.toml")
    binary = tmp_path / "plateid.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"plateid.toml: line 1 is not UTF-8"):
        load_config(binary)


def test_fifo_and_device_are_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    lists = ListsConfig(file=tmp_path / "pipe")
    for read in (load_config, load_formats, read_secret, lambda _: ListFile(lists, ())):
        with pytest.raises(ConfigError, match=r"pipe: is not a regular file"):
            read(tmp_path / "pipe")
    with pytest.raises(ConfigError, match=r"/dev/zero: is not a regular file"):
        load_config(Path("/dev/zero"))


@pytest.mark.parametrize(
    ("location", "line"),
    [
        (("device",), 2),
        (("camera", 1), 8),
        (("camera", 1, "url"), 10),
        (("camera", 1, "nothing"), 8),
        (("mqtt", "port"), 12),
        (("events", "regions", 1), 15),
        (("nothing",), None),
    ],
)
def test_line_of_a_key_is_found_in_tables_dotted_keys_and_long_arrays(location, line):
    text = f'{GOOD}[mqtt]\nport = 1\n[events]\nregions = ["ro",\n"de",\n]\n'
    assert line_numbers(text, [location]) == [line]


junk = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
KEYS = ["camera", "events", "lists", "webhook", "logfile", "gps"]


@given(st.dictionaries(st.sampled_from(KEYS), junk | st.lists(st.just({"events": {}}))))
def test_any_table_is_either_valid_or_refused(table):
    from pydantic import ValidationError

    with pytest.raises(ValidationError):
        Config.model_validate(table)
