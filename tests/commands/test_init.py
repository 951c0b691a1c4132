"""`plateid init` with a real broker and a video file."""

import tomllib

import pytest
from click.testing import CliRunner

from plateid.commands.main import main
from plateid.config.load import load_config
from tests.support.broker import free_port
from tests.support.videos import write_video


def init(folder, *options, typed=None):
    command = ["init", "-c", str(folder / "plateid.toml"), *options]
    return CliRunner().invoke(main, command, input=typed)


def test_options_write_a_commented_configuration_and_test_it(tmp_path, broker):
    broker.start()
    write_video(tmp_path / "video.mp4", count=5)
    options = ("--camera", str(tmp_path / "video.mp4"), "--camera", "rtsp://127.0.0.1:1/x")
    address = f"127.0.0.1:{broker.port}"
    done = init(tmp_path, *options, "--country", "RO", "--mqtt", address, "--yes")
    assert done.exit_code == 0, done.output
    assert "ok    camera " in done.output
    assert "FAIL  camera-2 rtsp://127.0.0.1:1/x: Connection refused" in done.output
    assert f"ok    broker   {address}" in done.output
    config = load_config(tmp_path / "plateid.toml")
    assert [camera.name for camera in config.camera] == ["camera", "camera-2"]
    assert config.events.regions == ("ro",)
    assert (config.mqtt.host, config.mqtt.port) == ("127.0.0.1", broker.port)
    assert "# expected countries" in (tmp_path / "plateid.toml").read_text()


def test_typed_answers_write_a_configuration(tmp_path):
    address = f"127.0.0.1:{free_port()}"
    done = init(tmp_path, typed=f"\nro, us-ca\n{address}\ny\n")
    assert done.exit_code == 0, done.output
    written = tomllib.loads((tmp_path / "plateid.toml").read_text())
    assert written["events"]["regions"] == ["ro", "us-ca"]
    assert "camera" not in written


def test_failed_test_leaves_the_decision_to_the_user(tmp_path):
    done = init(tmp_path, typed=f"\n\n127.0.0.1:{free_port()}\nn\n")
    assert done.exit_code == 1
    assert "Connection refused" in done.output
    assert not (tmp_path / "plateid.toml").exists()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--country", "atlantis"), "atlantis"),
        (("--camera", ""), "url"),
        (("--mqtt", "host:99999"), "port: must be less than or equal to 65535"),
    ],
)
def test_wrong_option_is_named_and_nothing_is_written(tmp_path, options, reason):
    done = init(tmp_path, *options, "--yes")
    assert (done.exit_code, reason in done.output) == (2, True), done.output
    assert not (tmp_path / "plateid.toml").exists()


def test_present_configuration_is_kept(tmp_path):
    (tmp_path / "plateid.toml").write_text("# mine")
    done = init(tmp_path, "--yes")
    assert (done.exit_code, "exists" in done.output) == (2, True)
    assert (tmp_path / "plateid.toml").read_text() == "# mine"
