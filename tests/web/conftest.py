"""A device with a history whose web UI runs on a free port, and Chromium."""

import http.client
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from plateid.capture.video_file import read_video
from plateid.config.load import load_config
from plateid.config.models import ModelsConfig
from plateid.config.root import Config
from plateid.core.formats import shipped_formats
from plateid.core.reading import read_detections
from plateid.core.records import Direction, Frame, ListKind, ListMatch, Plate, PlateEvent
from plateid.demo import DEMO_VIDEO
from plateid.device_checks import hooks_of
from plateid.models.networks import Networks
from plateid.pipeline.traffic import MIN_CHARACTERS
from plateid.store.event_store import EventStore
from plateid.store.snapshot_files import SnapshotFiles
from plateid.store.snapshots import encoded
from plateid.web.credentials import (
    TOKEN_SCOPES,
    Credentials,
    Token,
    User,
    credentials_file,
    hash_password,
    hash_token,
    write_credentials,
)
from plateid.web.server import WebServer
from tests.support.broker import free_port, until
from tests.support.samples import NOON, event, make_health, outbox_of

BRIGHT_DAY = 125
"""Number of a frame of the demo video with three readable plates."""
YARD_VIDEO, YARD_FRAME = Path(__file__).parent / "yard.mp4", 15
"""A second street, at night (yard.toml), and a frame with two readable plates."""
DRIVE_FRAMES = (BRIGHT_DAY, 290, 500, 590)
"""Frames of the demo video that show its six vehicles, by day and at night."""
PASSWORD, VIEWER_PASSWORD, TOKEN = "correct horse", "battery staple", "token"
WRITE_TOKEN = "write token"  # noqa: S105 - of a test
CONFIG = """
# my device
device = "gate"

[[camera]]
name = "drive"   # the long one
url = "rtsp://camera.local/stream"

[[camera]]
name = "yard"
url = "rtsp://camera.local/other"

[lists]
file = "plates.csv"

[web]
enabled = true
port = {port}
"""
LIST = """plate,list,name,note
KX73LPH,allow,Ana,blue car
# the gardener
B 68 SPK,watch,Dan,
"""
SURE = 0.8
"""Confidence above which a plate of a single frame is a pass of the streets."""
Scene = tuple[Frame, list[Plate]]


@dataclass
class Device:
    """A device whose web UI is served.

    Attributes:
        reloads: Times at which the web UI requested a reload of the configuration.
        failure: Why cameras and broker are not connected.
        restarts: Number of times that it requested a restart.
    """

    folder: Path
    config: Config
    store: EventStore
    reloads: list[float] = field(default_factory=list)
    failure: str | None = None
    restarts: int = 0
    server: WebServer = field(init=False)

    @property
    def address(self) -> str:
        return f"http://localhost:{self.config.web.port}"

    @property
    def list_file(self) -> Path:
        return self.folder / "plates.csv"

    def request(
        self,
        path: str,
        form: dict[str, str] | str | None = None,
        *,
        method: str = "",
        **headers: str,
    ) -> tuple[int, str, http.client.HTTPMessage]:
        """Returns status, text and headers of a response; a form makes it a POST request."""
        connection = http.client.HTTPConnection("localhost", self.config.web.port, timeout=10)
        body = urlencode(form) if isinstance(form, dict) else form
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            named.setdefault("Content-Type", "application/x-www-form-urlencoded")
        with closing(connection):
            connection.request(method or ("GET" if body is None else "POST"), path, body, named)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace"), answer.headers

    def status(self, path: str, form: dict[str, str] | str | None = None, **headers: str) -> int:
        """Returns the status of a response."""
        return self.request(path, form, **headers)[0]

    def cookie(self, password: str) -> str:
        """Logs in, and returns the cookie of the session."""
        status, _, headers = self.request("/login", {"password": password})
        assert status == 303
        assert re.search(r"HttpOnly.*SameSite=strict", headers["Set-Cookie"], re.IGNORECASE)
        return headers["Set-Cookie"].split(";")[0]

    def text(self, path: str) -> str:
        """Returns the text of a response."""
        return self.request(path)[1]

    def hidden_field(self, name: str, path: str = "/lists") -> str:
        """Returns a hidden field of the forms of a page."""
        return self.text(path).split(f'name="{name}" value="')[1].split('"')[0]

    def list_form(self, **cells: str) -> dict[str, str]:
        """Returns a valid form that saves an entry of the list."""
        names = ("csrf", "state")
        return {name: self.hidden_field(name) for name in names} | {"do": "save"} | cells

    def report(self) -> dict[str, Any]:
        """Returns the health report."""
        made = make_health(self.store, cameras=("drive", "yard")).report()
        state = {"online": self.failure is None, "failure": self.failure}
        cameras = {name: camera | state for name, camera in made["cameras"].items()}
        return made | {"broker_failure": self.failure, "cameras": cameras}

    def reload(self) -> None:
        self.reloads.append(time.monotonic())

    def restart(self) -> None:
        self.restarts += 1

    def serve(self, scene: Scene) -> None:
        """Starts the web server, also after a stop."""
        self.server = WebServer(
            self.config,
            self.report,
            file=self.folder / "plateid.toml",
            hooks=hooks_of(self),
        )
        until(lambda: self.server.check() or self.server._running)  # once the port is free
        for camera in ("drive", "yard"):
            self.server.show(replace(scene[0], camera=camera), scene[1])

    def is_served(self) -> bool:
        try:
            return self.status("/login") > 0
        except OSError:
            return False


@pytest.fixture(scope="session")
def drive_scenes() -> list[Scene]:
    """Frames of the demo video and the plates in them."""
    return make_scenes(DEMO_VIDEO, DRIVE_FRAMES)


@pytest.fixture(scope="session")
def scene(drive_scenes: list[Scene]) -> Scene:
    """A frame with three readable plates."""
    return drive_scenes[0]


def make_scenes(video: Path, numbers: Sequence[int]) -> list[Scene]:
    """Frames of a video, each with the plates that the default bundle reads in it."""
    networks, scenes = Networks(ModelsConfig()), []
    detector, reader = networks.detector(), networks.reader()
    for frame in islice(read_video(video), max(numbers) + 1):
        if frame.sequence in numbers:
            plates = read_detections(frame.image, detector.detect(frame.image), reader.read)
            scenes.append((frame, [p for p in plates if len(p.text) >= MIN_CHARACTERS]))
    return scenes


def make_passes(scene: Scene) -> Iterator[PlateEvent]:
    """Seventy passes; the last six are plates of the scene."""
    number = np.random.default_rng(1)
    for index in range(64):
        text = f"B{number.integers(10, 99)}{''.join(number.choice(list('ABCDEFGHK'), 3))}"
        yield make_pass(index, text, camera="yard", confidence=float(number.uniform(0.6, 1)))
    for index in range(64, 70):
        plate = scene[1][index % len(scene[1])]
        made = make_pass(index, plate.text, camera="drive", confidence=0.6 + index / 200)
        listed = ListMatch("Ana", "allow", 0) if plate.text == "KX73LPH" else None
        yield replace(made, box=plate.box, list=listed, direction=Direction("in", 12.0))


def make_pass(index: int, plate: str, **changes: object) -> PlateEvent:
    """The event of a pass in minute `index`."""
    moment = NOON + timedelta(minutes=index)
    made = event(index, plate=plate, plate_raw=plate, plate_display=plate, **changes)
    return replace(
        made,
        pass_id=made.id,
        candidates=(),
        char_confidences=tuple(0.99 - 0.1 * (n == 2) for n in range(len(plate))),
        first_seen=moment,
        last_seen=moment + timedelta(seconds=2),
    )


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory, scene: Scene) -> Path:
    """A folder with a store of seventy passes and their snapshots, to be copied."""
    folder = tmp_path_factory.mktemp("history")
    store_file, image = folder / "plateid.sqlite3", scene[0].image
    files = SnapshotFiles(store_file)
    jpeg = encoded(image.resized(image.width, image.height), 80)
    with closing(EventStore(store_file)) as store:
        for made in make_passes(scene):
            has_snapshot = made.camera == "drive"
            snapshot = files.add(made.id, jpeg, hidden=False) if has_snapshot else None
            store.append(replace(made, snapshot=snapshot))
    return folder


@pytest.fixture
def device(tmp_path: Path, scene: Scene, history: Path) -> Iterator[Device]:
    """A device without a password, on loopback."""
    with served(tmp_path, scene, history) as made:
        yield made


@contextmanager
def served(folder: Path, scene: Scene, history: Path, more: str = "") -> Iterator[Device]:
    """Serves the web UI of a device with a history; `more` continues its configuration."""
    shutil.copytree(history, folder, dirs_exist_ok=True)
    config = write_config(folder, more)
    (folder / "plates.csv").write_text(LIST)
    with closing(EventStore(config.store.path)) as store:
        made = Device(folder, config, store)
        made.serve(scene)
        until(made.is_served, 10)
        yield made
        made.server.stop()


@pytest.fixture
def streets(device: Device, drive_scenes: list[Scene]) -> Device:
    """A device whose cameras watch two streets, with a pass of each vehicle within the hour."""
    (yard,) = make_scenes(YARD_VIDEO, [YARD_FRAME])
    device.server.show(replace(yard[0], camera="yard"), yard[1])
    outbox = outbox_of(device.store)
    scenes = [("drive", *scene) for scene in drive_scenes] + [("yard", *yard)]
    kinds: list[ListKind | None] = [None, "allow", None, "deny", None, "watch", "allow"]
    plates = [
        (camera, frame, plate)
        for camera, frame, found in scenes
        for plate in found
        if plate.confidence > SURE
    ]
    for index, (camera, frame, plate) in enumerate(plates):
        store_pass(device, camera, frame, plate, kinds[index % len(kinds)], len(plates) - index)
    outbox.remove([each.event.id for each in outbox.pending(1000)])
    return device


def store_pass(  # noqa: PLR0917 - a table's row
    device: Device, camera: str, frame: Frame, plate: Plate, kind: ListKind | None, minutes: int
) -> None:
    """Stores a pass of some minutes ago, with its snapshot."""
    names = {"allow": "Ana", "deny": "Unpaid since May", "watch": "Courier"}
    moment = datetime.now(UTC) - timedelta(minutes=4 * minutes - 2)
    made = replace(
        make_pass(0, plate.text, camera=camera, confidence=plate.confidence),
        event_type="plate_left",
        first_seen=moment,
        last_seen=moment + timedelta(seconds=2),
        plate_display=shipped_formats().display(plate.text, plate.region),
        char_confidences=plate.char_confidences,
        candidates=plate.candidates,
        region=plate.region,
        box=plate.box,
        list=ListMatch(names[kind], kind, 0) if kind else None,
        direction=Direction("in", 12.0) if camera == "drive" else None,
    )
    image = frame.image
    jpeg = encoded(image.resized(image.width, image.height), 80)
    kept = SnapshotFiles(device.config.store.path).add(made.id, jpeg, hidden=False)
    device.store.append(replace(made, snapshot=kept))


def passwords(admin: str, viewer: str = "") -> dict[str, User]:
    """Users of these passwords; an empty one is not set."""
    given = {"admin": admin, "viewer": viewer}
    return {role: User(role, hash_password(text)) for role, text in given.items() if text}


@pytest.fixture
def locked(device: Device) -> Device:
    """A device with passwords and a token."""
    booking = Token(hash_token(WRITE_TOKEN), TOKEN_SCOPES)
    tokens = {"token": Token(hash_token(TOKEN)), "booking": booking}
    known = Credentials(passwords(PASSWORD, VIEWER_PASSWORD), tokens)
    write_credentials(credentials_file(device.config.store.path), known)
    return device


def write_config(folder: Path, more: str = "") -> Config:
    """Writes a configuration with a free port for the web UI; loads it."""
    (folder / "plates.csv").write_text("plate,list\n")
    (folder / "plateid.toml").write_text(CONFIG.format(port=free_port()) + more)
    return load_config(folder / "plateid.toml")


@pytest.fixture(scope="session")
def chrome() -> Iterator[Chrome]:
    with made_chrome() as driver:
        yield driver


@contextmanager
def made_chrome() -> Iterator[Chrome]:
    options = ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = Service("/usr/bin/chromedriver", log_output=subprocess.DEVNULL)
    driver = Chrome(options=options, service=service)
    driver.implicitly_wait(5)
    yield driver
    driver.quit()


@pytest.fixture
def browser(chrome: Chrome) -> Iterator[Chrome]:
    """Chromium at the size of a laptop; an entry in its console fails the test."""
    chrome.set_window_size(1280, 900)
    chrome.get_log("browser")
    yield chrome
    console = chrome.get_log("browser")
    chrome.get("about:blank")
    chrome.delete_all_cookies()
    assert console == []


@pytest.fixture
def screenshots(tmp_path: Path) -> Path:
    """The folder of screenshots; SCREENSHOTS=docs updates those of the documentation."""
    return Path(os.environ.get("SCREENSHOTS", tmp_path))
