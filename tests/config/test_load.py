from pathlib import Path

import pytest

from plateid.config.cameras import EventsConfig
from plateid.config.load import default_config, expected_formats, load_config
from plateid.config.models import DEFAULT_BUNDLE, ModelsConfig, bundle_path, shipped_bundles
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


def test_keys_have_defaults_and_paths_are_relative_to_the_file(tmp_path):
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
def test_mqtt_port_depends_on_tls_unless_it_is_set(tmp_path, text, port):
    assert load_config(write(tmp_path, f"{GOOD}[mqtt]\n{text}\n")).mqtt.port == port


def test_systemd_credential_is_preferred_to_a_file_of_that_name(tmp_path, monkeypatch):
    mqtt = 'tls = true\nca_file = "ca.pem"\nusername = "a"\npassword_file = "mqtt"\n'
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "mqtt").touch()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    config = load_config(write(tmp_path, f"{GOOD}[mqtt]\n{mqtt}")).mqtt
    assert (config.password_file, config.ca_file) == (credentials / "mqtt", tmp_path / "ca.pem")


@pytest.mark.parametrize("path", ["", 'path = "events.sqlite3"'])
def test_store_of_the_service_is_in_its_state_directory(tmp_path, monkeypatch, path):
    monkeypatch.setattr("plateid.config.load.SERVICE_FOLDER", tmp_path)
    config = load_config(write(tmp_path, f"{GOOD}[store]\n{path}\n"))
    expected = tmp_path / "events.sqlite3" if path else Path("/var/lib/plateid/plateid.sqlite3")
    assert config.store.path == expected


def test_credential_is_found_in_the_credstore_outside_the_service(tmp_path, monkeypatch):
    monkeypatch.setattr("plateid.config.section.CREDSTORE", tmp_path / "credstore")
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


def test_unreadable_credstore_is_ignored(tmp_path, monkeypatch):
    """The service cannot read /etc/credstore. Tests run as root, so here its name is too long."""
    monkeypatch.setattr("plateid.config.section.CREDSTORE", tmp_path / ("x" * 300))
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
def test_bundle_is_a_name_or_a_path_relative_to_the_file(tmp_path, key, text, path):
    config = load_config(write(tmp_path, GOOD + f'[models]\n{key} = "{text}"\n'))
    assert str(getattr(config.models, key)) == path.format(folder=tmp_path)


@pytest.mark.parametrize("text", ["", ".", "..", "default/", "Default", "de*"])
def test_only_exact_names_of_shipped_bundles_are_names(text):
    assert bundle_path(text) == text


def test_shipped_bundles_are_known_by_name_with_the_default_first():
    assert shipped_bundles()[0] == "default"
    for name in shipped_bundles():
        assert (ModelsConfig(bundle=name).bundle / "bundle.toml").is_file()


def events(folder: Path, text: str) -> EventsConfig:
    return load_config(write(folder, GOOD + "[events]\n" + text)).events


def test_formats_are_the_shipped_ones_and_those_of_a_file(tmp_path):
    (tmp_path / "own.toml").write_text('[fo]\npatterns = ["LL DD"]\n# ä\n', encoding="utf-8")
    text = 'regions = ["fo", "ro"]\nstrict = true\nformats = "own.toml"\n'
    formats = expected_formats(events(tmp_path, text))
    assert (formats.regions, formats.strict) == (("fo", "ro"), True)
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
def test_wrong_regions_and_formats_are_named(tmp_path, text, message):
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=message):
        expected_formats(events(tmp_path, text))


def test_file_may_have_a_byte_order_mark_and_windows_line_ends(tmp_path):
    file = write(tmp_path, GOOD)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    assert load_config(file).camera


def test_default_file_is_in_the_current_directory_or_that_of_the_service(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert default_config() == Path("/etc/plateid/plateid.toml")
    write(tmp_path, GOOD)
    assert default_config() == Path("plateid.toml")
