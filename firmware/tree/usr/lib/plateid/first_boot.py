"""Takes over what was laid into the folder plateid/ of the boot partition.

    plateid.toml      the configuration; without `device` the box is called by its host name
    *.csv *.crt *.pem *.secret, formats.toml: go beside it
    model-key.pem     whose model bundles may be installed
    mqtt-password     of the broker (mqtt.password_file), mqtt-key: key of our own certificate
    web-password      of the live page
    timezone          of the lists, the page and searches, as Europe/Bucharest; default: UTC
    authorized_keys   who may log in by ssh, as root
    mqtt-users        lines of name:password: opens port 8883 of the broker on this box, with TLS
    mqtt-server.crt, mqtt-server.key: its certificate; default: one that the box signs itself

What is right is taken over and removed there. What is wrong stays, with the reason in ERROR.txt
beside it, on the console, on the page at port 8480 and in the DNS-SD record; the box goes on with
what it had.
"""

import html
import os
import socket
import ssl
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from plateid.bundles.signature import public_key
from plateid.config.load import load_config
from plateid.config.plate_formats import formats_of
from plateid.config.root import Config
from plateid.errors import ConfigError, PlateidError, reason_of
from plateid.models.bundle import Bundle
from plateid.outputs.webhook import Webhook
from plateid.store.list_file import ListFile
from plateid.web import credentials

ERRORS = "ERROR.txt"
STORE = Path("var/lib/plateid")
BESIDE = (".csv", ".crt", ".pem", ".secret")
PAIR = ("mqtt-server.crt", "mqtt-server.key")
PORTS = "add element inet appliance open {{ {ports} }}\n"
LISTENER = """listener 8883
certfile {folder}/mqtt-server.crt
keyfile {folder}/mqtt-server.key
allow_anonymous false
password_file {folder}/users
"""
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title>
<h1>{name}</h1><p>plateid does not run: its configuration on the boot partition is wrong.</p>
<ul>{items}</ul>
"""
SERVICE = """[Service]
Name=%H
Type=_http._tcp
Port=8480
TxtText=problem={problem}
"""


@dataclass(frozen=True)
class Box:
    """Where things are.

    Attributes:
        drop: Folder of the boot partition.
        root: What the box has as /.
        name: Its host name.
    """

    drop: Path
    root: Path
    name: str

    @property
    def etc(self) -> Path:
        """The folder of plateid.toml."""
        return self.root / "etc/plateid"

    def path(self, text: str) -> Path:
        """A path below the root."""
        return self.root / text


def main(box: Box) -> None:
    """Goes through the files; those that plateid.toml may name come first."""
    names = {file.name for file in box.drop.iterdir() if not file.name.startswith(".")}
    problems = []
    if "plateid.toml" in names:  # which takes them along
        names -= {file.name for file in laid_beside(box)}
    for name in sorted(names - {ERRORS}, key=lambda name: (name in LATE, name == LATE[-1], name)):
        try:
            taker(name)(box, box.drop / name)
            os.sync()  # what other programs wrote, before the original goes
            (box.drop / name).unlink()
        except (PlateidError, OSError, UnicodeDecodeError, ValueError) as error:
            reason = error if isinstance(error, OSError) else reason_of(error)
            problems.append(f"{name}: {reason}")
        else:
            say(box, f"{name} taken over")
    if problems:
        report(box, problems)
    try:
        if problems:
            (box.drop / ERRORS).write_text("".join(f"{problem}\r\n" for problem in problems))
        elif ERRORS in names:
            (box.drop / ERRORS).unlink()
    except OSError as error:  # the boot partition is full or read-only
        say(box, f"WRONG: {ERRORS}: {error.strerror}")


def taker(name: str) -> Callable[[Box, Path], None]:
    """What takes a file over."""
    if name in TAKERS:
        return TAKERS[name]
    return take_beside if Path(name).suffix in BESIDE else refuse


def refuse(_box: Box, file: Path) -> None:
    """A file of another name: a typing error, or plateid.toml.txt."""
    known = ", ".join(sorted(TAKERS))
    kinds = ", ".join(f"*{suffix}" for suffix in BESIDE)
    raise ConfigError("unknown file", f"only {known} and {kinds}; not {file.name}")


def laid_beside(box: Box) -> list[Path]:
    """Files that plateid.toml may name."""
    files = (file for file in box.drop.iterdir() if not file.name.startswith("."))
    return sorted(file for file in files if taker(file.name) is take_beside)


def take_config(box: Box, file: Path) -> None:
    """Checks it where it will be, as relative paths are relative to it, with what it may name."""
    text = read(file)
    new = box.etc / "plateid.toml.new"
    beside = {each: box.etc / each.name for each in laid_beside(box)}
    before = {place: content_of(place) for place in beside.values()}
    try:
        for each, place in beside.items():
            put(place, each.read_bytes(), 0o640)
        if "device" not in tomllib.loads(text):
            text = f'device = "{box.name}"\n{text}'
        put(new, text, 0o640)
        config = load_config(new)
        check(box, config)
    except (PlateidError, OSError, ValueError) as error:
        for place, content in before.items():
            put_back(place, content)
        reason = error if isinstance(error, OSError) else reason_of(error)
        raise ConfigError("refused", str(reason).removeprefix(f"{new}: ")) from error
    else:
        new.replace(box.etc / "plateid.toml")
        sync(box.etc)
        open_ports(box, config)
        for each in beside:
            each.unlink()
            say(box, f"{each.name} taken over")
    finally:
        new.unlink(missing_ok=True)


def content_of(file: Path) -> bytes | None:
    """None where there is no file."""
    return file.read_bytes() if file.exists() else None


def put_back(file: Path, content: bytes | None) -> None:
    """As it was before."""
    if content is not None:
        put(file, content, 0o640)
    else:
        file.unlink(missing_ok=True)


def check(box: Box, config: Config) -> None:
    """All that would keep the service from starting.

    Raises:
        PlateidError: What it says.
    """
    formats_of(config)
    ListFile(config.lists, [camera.name for camera in config.camera])
    for webhook in config.webhook:
        Webhook(webhook)
    Bundle(config.models.bundle)
    if config.models.provider != "cpu":
        raise ConfigError("models.provider", f"this box has no {config.models.provider}")
    if config.models.reader != "bundle":
        raise ConfigError("models.reader", f"this box has no {config.models.reader}")
    if config.store.path.parent != Path("/", STORE):
        raise ConfigError("store.path", f"has to be a file in /{STORE}")
    if config.web.enabled:
        credentials.require_password(config.web, credentials.read_credentials(keys_of(box, config)))


def open_ports(box: Box, config: Config) -> None:
    """For the firewall: where the page and the metrics listen, if others may reach them."""
    listening = [section for section in (config.metrics, config.web) if section.enabled]
    ports = {section.port for section in listening if not section.host.is_loopback}
    rules = PORTS.format(ports=", ".join(map(str, sorted(ports)))) if ports else ""
    put(box.path("var/lib/appliance/ports.nft"), rules, 0o644)


def keys_of(box: Box, config: Config) -> Path:
    """The file of the page's passwords, beside the store."""
    return credentials.credentials_file(box.path(str(STORE)) / config.store.path.name)


def take_web_password(box: Box, file: Path) -> None:
    """For the store that plateid.toml names, or will name."""
    candidates = (box.drop / "plateid.toml", box.etc / "plateid.toml")
    config = load_config(next((path for path in candidates if path.exists()), candidates[1]))
    keys = keys_of(box, config)
    keys.parent.mkdir(mode=0o700, exist_ok=True)
    known = credentials.read_credentials(keys)
    hashed = credentials.hash_password(read(file).rstrip("\r\n"))
    credentials.write_credentials(keys, replace(known, admin=hashed))
    own(keys)


def take_beside(box: Box, file: Path) -> None:
    """Goes beside plateid.toml, which may name it, and then has to be able to use it."""
    place, config = box.etc / file.name, box.etc / "plateid.toml"
    before = content_of(place)
    put(place, file.read_bytes(), 0o640)
    try:
        if config.exists():
            check(box, load_config(config))
    except PlateidError:
        put_back(place, before)
        raise


def take_model_key(box: Box, file: Path) -> None:
    """Its owner's bundles may be installed."""
    public_key(file)
    folder = box.etc / "keys"
    folder.mkdir(mode=0o750, exist_ok=True)
    put(folder / file.name, file.read_bytes(), 0o640)


def take_secret(box: Box, file: Path) -> None:
    """Becomes a credential of the service."""
    put(box.path("etc/credstore") / file.name, read(file).rstrip("\r\n"), 0o600)


def take_timezone(box: Box, file: Path) -> None:
    """Becomes the service's local time; the rest of the box has UTC."""
    name = read(file).strip()
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigError("refused", f"there is no zone {name}; as Europe/Bucharest") from error
    put(box.path("var/lib/appliance/timezone"), f"TZ={name}\n", 0o644)


def take_ssh_keys(box: Box, file: Path) -> None:
    """Who logs in; the box gets its own key with the first of them."""
    run("ssh-keygen", "-l", "-f", file)
    folder = box.path("var/lib/appliance/ssh")
    key = folder / "ssh_host_ed25519_key"
    if not is_whole(key):
        key.unlink(missing_ok=True)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", box.name, "-f", key)
    put(folder / "authorized_keys", read(file), 0o600)


def take_mqtt_users(box: Box, file: Path) -> None:
    """Opens the broker to others."""
    lines = [line.strip() for line in read(file).splitlines() if line.strip()]
    for number, line in enumerate(lines, start=1):
        if not all(line.partition(":")) or line.count(":") > 1:
            raise ConfigError(f"line {number}", "is not name:password, neither with a colon")
    folder = box.path("var/lib/appliance/mosquitto")
    users = folder / "users.new"
    put(users, "".join(f"{line}\n" for line in lines), 0o600)
    run("mosquitto_passwd", "-U", users)
    own(users)
    users.replace(folder / "users")
    if not all(is_whole(folder / name) for name in PAIR):
        sign_certificate(box, folder)
    place = Path("/var/lib/appliance/mosquitto")
    put(folder / "listener.conf", LISTENER.format(folder=place), 0o600)


def sign_certificate(box: Box, folder: Path) -> None:
    """A certificate that users have to be given: it stays on the boot partition."""
    host, file, key = f"{box.name}.local", folder / "mqtt-server.crt", folder / "mqtt-server.key"
    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650")
    names = ("-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}")
    run("openssl", "req", "-x509", *kind, *names, "-keyout", key, "-out", file)
    own(key)
    own(file)
    put(box.drop.parent / "mqtt-server.crt", file.read_bytes(), 0o644)


def take_mqtt_certificate(box: Box, file: Path) -> None:
    """For the broker of this box, which does not start with half a pair."""
    folder = box.path("var/lib/appliance/mosquitto")
    pair = [laid if (laid := box.drop / name).exists() else folder / name for name in PAIR]
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(pair[0], pair[1], password="")
    except OSError as error:
        raise ConfigError(f"not a pair with {pair[file.name == PAIR[0]].name}", error) from error
    for each in pair:
        if each.parent == box.drop:
            put(folder / each.name, each.read_bytes(), 0o600)


def read(file: Path) -> str:
    """Text of any editor: Windows begins it with a mark."""
    return file.read_text(encoding="utf-8-sig")


def put(file: Path, content: str | bytes, mode: int) -> None:
    """Replaces a file at once, so that a pulled plug leaves the old or the new one."""
    new = file.with_name(f".{file.name}")
    new.unlink(missing_ok=True)
    new.touch(mode)
    with new.open("wb") as out:
        out.write(content.encode() if isinstance(content, str) else content)
        out.flush()
        os.fsync(out.fileno())
    own(new)
    new.replace(file)
    sync(file.parent)


def is_whole(file: Path) -> bool:
    """Whether it is there; a plug that was pulled leaves empty ones."""
    return file.is_file() and file.stat().st_size > 0


def own(file: Path) -> None:
    """It belongs to whom its folder belongs to."""
    folder = file.parent.stat()
    os.chown(file, folder.st_uid, folder.st_gid)


def sync(folder: Path) -> None:
    """What was renamed in it stays so."""
    number = os.open(folder, os.O_RDONLY)
    os.fsync(number)
    os.close(number)


def run(*command: str | Path) -> None:
    """Runs a program.

    Raises:
        ConfigError: It failed; with its last line.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or [f"exit {done.returncode}"]
        raise ConfigError(command[0], lines[-1])


def report(box: Box, problems: list[str]) -> None:
    """Says what is wrong, wherever somebody may look who has the box only."""
    for problem in problems:
        say(box, f"WRONG: {problem}")
    items = "".join(f"<li>{html.escape(problem)}" for problem in problems)
    write(box.path("run/appliance/page/index.html"), PAGE.format(name=box.name, items=items))
    short = problems[0].replace("%", "%%").replace('"', "'")[:200]
    write(box.path("run/systemd/dnssd/plateid.dnssd"), SERVICE.format(problem=f'"{short}"'))


def write(file: Path, text: str) -> None:
    """Into memory, for this start; others may read it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(0o644)


def say(box: Box, text: str) -> None:
    """On the console."""
    print(f"{box.name}: {text}", flush=True)  # noqa: T201 - that is what it is for


TAKERS: dict[str, Callable[[Box, Path], None]] = {
    "authorized_keys": take_ssh_keys,
    "formats.toml": take_beside,
    "model-key.pem": take_model_key,
    "mqtt-key": take_secret,
    "mqtt-password": take_secret,
    "mqtt-server.crt": take_mqtt_certificate,
    "mqtt-server.key": take_mqtt_certificate,
    "mqtt-users": take_mqtt_users,
    "plateid.toml": take_config,
    "timezone": take_timezone,
    "web-password": take_web_password,
}
LATE = ("web-password", "plateid.toml")
"""They need what comes before them."""

if __name__ == "__main__":
    drop, root = sys.argv[1:] or ("/efi/plateid", "/")
    main(Box(Path(drop), Path(root), socket.gethostname()))
