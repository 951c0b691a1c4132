"""A bundle comes over the API, is tried on live traffic, and is kept or rolled back."""

import http.client
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path

import cv2
import pytest
import tomlkit

from plateid.bundles import trial
from plateid.bundles.install import pack_bundle
from plateid.capture.video_file import read_video
from plateid.capture.video_writer import VideoWriter
from plateid.config.load import load_config
from plateid.config.models import DEFAULT_BUNDLE
from plateid.demo import DEMO_VIDEO
from plateid.first_run import run_service
from plateid.models.bundle import Bundle, read_spec
from plateid.service.supervisor import Supervisor
from plateid.store.audit_log import AuditLog
from plateid.web.credentials import (
    Credentials,
    Token,
    credentials_file,
    hash_token,
    write_credentials,
)
from tests.app.test_app import PLATEID
from tests.support.broken_disk import full_disk
from tests.support.broker import free_port, free_ports, until
from tests.support.bundles import detector_network, reader_network, write_bundle
from tests.support.packed import write_keys

FIRST, LAST = 115, 155
"""Frames of the demo video that show two vehicles by day, of which one is KX73LPH."""
GOLDEN = 125
DEFAULT = read_spec(DEFAULT_BUNDLE).name
TOKEN = {"Authorization": "Bearer install"}


@pytest.fixture(scope="module")
def street(tmp_path_factory) -> Path:
    """A folder with a video of two vehicles, one of its images, and signed bundles."""
    folder = tmp_path_factory.mktemp("street")
    with VideoWriter(folder / "street.mp4") as video:
        for frame in islice(read_video(DEMO_VIDEO), FIRST, LAST):
            image = frame.image.resized(frame.image.width, frame.image.height)
            video.write(image, (frame.sequence - FIRST) / 30)
            if frame.sequence == GOLDEN:
                cv2.imwrite(str(folder / "golden.png"), image)
    key = write_keys(folder, "ours")
    for name, make, plate in (("good", shutil.copytree, "KX73LPH"), ("bad", unreadable, "QQQ")):
        made = folder / name
        make(DEFAULT_BUNDLE, made)
        text = (made / "bundle.toml").read_text()
        (made / "bundle.toml").write_text(
            text.replace("\nname = ", f'\nversion = 1\nname = "{name}"#', 1)
        )
        golden = [(folder / "golden.png", plate)]
        pack_bundle(made, golden, key=key, out=folder / f"{name}.tar")
    return folder


def unreadable(base: Path, made: Path) -> None:
    """Makes a bundle with the detector of another one, and a reader that always reads QQQ."""
    shutil.copytree(base, made)
    other = write_bundle(made / "tiny", detector_network([]), reader_network("-Q-Q-Q-"))
    reader = tomlkit.parse((other / "bundle.toml").read_text())["reader"]
    shutil.copy(other / "reader.onnx", made)
    table = tomlkit.parse((made / "bundle.toml").read_text())
    table["reader"].update(reader)
    for key in ("precision", "temperature"):
        table["reader"].pop(key, None)
    (made / "bundle.toml").write_text(tomlkit.dumps(table))


class Device:
    """The service of a configuration, in this process or in one of its own."""

    def __init__(self, folder: Path, street: Path, broker: int = 0) -> None:
        self.port, broker = free_ports(1)[0], broker or free_port()
        shutil.copytree(street / "trusted", folder / "keys")
        self.file, self.street, self.models = folder / "plateid.toml", street, folder / "models"
        cameras = "".join(
            f'[[camera]]\nname = "c{n}"\nurl = "{street}/street.mp4"\nloop = true\n' for n in (0, 1)
        )
        self.file.write_text(
            f'store.path = "events.sqlite3"\nmqtt.port = {broker}\n'
            'models = {installed = "models", trusted_keys = "keys"}\n'
            f"web = {{enabled = true, port = {self.port}}}\n{cameras}"
        )
        tokens = {
            "learn": Token(hash_token("install"), ("install_models",)),
            "reader": Token(hash_token("read"), ("read_events",)),
        }
        self.store = load_config(self.file).store.path
        write_credentials(credentials_file(self.store), Credentials(tokens=tokens))

    def request(self, path: str, body: bytes | None = None, **headers: str) -> tuple[int, dict]:
        connection = http.client.HTTPConnection("localhost", self.port, timeout=60)
        headers = TOKEN | {"Content-Type": "application/x-tar"} | headers
        with closing(connection):
            connection.request("GET" if body is None else "POST", path, body, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def upload(self, name: str, minutes: float = 0.001) -> tuple[int, dict]:
        """Sends an archive of the street with its signature."""
        archive = self.street / f"{name}.tar"
        signature = archive.with_name(f"{name}.tar.sig").read_bytes().hex()
        path = f"/api/v1/models?minutes={minutes}"
        return self.request(path, archive.read_bytes(), **{"X-Signature": signature})

    def is_served(self) -> bool:
        try:
            return self.request("/api/v1/models")[0] == 200
        except OSError:
            return False

    def health(self) -> dict:
        """Returns the health report; an empty one while the service restarts."""
        try:
            return self.request("/api/v1/health", Authorization="Bearer read")[1]
        except OSError:
            return {}

    def ended(self, name: str) -> dict:
        """Returns the trial of a bundle once it has ended."""

        found: list[dict] = []

        def is_over() -> bool:
            last = self.health().get("trial") or {"bundle": ""}
            found.append(last)
            return last["bundle"].startswith(name) and last["state"] != "running"

        until(is_over, 120)
        return found[-1]

    @contextmanager
    def cut_off(self, data: bytes, headers: dict[str, str]) -> Iterator[None]:
        """Sends half of an archive."""
        connection = http.client.HTTPConnection("localhost", self.port, timeout=60)
        with closing(connection):
            connection.putrequest("POST", "/api/v1/models")
            length = {"Content-Length": str(len(data)), "Content-Type": "application/x-tar"}
            for name, value in (TOKEN | headers | length).items():
                connection.putheader(name, value)
            connection.endheaders(data[: len(data) // 2])
            yield

    @property
    def in_use(self) -> str:
        return Bundle(load_config(self.file).models.bundle).spec.name


@pytest.fixture(autouse=True)
def few_reads(monkeypatch) -> None:
    """A trial decides after a few reads, also if all are of the two vehicles."""
    monkeypatch.setattr(trial, "MIN_READS", 8)
    monkeypatch.setattr(trial, "MAX_SAME", 8)


@contextmanager
def serving(made: Device) -> Iterator[Device]:
    """Runs the service in this process."""
    supervisor = Supervisor()
    thread = threading.Thread(target=run_service, args=(made.file, supervisor))
    thread.start()
    try:
        until(made.is_served, 120)
        yield made
    finally:
        supervisor.stop()
        thread.join(60)


@pytest.fixture
def running(tmp_path, street) -> Iterator[Device]:
    with serving(Device(tmp_path, street)) as made:
        yield made


def test_worse_bundle_is_rolled_back_and_a_better_one_is_kept(running):
    status, answer = running.upload("bad")
    assert (status, answer["trial"]["state"]) == (202, "running")
    outcome = running.ended("bad")
    assert outcome["state"] == "rolled back"
    assert "falls from" in outcome["reason"]
    assert running.in_use == DEFAULT
    assert [path.name for path in running.models.glob("*/bundle.toml")] == [], "it is deleted"
    assert running.upload("good")[0] == 202
    assert running.ended("good")["state"] == "kept"
    until(lambda: running.in_use == "good")
    until(lambda: running.health().get("bundle") == "good", 60)
    assert running.health()["trial"]["state"] == "kept", "the next service knows it"
    (before, now) = running.request("/api/v1/models")[1]["bundles"]
    assert (before["role"], now["role"], now["version"]) == ("previous", "in use", 1)
    assert running.upload("good") == (400, {"error": f"{now['name']}: is in use already"})
    changes = AuditLog(running.store).find("bundle uploaded")
    assert {change["user"] for change in changes} == {"token learn"}


def test_unsigned_damaged_and_unwelcome_archives_are_refused(running, street):
    archive, signature = street / "good.tar", (street / "good.tar.sig").read_bytes().hex()
    data, signed = archive.read_bytes(), {"X-Signature": signature}

    def refusal(body, path="/api/v1/models", **headers):
        status, answer = running.request(path, body, **headers)
        assert status >= 400
        return answer["error"]

    assert "is not signed by a key of" in refusal(data[:-1], **signed)
    assert "is not signed by a key of" in refusal(data, **{"X-Signature": "00" * 64})
    assert "is not a signature: 0 bytes" in refusal(data)
    assert refusal(data, **{"X-Signature": "no"}) == "minutes or X-Signature: is not a number"
    assert "must be more than 0" in refusal(data, "/api/v1/models?minutes=nan", **signed)
    assert refusal(b"", Authorization="Bearer read").endswith("lacks the permission install_models")
    with running.cut_off(data, signed):
        pass
    with full_disk():
        assert refusal(data, **signed).endswith("upload.tar: File too large")
    assert running.health()["trial"] is None
    assert not list(running.file.parent.glob("upload*"))
    assert not list(running.models.glob("*/bundle.toml"))
    assert running.in_use == DEFAULT


def test_power_loss_during_a_trial_leaves_the_old_bundle(tmp_path, street):
    device = Device(tmp_path, street)

    def start() -> subprocess.Popen:
        process = subprocess.Popen([*PLATEID, "run", "-c", str(device.file)])
        until(device.is_served, 120)
        return process

    process = start()
    try:
        assert device.upload("good", minutes=60)[0] == 202
        process.kill()
        process.wait()
        assert device.in_use == DEFAULT
        process = start()
        trial_after = device.health()["trial"]
        assert trial_after["state"] == "rolled back"
        assert trial_after["reason"] == "the service ended during the trial"
    finally:
        process.kill()
        process.wait()
