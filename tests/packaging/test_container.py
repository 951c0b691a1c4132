"""The image that `make container` has built reads, serves and stops, with a read-only root."""

import json
import logging
import os
import re
import shutil
import stat
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path

import av
import cv2
import pytest
import yaml

from plateid.config.environment import variables
from plateid.demo import DEMO_VIDEO
from tests.packaging.podman import Container, image_of, podman
from tests.packaging.test_addon import TOKEN, Supervisor, service
from tests.packaging.test_wheel import IMAGE, best
from tests.support.broker import Broker, Subscriber, free_port, until
from tests.support.web_client import WebClient

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="containers need root: see Makefile"),
    pytest.mark.timeout(3600),  # emulation is slow
]
FOLDER = Path(__file__).parents[2] / "firmware/container"
ARCHITECTURE = os.environ.get("ARCH") or "amd64"
EMULATED = ARCHITECTURE == "arm64"
EXTRA = os.environ.get("EXTRA") or "demo"
MAX_BYTES = 450e6 if EXTRA == "demo" else 700e6
STOP_S, START_S = 20.0 if EMULATED else 2.0, 300.0 if EMULATED else 120.0
USER = 8480
OFFLINE = ("run", "--rm", "--read-only", "--tmpfs=/tmp", "--network=none")
"""Words of podman that run a program without network and volumes."""
STILL_FRAMES = 900
"""Number of frames of a video for emulation, one a second: it lasts longer than a test."""
ADDON = "localhost/plateid-addon"
log = logging.getLogger(__name__)


@pytest.fixture(scope="module")
def image() -> str:
    return image_of(ARCHITECTURE, EXTRA)


def write_still_video(path: Path) -> None:
    """Writes a small video of a parked vehicle: emulation is slow, and a track ends after 5 s."""
    image = cv2.imread(str(IMAGE))[528:720, 24:344]
    with av.open(str(path), "w") as container:
        options = {"preset": "ultrafast", "threads": "1"}
        stream = container.add_stream("libx264", rate=1, options=options)
        stream.height, stream.width, _ = image.shape
        for _ in range(STILL_FRAMES):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode())


@pytest.fixture
def volumes(tmp_path) -> dict[str, Path]:
    """Empty folders for /config and /data, and the demo video."""
    folders = {f"/{name}": tmp_path / name for name in ("config", "data", "secrets")}
    for folder in folders.values():
        folder.mkdir()
        shutil.chown(folder, USER, USER)
    if EMULATED:
        write_still_video(tmp_path / "demo.mp4")
    else:
        shutil.copy(DEMO_VIDEO, tmp_path / "demo.mp4")
    (tmp_path / "demo.mp4").chmod(0o644)
    tmp_path.chmod(0o755)
    folders["/run/secrets"] = folders.pop("/secrets")
    return folders | {"/demo.mp4": tmp_path / "demo.mp4"}


@pytest.fixture
def broker(tmp_path):
    with closing(Broker(tmp_path)) as made:
        made.start()
        yield made


def settings(broker: Broker, **more: object) -> dict[str, object]:
    shared = {"MQTT_PORT": broker.port, "WEB_PORT": free_port(), "CAMERA_TEST": "/demo.mp4"}
    if EMULATED:
        shared["MODELS_BUNDLE"] = "small"
    if "openvino" in EXTRA:
        shared["MODELS_PROVIDER"] = "openvino"
    return {f"PLATEID_{name}": value for name, value in (shared | more).items()}


def answers(port: object) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/login", timeout=10).close()
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
    return True


def resident_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", text)[0]) / 1000


def test_image_has_at_most_450_mb_without_openvino_and_an_unprivileged_user(image):
    size = int(podman("image", "inspect", "--format={{.Size}}", image).stdout)
    log.info("image: %.0f MB", size / 1e6)
    assert size <= MAX_BYTES
    assert podman("image", "inspect", "--format={{.User}}", image).stdout == f"{USER}:{USER}\n"


def test_read_prints_the_plate_of_an_image(image):
    mount = f"--volume={IMAGE}:/car.jpg:ro"
    assert best(podman(*OFFLINE, mount, image, "read", "--json", "/car.jpg").stdout) == "MM93LXN"


if "openvino" in EXTRA:

    def test_openvino_reads_the_same_as_onnx_runtime(image):
        text = podman(*OFFLINE, image, "models", "measure", "--json").stdout
        measured = {each["backend"]: each for each in map(json.loads, text.splitlines())}
        log.info("%s", json.dumps(measured, indent=1))
        assert measured["openvino"]["failure"] == ""
        assert measured["openvino"]["parity"]


def test_demo_plays_without_a_network(image):
    lines = podman(*OFFLINE, image, "demo").stdout.splitlines()
    kinds = {json.loads(line)["event_type"] for line in lines}
    assert kinds <= {"plate_seen", "plate_left"}
    assert EMULATED or len(kinds) == 2  # emulation is too slow to read moving vehicles


def test_run_publishes_events_serves_the_web_ui_and_stops(image, volumes, broker):
    values = settings(broker)
    port = values["PLATEID_WEB_PORT"]
    with (
        closing(Subscriber(broker.port)) as subscriber,
        closing(Container(image, volumes=volumes, variables=values)) as container,
    ):
        until(lambda: answers(port), START_S)
        log.info("start to web UI: %.1f s", time.monotonic() - container.started_at)
        until(subscriber.events, START_S)
        log.info("memory: %.0f MB", resident_mb(container.pid))
        podman("healthcheck", "run", container.name)
        (password,) = re.findall("web UI: user plateid, password (.*)", container.log())
        client = WebClient(int(str(port)), START_S)
        client.request("/login", {"password": password})
        assert "Log out" in client.request("/events")[1]
        code, seconds = container.stop()
        log.info("stop: %.1f s", seconds)
        assert (code, seconds < STOP_S) == (0, True)
    assert stat.S_IMODE((volumes["/data"] / "plateid.sqlite3.web").stat().st_mode) == 0o600


def test_secrets_set_password_and_camera(image, volumes, broker):
    secrets = volumes["/run/secrets"]
    (secrets / "web-password").write_text("correct horse\n")
    (secrets / "url").write_text("/demo.mp4\n")
    values = settings(broker, CAMERA_TEST_FILE="/run/secrets/url")
    del values["PLATEID_CAMERA_TEST"]
    with (
        closing(Subscriber(broker.port)) as subscriber,
        closing(Container(image, volumes=volumes, variables=values)) as container,
    ):
        until(subscriber.events, START_S)
        assert "password of admin" in container.log()
        client = WebClient(int(str(values["PLATEID_WEB_PORT"])), START_S)
        client.request("/login", {"password": "correct horse"})
        assert "Log out" in client.request("/events")[1]


@pytest.mark.parametrize(
    "line",
    [
        "PLATEID_MQTT_HOSST: sets no key: did you mean PLATEID_MQTT_HOST?",
        "PLATEID_CAMERA_TEST_FILE: PLATEID_CAMERA_TEST sets the same key: unset one of them",
    ],
)
def test_wrong_variable_is_one_line_and_exit_code_2(image, volumes, broker, line):
    values = settings(broker) | {line.partition(":")[0]: "x"}
    with closing(Container(image, volumes=volumes, variables=values)) as container:
        assert container.wait() == 2
        assert container.log().splitlines() == [line]


@pytest.mark.parametrize("folder", ["/config", "/data"])
def test_missing_or_unwritable_volume_is_in_the_log_and_the_web_ui_and_events_go_on(
    image, volumes, broker, folder
):
    shutil.chown(volumes[folder], 0, 0)
    other = "/data" if folder == "/config" else "/config"
    del volumes[other]
    lines = {
        f"{folder}: user {USER} cannot write it: mount a volume that this user owns",
        f"{other}: no volume is mounted: what is in it is deleted with the container",
    }
    values = settings(broker)
    with (
        closing(Subscriber(broker.port)) as subscriber,
        closing(Container(image, volumes=volumes, variables=values)) as container,
    ):
        until(subscriber.events, START_S)
        assert lines <= set(container.log().splitlines())
        (password,) = re.findall("web UI: user plateid, password (.*)", container.log())
        client = WebClient(int(str(values["PLATEID_WEB_PORT"])), START_S)
        client.request("/login", {"password": password})
        text = client.request("/")[1]
        assert [line for line in lines if line not in text] == []
        assert ("Failed: " in text) == (folder == "/data")


def test_add_on_image_runs_without_privileges_with_the_broker_of_the_supervisor(
    image, volumes, broker
):
    broker.set_passwords(addons="secret")
    options = {"cameras": [{"name": "test", "url": "/demo.mp4"}]}
    (volumes["/data"] / "options.json").write_text(json.dumps(options))
    build = ["buildah", "bud", "--quiet", "--isolation=chroot", "--pull=never", f"--tag={ADDON}"]
    build += [
        f"--arch={ARCHITECTURE}",
        f"--build-arg=BUILD_FROM={image}",
        "--ulimit=nofile=20000:20000",
    ]
    folder = FOLDER.parent / "home-assistant/plateid"
    subprocess.run([*build, folder], check=True, capture_output=True)
    values = settings(broker) | {"SUPERVISOR_TOKEN": TOKEN}
    del values["PLATEID_CAMERA_TEST"], values["PLATEID_MQTT_PORT"]
    with (
        closing(Supervisor(200, {"result": "ok", "data": service(broker.port)}, 80)),
        closing(Subscriber(broker.port)) as subscriber,
        closing(
            Container(
                ADDON,
                volumes=volumes,
                variables=values,
                options=("--add-host=supervisor:127.0.0.1",),
            )
        ) as container,
    ):
        until(subscriber.events, START_S)
        status = Path(f"/proc/{container.pid}/status").read_text()
        assert f"Uid:\t{USER}\t{USER}\t{USER}\t{USER}\n" in status
        assert container.stop()[0] == 0


@pytest.mark.parametrize("name", ["compose.yaml", "compose.frigate.yaml"])
def test_compose_file_sets_known_variables(name, monkeypatch):
    service = yaml.safe_load((FOLDER / name).read_text())["services"]["plateid"]
    for key, value in service["environment"].items():
        monkeypatch.setenv(key, value)
    keys = variables().keys()
    assert len(keys) > 1
    assert service["read_only"] is True
