from pathlib import Path

import pytest

from plateid.config.cameras import EventsConfig
from plateid.config.load import load_config
from plateid.config.models import DEFAULT_BUNDLE, ModelsConfig, bundle_path, shipped_bundles
from plateid.config.syntax import expected_formats
from plateid.errors import ConfigError

GOOD = """
device = "gate"

[[camera]]
name = "drive"
url = "rtsp://camera.local/stream"

[[camera]]
name = "clip"
url = "clips/a.mp4"
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "plateid.toml"
    file.write_text(text)
    return file


def test_what_is_not_said_has_a_default_and_paths_are_relative_to_the_file(tmp_path):
    config = load_config(
        write(tmp_path, GOOD + '[mqtt]\nusername = "a"\npassword_file = "secret"\n')
    )
    assert config.camera[0].url == "rtsp://camera.local/stream"
    assert config.camera[1].url == str(tmp_path / "clips/a.mp4")
    assert config.mqtt.password_file == tmp_path / "secret"
    assert config.store.path == tmp_path / "plateid.sqlite3"
    assert config.models.bundle == DEFAULT_BUNDLE
    assert config.models.engine_cache is None


@pytest.mark.parametrize(
    ("text", "port"), [("", 1883), ("tls = true", 8883), ("port = 1\ntls = true", 1)]
)
def test_the_port_is_that_of_the_protocol_unless_it_is_said(tmp_path, text, port):
    assert load_config(write(tmp_path, f"{GOOD}[mqtt]\n{text}\n")).mqtt.port == port


def test_what_systemd_hands_over_goes_before_a_file_of_that_name(tmp_path, monkeypatch):
    mqtt = 'tls = true\nca_file = "ca.pem"\nusername = "a"\npassword_file = "mqtt"\n'
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "mqtt").touch()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    config = load_config(write(tmp_path, f"{GOOD}[mqtt]\n{mqtt}")).mqtt
    assert (config.password_file, config.ca_file) == (credentials / "mqtt", tmp_path / "ca.pem")


@pytest.mark.parametrize("path", ["", 'path = "events.sqlite3"'])
def test_the_service_keeps_its_events_where_it_may_write(tmp_path, monkeypatch, path):
    monkeypatch.setattr("plateid.config.load.SERVICE_FOLDER", tmp_path)
    config = load_config(write(tmp_path, f"{GOOD}[store]\n{path}\n"))
    expected = tmp_path / "events.sqlite3" if path else Path("/var/lib/plateid/plateid.sqlite3")
    assert config.store.path == expected


def test_by_hand_it_is_read_from_where_systemd_has_it(tmp_path, monkeypatch):
    monkeypatch.setattr("plateid.config.load.CREDSTORE", tmp_path / "credstore")
    (tmp_path / "credstore").mkdir()
    for name in ("mqtt-password", "another"):
        (tmp_path / "credstore" / name).touch()
    text = f'{GOOD}[mqtt]\nusername = "a"\npassword_file = "{{}}"\n'
    ours, other = (
        load_config(write(tmp_path, text.format(name))).mqtt.password_file
        for name in ("mqtt-password", "another")
    )
    assert ours == tmp_path / "credstore/mqtt-password"
    assert other == tmp_path / "another", "the service does not get that one"
    (tmp_path / "mqtt-password").touch()
    file = write(tmp_path, text.format("mqtt-password"))
    assert load_config(file).mqtt.password_file == tmp_path / "mqtt-password"


def test_what_cannot_be_looked_at_is_not_there(tmp_path, monkeypatch):
    """The service may not look into /etc/credstore; root may, so here its name is too long."""
    monkeypatch.setattr("plateid.config.load.CREDSTORE", tmp_path / ("x" * 300))
    path = write(tmp_path, f'{GOOD}[mqtt]\nusername = "a"\npassword_file = "mqtt-key"\n')
    assert load_config(path).mqtt.password_file == tmp_path / "mqtt-key"


@pytest.mark.parametrize(
    ("key", "text", "path"),
    [
        ("bundle", "default", str(DEFAULT_BUNDLE)),
        ("bundle", "./default", "{folder}/default"),
        ("bundle", "mine", "{folder}/mine"),
        ("bundle", "/srv/mine", "/srv/mine"),
        ("engine_cache", "engines", "{folder}/engines"),
        ("engine_cache", "/var/cache/plateid", "/var/cache/plateid"),
        ("easyocr_folder", "easyocr", "{folder}/easyocr"),
    ],
)
def test_a_bundle_is_named_or_a_path_and_paths_are_relative_to_the_file(tmp_path, key, text, path):
    config = load_config(write(tmp_path, GOOD + f'[models]\n{key} = "{text}"\n'))
    assert str(getattr(config.models, key)) == path.format(folder=tmp_path)


@pytest.mark.parametrize("text", ["", ".", "..", "default/", "Default", "de*"])
def test_only_the_exact_name_of_a_bundle_that_ships_is_a_name(text):
    assert bundle_path(text) == text


def test_the_bundles_that_ship_are_known_by_name_and_the_default_is_the_first():
    assert shipped_bundles()[0] == "default"
    for name in shipped_bundles():
        assert (ModelsConfig(bundle=name).bundle / "bundle.toml").is_file()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("url", "sorce", 1), r"camera\[0\].url: Field required"),
        (
            GOOD.replace('name = "drive"', 'name = "drive"\nsorce = "x"'),
            r"plateid.toml: camera\[0\].sorce: Extra inputs are not permitted",
        ),
        (
            "device = 1\n" + GOOD.replace('device = "gate"', ""),
            r"device: Input should be a valid string",
        ),
        (GOOD.replace('"drive"', '"dri/ve"'), r"camera\[0\].name: String should match"),
        (GOOD.replace('"drive"', '"clip"'), r"camera name used twice: clip"),
        (GOOD + "[mqtt]\nport = 70000\n", r"mqtt.port: .*less than or equal to 65535"),
        (GOOD + '[mqtt]\nca_file = "ca.pem"\n', r"mqtt: ca_file needs tls"),
        (GOOD + '[mqtt]\ntls = true\nkey_file = "a"\n', r"mqtt: key_file needs certificate_file"),
        (GOOD + '[web]\nkey_file = "a"\n', r"web: key_file needs certificate_file"),
        (GOOD + '[web]\nhost = "localhost"\n', r"web.host: value is not a valid IPv4 or IPv6"),
        (GOOD + '[mqtt]\npassword_file = "a"\n', r"mqtt: password_file needs username"),
        (GOOD + "[retention]\noutbox_events = 0\n", r"retention.outbox_events: .*greater than"),
        (GOOD + '[homeassistant]\nprefix = "a/#"\n', r"homeassistant.prefix: String should match"),
        (GOOD + "[modles]\n", r"modles: Extra inputs are not permitted"),
        (GOOD + '[models]\nprovider = "gpu"\n', r"models.provider: Input should be 'cpu'"),
        (GOOD + '[models]\nreader = "tesseract"\n', r"models.reader: Input should be 'bundle'"),
        (GOOD + "[models]\nbundle = 3\n", r"models.bundle: Input is not a valid path"),
        ('device = "gate"\n', r"camera: Field required"),
        (
            f"{GOOD}[camera.events]\nmin_reads = 4\n[events]\nmin_confidense = 0.5\n",
            r"plateid.toml: events.min_confidense: Extra inputs are not permitted",
        ),
        ("device = \n", r"plateid.toml: Invalid value"),
        (f"device = {'9' * 5000}\n", r"plateid.toml: Exceeds the limit"),
        (f"device = {'[' * 3000}\n", r"plateid.toml: maximum recursion depth"),
    ],
)
def test_a_wrong_key_is_named_with_the_reason(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        load_config(write(tmp_path, text))


def events(folder: Path, text: str) -> EventsConfig:
    return load_config(write(folder, GOOD + "[events]\n" + text)).events


def test_formats_come_from_the_tables_that_ship_and_a_file_beside_the_configuration(tmp_path):
    (tmp_path / "own.toml").write_text('[xx]\npatterns = ["LL DD"]\n# ä\n', encoding="utf-8")
    text = 'regions = ["xx", "ro"]\nstrict = true\nformats = "own.toml"\n'
    formats = expected_formats(events(tmp_path, text))
    assert (formats.regions, formats.strict) == (("xx", "ro"), True)
    assert formats.fits("AB12") and formats.fits("B68SPK")
    by_default = expected_formats(events(tmp_path, ""))
    assert (by_default.regions, by_default.strict) == ((), False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("strict = true\n", "events.regions: strict needs at least one region"),
        ('regions = ["xx"]\n', "events.regions: unknown region xx"),
        ('formats = "nowhere.toml"\n', "/nowhere.toml: No such file"),
        ('formats = "plateid.toml"\n', "plateid.toml: line .*: device: is not a country's code"),
        ('formats = "binary.toml"\n', "/binary.toml: line 1 is not UTF-8"),
    ],
)
def test_regions_or_formats_that_cannot_be_expected_are_named(tmp_path, text, message):
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=message):
        expected_formats(events(tmp_path, text))


def test_windows_may_have_written_it(tmp_path):
    file = write(tmp_path, GOOD)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    assert load_config(file).camera


def test_a_missing_or_binary_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere.toml: No such file"):
        load_config(tmp_path / "nowhere.toml")
    binary = tmp_path / "plateid.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"plateid.toml: line 1 is not UTF-8"):
        load_config(binary)
