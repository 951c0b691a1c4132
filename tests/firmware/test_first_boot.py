"""first_boot.py of the appliance, with its folders below a temporary root."""

import contextlib
import importlib
import io
import socket
import ssl
import subprocess
import sys
import tomllib
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from plateid.web.access import Access
from plateid.web.credentials import read_credentials
from tests.support.broker import free_port, until
from tests.support.certificates import Authority

FIRMWARE = Path(__file__).parents[2] / "firmware"
SCRIPT = FIRMWARE / "tree/usr/lib/plateid/first_boot.py"
sys.path.insert(0, str(SCRIPT.parent))
first_boot = importlib.import_module("first_boot")

NAME = "plateid-1a2b"
CONFIG = """
camera = [{name = "gate", url = "rtsp://camera.local/stream"}]
store.path = "/var/lib/plateid/plateid.sqlite3"
"""
CONFIG_WITH_LIST = f'{CONFIG}lists.file = "plates.csv"\n'
LIST = "plate,list\nB68SPK,allow\n"
PUBLIC_WEB_UI = 'web = {enabled = true, host = "0.0.0.0"}\n'
PASSWORD = {"web-password": "correct horse\n"}
BROKER = "var/lib/appliance/mosquitto"


class Device(NamedTuple):
    inbox: Path
    root: Path

    def put(self, name: str, content: str | bytes) -> None:
        data = content if isinstance(content, bytes) else content.encode()
        (self.inbox / name).write_bytes(data)

    def boot(self, files: dict[str, str | bytes] | None = None) -> str:
        """Runs the script with these files added to the inbox; returns its console output."""
        for name, content in (files or {}).items():
            self.put(name, content)
        with contextlib.redirect_stdout(io.StringIO()) as console:
            first_boot.main(first_boot.Appliance(*self, NAME))
        return console.getvalue()

    def boot_with_list(self) -> None:
        self.boot({"plateid.toml": CONFIG_WITH_LIST, "plates.csv": LIST})

    def installed(self, name: str) -> tuple[str, str]:
        """Mode and text of an installed file."""
        path = self.root / name
        return f"{path.stat().st_mode & 0o777:o}", path.read_text()

    def list_text(self) -> str:
        return self.installed("etc/plateid/plates.csv")[1]

    def config(self) -> dict:
        return tomllib.loads(self.installed("etc/plateid/plateid.toml")[1])

    def left(self) -> list[str]:
        return sorted(path.name for path in self.inbox.iterdir())

    def errors(self) -> str:
        return (self.inbox / "ERROR.txt").read_text()


@pytest.fixture
def device(tmp_path) -> Device:
    made = Device(tmp_path / "efi/plateid", tmp_path / "root")
    folders = ("etc/plateid", "etc/credstore", "var/lib/appliance/ssh", BROKER, "var/lib")
    for folder in (made.inbox, *(made.root / name for name in folders)):
        folder.mkdir(parents=True, exist_ok=True)
    return made


def test_config_without_device_gets_the_host_name(device):
    assert "plateid.toml installed" in device.boot({"plateid.toml": CONFIG})
    assert device.config() == {"device": NAME, **tomllib.loads(CONFIG)}
    assert device.installed("etc/plateid/plateid.toml")[0] == "640"
    assert device.left() == []
    assert not (device.root / "run").exists()


def test_config_with_device_keeps_it(device):
    device.boot({"plateid.toml": f'device = "drive"\n{CONFIG}'})
    assert device.config()["device"] == "drive"


def test_script_runs_as_a_program(device):
    device.put("plateid.toml", CONFIG)
    command = [sys.executable, SCRIPT, device.inbox, device.root]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout == f"{socket.gethostname()}: plateid.toml installed\n"


def test_byte_order_mark_and_windows_line_ends_are_accepted(device):
    device.boot(
        {
            "plateid.toml": b"\xef\xbb\xbf" + CONFIG.replace("\n", "\r\n").encode(),
            "mqtt-password": "secret\r\n",
        }
    )
    assert device.config()["camera"][0]["name"] == "gate"
    assert device.installed("etc/credstore/mqtt-password") == ("600", "secret")


def test_config_and_its_list_are_installed_together(device):
    device.boot_with_list()
    assert device.left() == []
    assert device.list_text().endswith("B68SPK,allow\n")


def test_wrong_list_keeps_the_installed_one(device):
    device.boot_with_list()
    assert "ERROR: plates.csv: " in device.boot({"plates.csv": "plate,list\nB68SPK,friends\n"})
    assert device.list_text().endswith("B68SPK,allow\n")


@pytest.mark.parametrize("reader", ["easyocr", "eyes"])
def test_wrong_config_installs_no_companion(device, reader):
    device.boot_with_list()
    assert "ERROR: plateid.toml: " in device.boot(
        {
            "plateid.toml": f'{CONFIG_WITH_LIST}models.reader = "{reader}"\n',
            "plates.csv": "plate,list\nCJ12ABC,allow\n",
            "new.csv": "plate,list\n",
        }
    )
    assert device.left() == ["ERROR.txt", "new.csv", "plateid.toml", "plates.csv"]
    assert device.list_text().endswith("B68SPK,allow\n")
    assert not (device.root / "etc/plateid/new.csv").exists()
    assert "plates.csv installed" in device.boot({"plateid.toml": CONFIG_WITH_LIST})
    assert device.left() == []
    assert device.list_text().endswith("CJ12ABC,allow\n")


def test_valid_config_with_a_wrong_list_changes_nothing(device):
    device.boot_with_list()
    assert "ERROR: plateid.toml: " in device.boot(
        {
            "plateid.toml": f"{CONFIG_WITH_LIST}web.enabled = false\n",
            "plates.csv": "plate,list\nB68SPK,friends\n",
        }
    )
    assert device.list_text().endswith("B68SPK,allow\n")
    assert "web" not in device.config()


@pytest.mark.parametrize("name", ["gate.secret", "formats.toml", "broker.pem"])
def test_companion_is_installed_next_to_the_config(device, name):
    device.boot({name: "x"})
    assert device.installed(f"etc/plateid/{name}") == ("640", "x")


def test_only_public_model_key_is_installed(device, tmp_path):
    key = tmp_path / "key"
    made = ["openssl", "genpkey", "-quiet", "-algorithm", "ed25519", "-out", key]
    subprocess.run(made, check=True)
    public = ["openssl", "pkey", "-in", key, "-pubout"]
    text = subprocess.run(public, check=True, capture_output=True, text=True).stdout
    device.boot({"model-key.pem": text})
    assert device.installed("etc/plateid/keys/model-key.pem") == ("640", text)
    assert "ERROR: model-key.pem: " in device.boot({"model-key.pem": key.read_bytes()})
    assert device.installed("etc/plateid/keys/model-key.pem") == ("640", text)


def test_config_and_list_can_change_together(device):
    for camera in ("gate", "back"):
        renamed = CONFIG.replace('"gate"', f'"{camera}"')
        device.boot(
            {
                "plateid.toml": f'{renamed}lists.file = "plates.csv"\n',
                "plates.csv": f"plate,list,cameras\nB68SPK,allow,{camera}\n",
            }
        )
        assert device.left() == []


def test_example_config_is_valid(device):
    device.boot({"plateid.toml": (FIRMWARE / "plateid.toml.example").read_bytes()} | PASSWORD)
    assert device.left() == []


def test_firewall_opens_the_ports_of_the_config(device):
    ports = device.root / "var/lib/appliance/ports.nft"
    device.boot({"plateid.toml": CONFIG})
    assert ports.read_text() == ""
    page = PUBLIC_WEB_UI.replace("}", ", port = 8000}")
    device.boot(
        {"plateid.toml": f'{CONFIG}{page}metrics = {{enabled = true, host = "::"}}\n'} | PASSWORD
    )
    assert ports.read_text() == "add element inet appliance open { 8000, 9797 }\n"
    rules = device.root / "rules"
    main = (FIRMWARE / "tree/etc/nftables.conf").read_text()
    rules.write_text(main.replace("/var/lib/appliance", str(ports.parent)))
    command = ["unshare", "--map-root-user", "--net", "/usr/sbin/nft", "--check", "--file", rules]
    subprocess.run(command, check=True)


@pytest.mark.parametrize("name", ["Europe/Bucharest", "UTC"])
def test_time_zone_is_set_for_the_service(device, name):
    device.boot({"timezone": f"{name}\r\n"})
    assert device.installed("var/lib/appliance/timezone") == ("644", f"TZ={name}\n")


@pytest.mark.parametrize("name", ["", "Bucharest", "../../etc/passwd", "UTC\nPATH=/tmp"])
def test_unknown_time_zone_is_rejected(device, name):
    device.boot({"timezone": name})
    assert device.errors().startswith("timezone: ")
    assert not (device.root / "var/lib/appliance/timezone").exists()


@pytest.mark.parametrize("store", ["", 'store.path = "gate.sqlite3"'])
def test_password_is_set_for_the_set_up_and_for_the_configuration_that_it_wrote(device, store):
    folder = device.root / "var/lib/plateid"
    if store:
        folder.mkdir()
        (folder / "plateid.toml").write_text(f"{store}\nweb.enabled = true\n")
    device.boot(PASSWORD)
    assert device.left() == []
    keys = folder / ("gate.sqlite3.web" if store else "plateid.sqlite3.web")
    assert Access(keys, needs_password=True).log_in("correct horse", "127.0.0.1")


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_public_web_ui_is_accepted_with_its_password(device, mark):
    device.boot({"plateid.toml": mark + CONFIG + PUBLIC_WEB_UI} | PASSWORD)
    assert device.left() == []
    keys = device.root / "var/lib/plateid/plateid.sqlite3.web"
    assert read_credentials(keys).has_admin
    assert Access(keys, needs_password=True).log_in("correct horse", "127.0.0.1")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            CONFIG.replace("url", "lop = 1, url"),
            'rejected: line 2: unknown key "camera[0].lop": did you mean "loop"?',
        ),
        ("camera = [", "plateid.toml: rejected: "),
        ("", "camera: is missing"),
        (CONFIG.encode("utf-16"), "plateid.toml: line 1 is not UTF-8"),
        (f"{CONFIG}events.regions = ['xx']", "events.regions: "),
        (CONFIG.replace("/var/lib/", "/srv/"), "store.path: must be a file in /var/lib/plateid"),
        (f"{CONFIG}lists.file = 'gone.csv'", "gone.csv: No such file"),
        (f"{CONFIG}models.bundle = 'gone'", "gone"),
        (f"{CONFIG}models.provider = 'cuda'", "models.provider: this device has no cuda"),
        (
            f"{CONFIG}webhook = [{{name = 'gate', url = 'http://gate/', secret_file = 'x'}}]",
            "etc/plateid/x: No such file",
        ),
        (CONFIG + PUBLIC_WEB_UI, "web.host: 0.0.0.0 needs a password"),
    ],
)
def test_wrong_config_is_reported_everywhere_and_the_old_one_stays(device, text, reason):
    device.boot({"plateid.toml": CONFIG})
    old = device.config()
    console = device.boot({"plateid.toml": text})
    assert "ERROR: plateid.toml: " in console
    assert reason in console
    assert reason in device.errors()
    assert device.left() == ["ERROR.txt", "plateid.toml"]
    assert device.config() == old
    assert [path.name for path in (device.root / "etc/plateid").iterdir()] == ["plateid.toml"]
    record = device.installed("run/systemd/dnssd/plateid.dnssd")[1]
    assert 'TxtText=problem="plateid.toml: ' in record


def test_error_file_is_deleted_after_a_correction(device):
    device.boot({"plateid.toml": ""})
    device.boot({"plateid.toml": CONFIG})
    assert device.left() == []


@pytest.mark.parametrize("name", ["plateid.toml.txt", "Plateid.toml", "mqtt-passwort"])
def test_unknown_file_is_rejected_and_the_others_are_installed(device, name):
    console = device.boot({name: CONFIG, "mqtt-password": "secret", "._mqtt-password": "of a Mac"})
    assert f"ERROR: {name}: unknown file: only authorized_keys, " in console
    assert device.installed("etc/credstore/mqtt-password") == ("600", "secret")
    assert name in device.left()


def test_ssh_keys_are_installed_and_the_host_key_is_created_once(device, tmp_path):
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    host_key = device.root / "var/lib/appliance/ssh/ssh_host_ed25519_key"
    made = []
    for _ in range(2):
        device.boot({"authorized_keys": key.with_suffix(".pub").read_text()})
        made.append(host_key.read_text())
    assert made[0] == made[1]
    assert device.left() == []
    host_key.write_bytes(b"")  # what a plug that was pulled may leave
    device.boot({"authorized_keys": key.with_suffix(".pub").read_text()})
    assert host_key.read_text().startswith("-----BEGIN")
    assert "ERROR: authorized_keys: ssh-keygen: " in device.boot({"authorized_keys": "no key"})


@pytest.mark.parametrize("users", ["ann", "ann:", ":secret", "ann:secret\nbob", "a:b:c"])
def test_wrong_broker_users_are_rejected(device, users):
    assert "is not name:password with a single colon" in device.boot({"mqtt-users": users})
    assert not list((device.root / BROKER).iterdir())


@pytest.mark.parametrize("own_certificate", [True, False])
def test_broker_opens_a_tls_port_for_users_with_a_password(device, tmp_path, own_certificate):
    trusted, host = device.inbox.parent / "mqtt-server.crt", f"{NAME}.local"
    if own_certificate:
        authority = Authority(tmp_path)
        trusted, host = authority.certificate.file, "127.0.0.1"
        issued = authority.issue(host)
        device.put("mqtt-server.crt", issued.file.read_bytes())
        device.put("mqtt-server.key", issued.key.read_bytes())
    device.boot({"mqtt-users": "ann:right\r\nbob:word\r\n"})
    assert device.left() == []
    folder, port = device.root / BROKER, free_port()
    assert "right" not in (folder / "users").read_text()
    listener = (folder / "listener.conf").read_text().replace("8883", str(port))
    config = f"per_listener_settings true\nuser root\n{listener}".replace(f"/{BROKER}", str(folder))
    (folder / "listener.conf").write_text(config)
    command = ["/usr/sbin/mosquitto", "-c", folder / "listener.conf"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as broker:
        try:
            until(lambda: listens(port))
            with closing(socket.create_connection(("127.0.0.1", port))) as tcp:
                context = ssl.create_default_context(cafile=str(trusted))
                context.wrap_socket(tcp, server_hostname=host).close()
            answers = [connack(port, password) for password in ("right", "wrong")]
        finally:
            broker.terminate()
    assert answers == ["Success", "Not authorized"]


def test_certificate_without_its_key_is_rejected(device, tmp_path):
    authority = Authority(tmp_path)
    first, second = authority.issue("127.0.0.1"), authority.issue("localhost")
    assert "ERROR: mqtt-server.crt: not a pair with mqtt-server.key: " in device.boot(
        {"mqtt-server.crt": first.file.read_bytes()}
    )
    device.boot({"mqtt-server.key": first.key.read_bytes()})
    assert device.left() == []
    before = device.installed(f"{BROKER}/mqtt-server.key")
    for content in (second.key.read_bytes(), b"", b"no key"):
        assert "ERROR: mqtt-server.key: not a pair with mqtt-server.crt: " in device.boot(
            {"mqtt-server.key": content}
        )
        assert device.installed(f"{BROKER}/mqtt-server.key") == before


def test_error_file_that_cannot_be_written_is_reported_on_the_console(device):
    device.put("Plateid.toml", CONFIG)
    (device.inbox / "ERROR.txt").mkdir()
    console = device.boot()
    assert "ERROR: Plateid.toml: unknown file" in console
    assert "ERROR: ERROR.txt: Is a directory" in console


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def connack(port: int, password: str) -> str:
    """The broker's answer to a login of user ann."""
    answers: list[str] = []
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.username_pw_set("ann", password)
    client.tls_set(cert_reqs=ssl.CERT_NONE)
    client.tls_insecure_set(True)
    client.on_connect = lambda *arguments: answers.append(str(arguments[3]))
    client.connect("127.0.0.1", port)
    client.loop_start()
    until(lambda: answers)
    client.loop_stop()
    client.disconnect()
    return answers[0]
