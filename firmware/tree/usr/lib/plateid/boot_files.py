"""Installs the files of the boot partition, one function for each kind of file.

Each function checks the file first. It raises PlateidError, OSError or ValueError and changes
nothing if the file is wrong.
"""

import ssl
import tomllib
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from appliance import (
    Appliance,
    give_to_owner_of_folder,
    is_filled,
    read_bytes,
    read_text,
    replace,
    restore,
    run,
    sync_folder,
)

from plateid.bundles.signature import public_key
from plateid.config.load import formats_of, load_config
from plateid.config.root import Config
from plateid.config.storage import StoreConfig
from plateid.errors import ConfigError, PlateidError, reason_of
from plateid.models.bundle import Bundle
from plateid.outputs.webhook import Webhook
from plateid.store.list_file import ListFile
from plateid.web import credentials

Installer = Callable[[Appliance, Path], None]
STORE = Path("var/lib/plateid")
"""The only folder that the service can write a store to."""
COMPANIONS = (".csv", ".crt", ".pem", ".secret")
"""Suffixes of files that plateid.toml may name; they are installed next to it."""
BROKER_CERTIFICATE = ("mqtt-server.crt", "mqtt-server.key")
"""Certificate and key of the broker on the device."""
OPEN_PORTS = "add element inet appliance open {{ {ports} }}\n"
LISTENER = """listener 8883
certfile {folder}/mqtt-server.crt
keyfile {folder}/mqtt-server.key
allow_anonymous false
password_file {folder}/users
"""


def installer_of(name: str) -> Installer:
    """Returns the function that installs a file of this name."""
    if name in INSTALLERS:
        return INSTALLERS[name]
    return install_companion if Path(name).suffix in COMPANIONS else reject


def reject(_device: Appliance, file: Path) -> None:
    """Rejects an unknown name: a typing error, or plateid.toml.txt."""
    known = ", ".join(sorted(INSTALLERS))
    kinds = ", ".join(f"*{suffix}" for suffix in COMPANIONS)
    raise ConfigError("unknown file", f"only {known} and {kinds}; not {file.name}")


def companions(device: Appliance) -> list[Path]:
    """Returns the files of the inbox that plateid.toml may name."""
    files = (file for file in device.inbox.iterdir() if not file.name.startswith("."))
    return sorted(file for file in files if installer_of(file.name) is install_companion)


def install_config(device: Appliance, file: Path) -> None:
    """Installs plateid.toml together with its companions, or nothing.

    It is checked at its final place: relative paths in it are relative to its folder.
    """
    text = read_text(file)
    new = device.etc / "plateid.toml.new"
    places = {each: device.etc / each.name for each in companions(device)}
    before = {place: read_bytes(place) for place in places.values()}
    try:
        for each, place in places.items():
            replace(place, each.read_bytes(), 0o640)
        replace(new, text, 0o640)
        config = load_config(new)  # before a line is added: errors name the lines of the user
        check(device, config)
        if "device" not in tomllib.loads(text):
            replace(new, f'device = "{device.name}"\n{text}', 0o640)
    except (PlateidError, OSError, ValueError) as error:
        for place, content in before.items():
            restore(place, content)
        reason = error if isinstance(error, OSError) else reason_of(error)
        raise ConfigError("rejected", str(reason).replace(f"{new}: ", "")) from error
    else:
        new.replace(device.etc / "plateid.toml")
        sync_folder(device.etc)
        open_ports(device, config)
        for each in places:
            each.unlink()
            device.log(f"{each.name} installed")
    finally:
        new.unlink(missing_ok=True)


def check(device: Appliance, config: Config) -> None:
    """Checks everything that could keep the service from starting.

    Raises:
        PlateidError: Something is wrong.
    """
    formats_of(config)
    ListFile(config.lists, [camera.name for camera in config.camera])
    for webhook in config.webhook:
        Webhook(webhook)
    Bundle(config.models.bundle)
    if config.models.provider != "cpu":
        raise ConfigError("models.provider", f"this device has no {config.models.provider}")
    if config.models.reader != "bundle":
        raise ConfigError("models.reader", f"this device has no {config.models.reader}")
    if config.store.path.parent != Path("/", STORE):
        raise ConfigError("store.path", f"must be a file in /{STORE}")
    if config.web.enabled:
        known = credentials.read_credentials(credentials_file(device, config.store))
        credentials.require_password(config.web, known)


def open_ports(device: Appliance, config: Config) -> None:
    """Opens the firewall for web UI and metrics that other hosts may reach."""
    servers = (config.metrics, config.web)
    ports = {s.port for s in servers if s.enabled and not s.host.is_loopback}
    rules = OPEN_PORTS.format(ports=", ".join(map(str, sorted(ports)))) if ports else ""
    replace(device.state / "ports.nft", rules, 0o644)


def credentials_file(device: Appliance, store: StoreConfig) -> Path:
    """Returns the web UI's credentials file, next to the store."""
    return credentials.credentials_file(device.root / STORE / store.path.name)


def install_web_password(device: Appliance, file: Path) -> None:
    """Sets the web UI's password, for the store of the new, the present, or no configuration."""
    folders = (device.inbox, device.etc, device.root / STORE)  # the set-up writes to the last one
    found = (path for folder in folders if (path := folder / "plateid.toml").exists())
    config = next(found, None)
    store = load_config(config).store if config else StoreConfig()
    hashed = credentials.hash_password(read_text(file).rstrip("\r\n"))
    admin = credentials.User("admin", hashed)
    target = credentials_file(device, store)
    target.parent.mkdir(mode=0o700, exist_ok=True)
    known = credentials.read_credentials(target)
    credentials.write_credentials(target, known.with_user("admin", admin))
    give_to_owner_of_folder(target)


def install_companion(device: Appliance, file: Path) -> None:
    """Installs a file next to plateid.toml, which must remain valid with it."""
    place, config = device.etc / file.name, device.etc / "plateid.toml"
    before = read_bytes(place)
    replace(place, file.read_bytes(), 0o640)
    try:
        if config.exists():
            check(device, load_config(config))
    except PlateidError:
        restore(place, before)
        raise


def install_model_key(device: Appliance, file: Path) -> None:
    """Installs a public key whose model bundles the device accepts."""
    public_key(file)
    folder = device.etc / "keys"
    folder.mkdir(mode=0o750, exist_ok=True)
    replace(folder / file.name, file.read_bytes(), 0o640)


def install_secret(device: Appliance, file: Path) -> None:
    """Installs a credential of the service."""
    replace(device.root / "etc/credstore" / file.name, read_text(file).rstrip("\r\n"), 0o600)


def install_timezone(device: Appliance, file: Path) -> None:
    """Sets the time zone of plateid.service; the rest of the device uses UTC."""
    name = read_text(file).strip()
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        reason = f"unknown time zone {name!r}; example: Europe/Bucharest"
        raise ConfigError("rejected", reason) from error
    replace(device.state / "timezone", f"TZ={name}\n", 0o644)


def install_ssh_keys(device: Appliance, file: Path) -> None:
    """Allows SSH logins with these keys, and creates the host key if there is none."""
    run("ssh-keygen", "-l", "-f", file)
    folder = device.state / "ssh"
    key = folder / "ssh_host_ed25519_key"
    if not is_filled(key):
        key.unlink(missing_ok=True)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", device.name, "-f", key)
    replace(folder / "authorized_keys", read_text(file), 0o600)


def install_mqtt_users(device: Appliance, file: Path) -> None:
    """Opens the device's broker to the network, for these users, with TLS."""
    lines = [line.strip() for line in read_text(file).splitlines() if line.strip()]
    for number, line in enumerate(lines, start=1):
        if not all(line.partition(":")) or line.count(":") > 1:
            raise ConfigError(f"line {number}", "is not name:password with a single colon")
    folder = device.state / "mosquitto"
    users = folder / "users.new"
    replace(users, "".join(f"{line}\n" for line in lines), 0o600)
    run("mosquitto_passwd", "-U", users)
    give_to_owner_of_folder(users)
    users.replace(folder / "users")
    if not all(is_filled(folder / name) for name in BROKER_CERTIFICATE):
        create_certificate(device, folder)
    final_folder = Path("/var/lib/appliance/mosquitto")
    replace(folder / "listener.conf", LISTENER.format(folder=final_folder), 0o600)


def create_certificate(device: Appliance, folder: Path) -> None:
    """Creates a self-signed certificate, and puts a copy for clients on the boot partition."""
    host = f"{device.name}.local"
    file, key = (folder / name for name in BROKER_CERTIFICATE)
    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650")
    names = ("-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}")
    run("openssl", "req", "-x509", *kind, *names, "-keyout", key, "-out", file)
    give_to_owner_of_folder(key)
    give_to_owner_of_folder(file)
    replace(device.inbox.parent / "mqtt-server.crt", file.read_bytes(), 0o644)


def install_mqtt_certificate(device: Appliance, file: Path) -> None:
    """Installs certificate and key of the device's broker if they belong together."""
    folder = device.state / "mosquitto"
    pair = [
        new if (new := device.inbox / name).exists() else folder / name
        for name in BROKER_CERTIFICATE
    ]
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(pair[0], pair[1], password="")
    except OSError as error:
        other = pair[file.name == BROKER_CERTIFICATE[0]]
        raise ConfigError(f"not a pair with {other.name}", error) from error
    for each in pair:
        if each.parent == device.inbox:
            replace(folder / each.name, each.read_bytes(), 0o600)


INSTALLERS: dict[str, Installer] = {
    "authorized_keys": install_ssh_keys,
    "formats.toml": install_companion,
    "model-key.pem": install_model_key,
    "mqtt-key": install_secret,
    "mqtt-password": install_secret,
    "mqtt-server.crt": install_mqtt_certificate,
    "mqtt-server.key": install_mqtt_certificate,
    "mqtt-users": install_mqtt_users,
    "plateid.toml": install_config,
    "timezone": install_timezone,
    "web-password": install_web_password,
}
