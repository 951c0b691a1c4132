"""Rules of single cameras, lists and sinks in `plateid.toml`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plateid.config.load import load_config
from plateid.config.root import Config
from plateid.config.syntax import formats_of, rules_of
from plateid.core.view import View
from plateid.errors import ConfigError
from tests.config.test_load import write

CAMERA = """
[[camera]]
name = "gate"
url = "rtsp://camera.local/stream"
"""
ROI = ((0.0, 0.1), (1.0, 0.1), (1.0, 0.9))


def loaded(tmp_path, text: str) -> Config:
    return load_config(write(tmp_path, text))


def test_a_camera_looks_everywhere_unless_it_is_told_where(tmp_path):
    assert loaded(tmp_path, CAMERA).camera[0].view == View()
    told = (
        CAMERA + "roi = [[0, 0.1], [1, 0.1], [1, 0.9]]\nmasks = [[[0, 0.1], [1, 0.1], [1, 0.9]]]\n"
    )
    told += 'min_plate_height = 12\napproaching = "in"\n'
    assert loaded(tmp_path, told).camera[0].view == View(ROI, (ROI,), 12.0, None, "in")
    line = CAMERA + "line = [[0.2, 0.5], [0.8, 0.5]]\n"
    assert loaded(tmp_path, line).camera[0].view == View(line=((0.2, 0.5), (0.8, 0.5)))


@pytest.mark.parametrize(
    ("text", "hides"),
    [
        ("", False),
        ("snapshots.enabled = false\nprivacy.unknown = 'drop'\n", False),
        ("privacy.listed = 'hash'\n", True),
        ("snapshots.unknown = 'vehicle'\n", True),
        ("snapshots.unknown = 'off'\n", True),
    ],
)
def test_pictures_hide_plates_unless_all_may_be_shown_or_there_are_none(tmp_path, text, hides):
    assert loaded(tmp_path, text + CAMERA).hides_plates == hides


def test_a_camera_may_differ_from_the_events_of_all(tmp_path):
    own = '[camera.events]\nmin_confidence = 0.96\nformats = "own.toml"\n'
    common = '[events]\nsure_confidence = 0.97\nregions = ["ro"]\n'
    config = loaded(tmp_path, CAMERA + own + CAMERA.replace("gate", "drive") + common)
    gate, drive = (rules_of(config, camera) for camera in config.camera)
    assert (gate.min_confidence, gate.sure_confidence, gate.regions) == (0.96, 0.97, ("ro",))
    assert gate.formats == tmp_path / "own.toml"
    assert drive == config.events


def test_each_camera_expects_the_plates_of_its_own_regions(tmp_path):
    own = '[camera.events]\nregions = ["de"]\n'
    formats = formats_of(loaded(tmp_path, CAMERA + own + CAMERA.replace("gate", "drive")))
    assert {name: one.regions for name, one in formats.items()} == {"gate": ("de",), "drive": ()}
    wrong = loaded(tmp_path, CAMERA + '[camera.events]\nregions = ["xx"]\n')
    with pytest.raises(ConfigError, match=r"camera gate: events\.regions: unknown region xx"):
        formats_of(wrong)


def test_files_of_lists_and_sinks_are_relative_to_the_configuration(tmp_path, monkeypatch):
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
    handed_over = loaded(tmp_path, text + CAMERA).webhook[0].secret_file
    assert handed_over == tmp_path / "credentials" / "secret"


@pytest.mark.parametrize("section", ["gps", "metrics", "web"])
def test_optional_section_is_off_until_it_is_enabled(tmp_path, section):
    assert not getattr(loaded(tmp_path, CAMERA), section).enabled
    assert getattr(loaded(tmp_path, f"{CAMERA}[{section}]\nenabled = true\n"), section).enabled


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("roi = [[0, 0], [1, 1]]", r"camera\[0\].roi: .* at least 3 items"),
        (
            "roi = [[0, 0], [1, 1], [0, 640]]",
            r"camera\[0\].roi\[2\]\[1\]: .*less than or equal to 1",
        ),
        ("masks = [[[0, 0], [1, 1]]]", r"camera\[0\].masks\[0\]: .* at least 3 items"),
        ("line = [[0, 0]]", r"camera\[0\].line\[1\]: Field required"),
        ("line = [[0, nan], [1, 1]]", r"camera\[0\].line\[0\]\[1\]"),
        ('size = "640x480"', r"camera\[0\]: size and format are for USB cameras, /dev/videoN"),
        ('size = "large"', r"camera\[0\].size: String should match pattern"),
        ("line = [[0, 0], [0, 0]]", r"camera\[0\]: line: both points are the same"),
        ('approaching = "left"', r"camera\[0\].approaching: Input should be 'in' or 'out'"),
        (
            'line = [[0, 0], [1, 1]]\napproaching = "in"',
            r"camera\[0\]: set either line or approaching",
        ),
        ("min_plate_height = -1", r"camera\[0\].min_plate_height: "),
        ("[camera.events]\nmin_confidense = 1", r"camera\[0\].events.min_confidense: Extra inputs"),
        ("[camera.events]\nparked_s = 0", r"camera\[0\].events.parked_s: .*greater than 0"),
        (
            "[camera.events]\nmin_confidence = 0.99",
            r"camera\[0\].events: sure_confidence is lower than min_confidence",
        ),
        ('[[webhook]]\nname = "a"\nurl = "ftp://x/"', r"webhook\[0\].url: "),
        ('[[webhook]]\nname = "a"\nurl = "http://u:p@x/"', r"webhook\[0\].url: "),
        (
            '[[webhook]]\nname = "a"\nurl = "http://x/"\nlists = ["white"]',
            r"webhook\[0\].lists\[0\]",
        ),
        (
            '[[webhook]]\nname = "a"\nurl = "http://x/"\ncameras = ["yard"]',
            r"webhook a: there is no camera yard",
        ),
        (2 * '[[webhook]]\nname = "a"\nurl = "http://x/"\n', r"webhook name used twice: a"),
        ("[lists]\nmax_distance = 9", r"lists.max_distance: .*less than or equal to 3"),
        ("[gps]\nport = 0", r"gps.port: "),
    ],
)
def test_a_wrong_rule_is_named_with_the_reason(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        loaded(tmp_path, CAMERA + text + "\n")


junk = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
KEYS = ["camera", "events", "lists", "webhook", "logfile", "gps"]


@given(st.dictionaries(st.sampled_from(KEYS), junk | st.lists(st.just({"events": {}}))))
def test_no_table_breaks_the_merging_of_events(table):
    from pydantic import ValidationError

    with pytest.raises(ValidationError):
        Config.model_validate(table)
