"""firmware/tree/usr/lib/plateid/first_boot.py, on folders of its own."""

import contextlib
import importlib.util
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
GOOD = """
camera = [{name = "gate", url = "rtsp://camera.local/stream"}]
store.path = "/var/lib/plateid/plateid.sqlite3"
"""
LISTED = f'{GOOD}lists.file = "plates.csv"\n'
LIST = "plate,list\nB68SPK,allow\n"
OPEN_PAGE = 'web = {enabled = true, host = "0.0.0.0"}\n'


NAME = "plateid-1a2b"
first_boot = importlib.util.module_from_spec(
    spec := importlib.util.spec_from_file_location("first_boot", SCRIPT)
)
sys.modules["first_boot"] = first_boot  # which dataclasses ask for
spec.loader.exec_module(first_boot)


class Box(NamedTuple):
    drop: Path
    root: Path

    def lay(self, name: str, content: str | bytes) -> None:
        path = self.drop / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def start_with_list(self) -> None:
        self.lay("plateid.toml", LISTED)
        self.lay("plates.csv", LIST)
        self.start()

    def start(self) -> str:
        """What it says on the console."""
        with contextlib.redirect_stdout(io.StringIO()) as console:
            first_boot.main(first_boot.Box(*self, NAME))
        return console.getvalue()

    def taken(self, name: str) -> tuple[str, str]:
        """Mode and text of what was taken over."""
        path = self.root / name
        return f"{path.stat().st_mode & 0o777:o}", path.read_text()

    def config(self) -> dict:
        return tomllib.loads(self.taken("etc/plateid/plateid.toml")[1])

    def left(self) -> list[str]:
        return sorted(path.name for path in self.drop.iterdir())

    def errors(self) -> str:
        return (self.drop / "ERROR.txt").read_text()


@pytest.fixture
def box(tmp_path) -> Box:
    made = Box(tmp_path / "efi/plateid", tmp_path / "root")
    appliance = "var/lib/appliance"
    folders = ("etc/plateid", "etc/credstore", f"{appliance}/ssh", f"{appliance}/mosquitto")
    for folder in (made.drop, *(made.root / name for name in (*folders, "var/lib"))):
        folder.mkdir(parents=True, exist_ok=True)
    return made


def test_a_configuration_is_taken_over_and_called_after_the_box(box):
    box.lay("plateid.toml", GOOD)
    assert "plateid.toml taken over" in box.start()
    assert box.config() == {"device": NAME, **tomllib.loads(GOOD)}
    assert box.taken("etc/plateid/plateid.toml")[0] == "640"
    assert box.left() == []
    assert not (box.root / "run").exists()


def test_a_device_that_has_a_name_keeps_it(box):
    box.lay("plateid.toml", f'device = "drive"\n{GOOD}')
    box.start()
    assert box.config()["device"] == "drive"


def test_it_is_a_program(box):
    box.lay("plateid.toml", GOOD)
    command = [sys.executable, SCRIPT, box.drop, box.root]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout == f"{socket.gethostname()}: plateid.toml taken over\n"


def test_windows_may_have_written_it(box):
    box.lay("plateid.toml", b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    box.lay("mqtt-password", "secret\r\n")
    box.start()
    assert box.config()["camera"][0]["name"] == "gate"
    assert box.taken("etc/credstore/mqtt-password") == ("600", "secret")


def test_files_that_it_names_may_come_along(box):
    box.start_with_list()
    assert box.left() == []
    assert box.taken("etc/plateid/plates.csv")[1].endswith("B68SPK,allow\n")


def test_a_list_that_is_wrong_does_not_replace_the_one_in_use(box):
    box.start_with_list()
    box.lay("plates.csv", "plate,list\nB68SPK,friends\n")
    assert "WRONG: plates.csv: " in box.start()
    assert box.taken("etc/plateid/plates.csv")[1].endswith("B68SPK,allow\n")


@pytest.mark.parametrize("reader", ["easyocr", "eyes"])
def test_a_configuration_that_is_wrong_takes_nothing_along(box, reader):
    box.start_with_list()
    box.lay("plateid.toml", f'{LISTED}models.reader = "{reader}"\n')
    box.lay("plates.csv", "plate,list\nCJ12ABC,allow\n")
    box.lay("new.csv", "plate,list\n")
    assert "WRONG: plateid.toml: " in box.start()
    assert box.left() == ["ERROR.txt", "new.csv", "plateid.toml", "plates.csv"]
    assert box.taken("etc/plateid/plates.csv")[1].endswith("B68SPK,allow\n")
    assert not (box.root / "etc/plateid/new.csv").exists()
    box.lay("plateid.toml", LISTED)
    assert "plates.csv taken over" in box.start()
    assert box.left() == []
    assert box.taken("etc/plateid/plates.csv")[1].endswith("CJ12ABC,allow\n")


def test_a_list_that_is_wrong_and_a_configuration_that_is_right_change_nothing(box):
    box.start_with_list()
    box.lay("plateid.toml", f"{LISTED}web.enabled = false\n")
    box.lay("plates.csv", "plate,list\nB68SPK,friends\n")
    assert "WRONG: plateid.toml: " in box.start()
    assert box.taken("etc/plateid/plates.csv")[1].endswith("B68SPK,allow\n")
    assert "web" not in box.config()


@pytest.mark.parametrize("name", ["gate.secret", "formats.toml", "broker.pem"])
def test_what_else_a_configuration_may_name_goes_beside_it(box, name):
    box.lay(name, "x")
    box.start()
    assert box.taken(f"etc/plateid/{name}") == ("640", "x")


def test_whose_model_bundles_may_be_installed_goes_where_they_are_looked_for(box, tmp_path):
    key = tmp_path / "key"
    made = ["openssl", "genpkey", "-quiet", "-algorithm", "ed25519", "-out", key]
    subprocess.run(made, check=True)
    public = ["openssl", "pkey", "-in", key, "-pubout"]
    text = subprocess.run(public, check=True, capture_output=True, text=True).stdout
    box.lay("model-key.pem", text)
    box.start()
    assert box.taken("etc/plateid/keys/model-key.pem") == ("640", text)
    box.lay("model-key.pem", key.read_bytes())
    assert "WRONG: model-key.pem: " in box.start()
    assert box.taken("etc/plateid/keys/model-key.pem") == ("640", text)


def test_a_list_and_a_configuration_may_change_together(box):
    for camera in ("gate", "back"):
        renamed = GOOD.replace('"gate"', f'"{camera}"')
        box.lay("plateid.toml", f'{renamed}lists.file = "plates.csv"\n')
        box.lay("plates.csv", f"plate,list,cameras\nB68SPK,allow,{camera}\n")
        box.start()
        assert box.left() == []


def test_the_example_on_the_boot_partition_is_accepted(box):
    box.lay("plateid.toml", (FIRMWARE / "plateid.toml.example").read_bytes())
    box.lay("web-password", "correct horse\n")
    box.start()
    assert box.left() == []


def test_the_firewall_opens_the_ports_that_the_configuration_names(box):
    ports = box.root / "var/lib/appliance/ports.nft"
    box.lay("plateid.toml", GOOD)
    box.start()
    assert ports.read_text() == ""
    page = OPEN_PAGE.replace("}", ", port = 8000}")
    box.lay("plateid.toml", f'{GOOD}{page}metrics = {{enabled = true, host = "::"}}\n')
    box.lay("web-password", "correct horse\n")
    box.start()
    assert ports.read_text() == "add element inet appliance open { 8000, 9797 }\n"
    rules = box.root / "rules"
    main = (FIRMWARE / "tree/etc/nftables.conf").read_text()
    rules.write_text(main.replace("/var/lib/appliance", str(ports.parent)))
    command = ["unshare", "--map-root-user", "--net", "/usr/sbin/nft", "--check", "--file", rules]
    subprocess.run(command, check=True)


@pytest.mark.parametrize("name", ["Europe/Bucharest", "UTC"])
def test_the_service_has_the_time_of_its_place(box, name):
    box.lay("timezone", f"{name}\r\n")
    box.start()
    assert box.taken("var/lib/appliance/timezone") == ("644", f"TZ={name}\n")


@pytest.mark.parametrize("name", ["", "Bucharest", "../../etc/passwd", "UTC\nPATH=/tmp"])
def test_a_place_that_nobody_knows_is_named(box, name):
    box.lay("timezone", name)
    box.start()
    assert box.errors().startswith("timezone: ")
    assert not (box.root / "var/lib/appliance/timezone").exists()


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_page_for_the_network_may_come_with_its_password(box, mark):
    box.lay("plateid.toml", mark + GOOD + OPEN_PAGE)
    box.lay("web-password", "correct horse\n")
    box.start()
    assert box.left() == []
    keys = box.root / "var/lib/plateid/plateid.sqlite3.web"
    assert read_credentials(keys).admin
    assert Access(keys, needs_password=True).log_in("correct horse", "127.0.0.1")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (GOOD.replace("url", "lop = 1, url"), "camera[0].lop: Extra inputs are not permitted"),
        ("camera = [", "plateid.toml: refused: "),
        ("", "camera: Field required"),
        (GOOD.encode("utf-16"), "plateid.toml: line 1 is not UTF-8"),
        (f"{GOOD}events.regions = ['xx']", "events.regions: "),
        (GOOD.replace("/var/lib/", "/srv/"), "store.path: has to be a file in /var/lib/plateid"),
        (f"{GOOD}lists.file = 'gone.csv'", "gone.csv: No such file"),
        (f"{GOOD}models.bundle = 'gone'", "gone"),
        (f"{GOOD}models.provider = 'cuda'", "models.provider: this box has no cuda"),
        (
            f"{GOOD}webhook = [{{name = 'gate', url = 'http://gate/', secret_file = 'x'}}]",
            "etc/plateid/x: No such file",
        ),
        (GOOD + OPEN_PAGE, "web.host: 0.0.0.0 needs a password"),
    ],
)
def test_a_wrong_configuration_is_told_everywhere_and_the_old_one_stays(box, text, reason):
    box.lay("plateid.toml", GOOD)
    box.start()
    old = box.config()
    box.lay("plateid.toml", text)
    console = box.start()
    assert "WRONG: plateid.toml: " in console
    assert reason in console
    assert reason in box.errors()
    assert box.left() == ["ERROR.txt", "plateid.toml"]
    assert box.config() == old
    assert [path.name for path in (box.root / "etc/plateid").iterdir()] == ["plateid.toml"]
    mode, page = box.taken("run/appliance/page/index.html")
    assert (mode, "<li>plateid.toml: " in page) == ("644", True)
    assert 'TxtText=problem="plateid.toml: ' in box.taken("run/systemd/dnssd/plateid.dnssd")[1]


def test_what_is_wrong_is_no_markup_of_the_page(box):
    box.lay("plateid.toml", f"{GOOD}'<script>' = 1")
    box.start()
    assert "<script>" in box.errors()
    assert "<script>" not in box.taken("run/appliance/page/index.html")[1]


def test_once_it_is_right_nothing_tells_of_the_error(box):
    box.lay("plateid.toml", "")
    box.start()
    box.lay("plateid.toml", GOOD)
    box.start()
    assert box.left() == []


@pytest.mark.parametrize("name", ["plateid.toml.txt", "Plateid.toml", "mqtt-passwort"])
def test_a_file_of_another_name_is_an_error_and_the_others_are_taken(box, name):
    box.lay(name, GOOD)
    box.lay("mqtt-password", "secret")
    box.lay("._mqtt-password", "of a Mac")
    console = box.start()
    assert f"WRONG: {name}: unknown file: only authorized_keys, " in console
    assert box.taken("etc/credstore/mqtt-password") == ("600", "secret")
    assert name in box.left()


def test_ssh_keys_let_in_and_the_box_makes_its_own_once(box, tmp_path):
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    host_key = box.root / "var/lib/appliance/ssh/ssh_host_ed25519_key"
    made = []
    for _ in range(2):
        box.lay("authorized_keys", key.with_suffix(".pub").read_text())
        box.start()
        made.append(host_key.read_text())
    assert made[0] == made[1]
    assert box.left() == []
    host_key.write_bytes(b"")  # what a plug that was pulled may leave
    box.lay("authorized_keys", key.with_suffix(".pub").read_text())
    box.start()
    assert host_key.read_text().startswith("-----BEGIN")
    box.lay("authorized_keys", "no key")
    assert "WRONG: authorized_keys: ssh-keygen: " in box.start()


@pytest.mark.parametrize("users", ["ann", "ann:", ":secret", "ann:secret\nbob", "a:b:c"])
def test_users_of_the_broker_have_a_name_and_a_password(box, users):
    box.lay("mqtt-users", users)
    assert "is not name:password" in box.start()
    assert not list((box.root / "var/lib/appliance/mosquitto").iterdir())


@pytest.mark.parametrize("own_certificate", [True, False])
def test_its_broker_opens_a_port_with_tls_for_users_with_a_password(box, tmp_path, own_certificate):
    box.lay("mqtt-users", "ann:right\r\nbob:word\r\n")
    trusted = box.drop.parent / "mqtt-server.crt"
    host = f"{NAME}.local"
    if own_certificate:
        authority = Authority(tmp_path)
        trusted, host = authority.certificate.file, "127.0.0.1"
        issued = authority.issue(host)
        box.lay("mqtt-server.crt", issued.file.read_bytes())
        box.lay("mqtt-server.key", issued.key.read_bytes())
    box.start()
    assert box.left() == []
    folder = box.root / "var/lib/appliance/mosquitto"
    assert "right" not in (folder / "users").read_text()
    port = free_port()
    listener = (folder / "listener.conf").read_text().replace("8883", str(port))
    (folder / "listener.conf").write_text(
        f"per_listener_settings true\nuser root\n{listener}".replace(
            "/var/lib/appliance/mosquitto", str(folder)
        )
    )
    command = ["/usr/sbin/mosquitto", "-c", folder / "listener.conf"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as broker:
        try:
            with closing(_tcp(port)) as tcp:
                context = ssl.create_default_context(cafile=str(trusted))
                context.wrap_socket(tcp, server_hostname=host).close()
            answers = [_answer(port, password) for password in ("right", "wrong")]
        finally:
            broker.terminate()
    assert answers == ["Success", "Not authorized"]


def test_half_a_pair_and_what_is_none_do_not_reach_the_broker(box, tmp_path):
    authority = Authority(tmp_path)
    first, second = authority.issue("127.0.0.1"), authority.issue("localhost")
    box.lay("mqtt-server.crt", first.file.read_bytes())
    assert "WRONG: mqtt-server.crt: not a pair with mqtt-server.key: " in box.start()
    box.lay("mqtt-server.key", first.key.read_bytes())
    box.start()
    assert box.left() == []
    before = box.taken("var/lib/appliance/mosquitto/mqtt-server.key")
    for content in (second.key.read_bytes(), b"", b"no key"):
        box.lay("mqtt-server.key", content)
        assert "WRONG: mqtt-server.key: not a pair with mqtt-server.crt: " in box.start()
        assert box.taken("var/lib/appliance/mosquitto/mqtt-server.key") == before


def test_a_boot_partition_that_takes_no_file_is_told_on_the_console(box):
    box.lay("Plateid.toml", GOOD)
    (box.drop / "ERROR.txt").mkdir()
    console = box.start()
    assert "WRONG: Plateid.toml: unknown file" in console
    assert "WRONG: ERROR.txt: Is a directory" in console


def test_the_boot_loader_gets_its_memory_back_after_a_cut(tmp_path):
    grubenv, cmdline = tmp_path / "grubenv", tmp_path / "cmdline"
    cmdline.write_text("root=PARTLABEL=plateid-root-b ro rauc.slot=B panic=10\n")
    script = SCRIPT.with_name("mend-grubenv")

    def mended() -> str:
        subprocess.run([script, grubenv, cmdline], check=True)
        command = ["grub-editenv", grubenv, "list"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    grubenv.write_bytes(b"")
    anew = "ORDER=B A\nB_OK=1\nB_TRY=0\nA_OK=0\nA_TRY=0\n"
    assert mended() == anew
    subprocess.run(["grub-editenv", grubenv, "set", "A_OK=1"], check=True)
    assert "A_OK=1\n" in mended(), "one that is whole stays as it is"


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _tcp(port: int) -> socket.socket:
    until(lambda: _listens(port))
    return socket.create_connection(("127.0.0.1", port))


def _answer(port: int, password: str) -> str:
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
