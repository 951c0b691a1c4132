from pathlib import Path

import pytest

from plateid.config import DEFAULT_BUNDLE, ModelsConfig, bundle_path, load_config, shipped_bundles
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
    config = load_config(write(tmp_path, GOOD + '[mqtt]\npassword_file = "secret"\n'))
    assert config.camera[0].url == "rtsp://camera.local/stream"
    assert config.camera[1].url == str(tmp_path / "clips/a.mp4")
    assert config.mqtt.password_file == tmp_path / "secret"
    assert config.store.path == tmp_path / "plateid.sqlite3"
    assert config.models.bundle == DEFAULT_BUNDLE
    assert config.models.engine_cache is None


@pytest.mark.parametrize(
    ("key", "text", "path"),
    [
        ("bundle", "default", str(DEFAULT_BUNDLE)),
        ("bundle", "./default", "{folder}/default"),
        ("bundle", "mine", "{folder}/mine"),
        ("bundle", "/srv/mine", "/srv/mine"),
        ("engine_cache", "engines", "{folder}/engines"),
        ("engine_cache", "/var/cache/plateid", "/var/cache/plateid"),
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
        (GOOD + "[modles]\n", r"modles: Extra inputs are not permitted"),
        (GOOD + '[models]\nprovider = "gpu"\n', r"models.provider: Input should be 'cpu'"),
        (GOOD + "[models]\nbundle = 3\n", r"models.bundle: Input is not a valid path"),
        ('device = "gate"\n', r"camera: Field required"),
        ("device = \n", r"plateid.toml: Invalid value"),
    ],
)
def test_a_wrong_key_is_named_with_the_reason(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        load_config(write(tmp_path, text))


def test_a_missing_or_binary_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere.toml: No such file"):
        load_config(tmp_path / "nowhere.toml")
    binary = tmp_path / "plateid.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"plateid.toml: .*decode"):
        load_config(binary)


def test_every_key_says_what_it_is_for():
    from plateid import config

    sections = [config.Config, config.CameraConfig, config.MqttConfig, config.ModelsConfig]
    for section in [*sections, config.EventsConfig, config.StoreConfig]:
        for name, field in section.model_fields.items():
            nested = getattr(field.annotation, "model_fields", None)
            assert field.description or nested, f"{section.__name__}.{name}"
