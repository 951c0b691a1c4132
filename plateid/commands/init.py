"""`plateid init`: writes a configuration in the terminal."""

from pathlib import Path

import click
from tomlkit import TOMLDocument

from plateid.commands.options import run_check
from plateid.config import edit
from plateid.config.cameras import CameraConfig, EventsConfig
from plateid.config.load import expected_formats, new_config
from plateid.config.outputs import HomeAssistantConfig, MqttConfig
from plateid.config.problems import checked
from plateid.core.option_types import FilePath
from plateid.errors import ConfigError

DEFAULT_NAME = "camera"
"""Name of the first camera; further ones have a number."""


@click.command(
    epilog="Example: plateid init --camera /dev/video0 --country ro --mqtt broker.local --yes"
)
@click.option(
    "-c", "--config", "path", type=FilePath(), default=new_config, show_default="plateid.toml"
)
@click.option("--camera", "urls", multiple=True, metavar="URL", help="Address of a camera.")
@click.option("--country", "regions", multiple=True, metavar="CODE", help="Expected country.")
@click.option("--mqtt", "broker", metavar="HOST[:PORT]", help="MQTT broker.")
@click.option("--yes", is_flag=True, help="Ask nothing; write it even if a test fails.")
def init(
    path: Path, urls: tuple[str, ...], regions: tuple[str, ...], broker: str | None, *, yes: bool
) -> None:
    """Write a configuration, and test the camera and the broker that it names."""
    if path.exists():
        raise ConfigError(path, "exists: change it with an editor or in the web UI")
    if not yes:
        urls = urls or _asked("Address of a camera, for example rtsp://user:password@host/stream")
        regions = regions or _asked("Expected countries, for example ro us-ca")
        broker = broker or click.prompt("MQTT broker", default="127.0.0.1")
    cameras = _cameras(urls, path.resolve().parent)
    regions = tuple(code.lower() for code in regions)
    expected_formats(EventsConfig(regions=regions))
    mqtt = _broker(broker or "127.0.0.1")
    passed = _tests_pass(cameras, mqtt)
    if not (passed or yes):
        click.confirm("Write the configuration anyway?", abort=True)

    def change(document: TOMLDocument) -> None:
        for camera, url in zip(cameras, urls, strict=True):
            edit.add_camera(document, {"name": camera.name, "url": url})
        edit.section(document, "events")["regions"] = list(regions)
        edit.set_values(edit.section(document, "mqtt"), mqtt.model_dump(exclude_unset=True))

    edit.change_config(path, change)
    click.echo(f"{path} written. Next: plateid run -c {path}")


def _asked(text: str) -> tuple[str, ...]:
    """Returns the words that a person types; none means later."""
    words: str = click.prompt(f"{text} (empty: later)", default="", show_default=False)
    return tuple(words.replace(",", " ").split())


def _cameras(urls: tuple[str, ...], folder: Path) -> list[CameraConfig]:
    names = [DEFAULT_NAME, *(f"{DEFAULT_NAME}-{number}" for number in range(2, len(urls) + 1))]
    return [
        checked(CameraConfig, {"name": name, "url": url}, context={"folder": folder})
        for name, url in zip(names, urls, strict=False)
    ]


def _broker(text: str) -> MqttConfig:
    host, separator, port = text.rpartition(":")
    if not separator or not port.isdecimal():
        return checked(MqttConfig, {"host": text})
    return checked(MqttConfig, {"host": host, "port": int(port)})


def _tests_pass(cameras: list[CameraConfig], mqtt: MqttConfig) -> bool:
    # slow to load, and `--help` needs neither
    from plateid.device_checks import camera_image  # noqa: PLC0415
    from plateid.outputs.mqtt import find_home_assistant  # noqa: PLC0415

    def broker() -> str:
        found = find_home_assistant(mqtt, HomeAssistantConfig())
        return f"{mqtt.brokers[0]}{', Home Assistant found' if found else ''}"

    passed = [run_check(c.name, lambda c: camera_image(c)[1], c) for c in cameras]
    return all([*passed, run_check("broker", broker)])
