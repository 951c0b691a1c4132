"""A box with a history, its page on a free port, and Chromium to look at it."""

import http.client
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

import cv2
import numpy as np
import pytest
from axe_core_python.base import AXE_SCRIPT
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from plateid.capture.video_file import read_video
from plateid.config.load import load_config
from plateid.config.models import ModelsConfig
from plateid.config.root import Config
from plateid.core.records import Direction, Frame, ListMatch, Plate, PlateEvent
from plateid.demo import DEMO_VIDEO
from plateid.models.networks import Networks
from plateid.pipeline.stills import read_detections
from plateid.pipeline.traffic import MIN_CHARACTERS
from plateid.store.event_store import EventStore
from plateid.store.snapshot_files import SnapshotFiles
from plateid.store.snapshots import encoded
from plateid.web.server import WebServer
from tests.support.broker import free_port, until
from tests.support.samples import NOON, event, make_health

BRIGHT_DAY = 125
CONFIG = """
# my box
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
SERIOUS = ("serious", "critical")


@dataclass
class Box:
    """One box whose page is served.

    Attributes:
        reloads: How often the page asked for another look at the configuration.
    """

    folder: Path
    config: Config
    store: EventStore
    reloads: list[float] = field(default_factory=list)
    server: WebServer = field(init=False)

    @property
    def address(self) -> str:
        return f"http://localhost:{self.config.web.port}"

    @property
    def list_file(self) -> Path:
        return self.folder / "plates.csv"

    def ask(
        self,
        path: str,
        form: dict[str, str] | str | None = None,
        *,
        method: str = "",
        **headers: str,
    ) -> tuple[int, str, http.client.HTTPMessage]:
        """Status, text and headers of an answer; a form makes it a POST."""
        connection = http.client.HTTPConnection("localhost", self.config.web.port, timeout=10)
        body = urlencode(form) if isinstance(form, dict) else form
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            named.setdefault("Content-Type", "application/x-www-form-urlencoded")
        with closing(connection):
            connection.request(method or ("GET" if body is None else "POST"), path, body, named)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace"), answer.headers

    def serve(self, scene: tuple[Frame, list[Plate]]) -> None:
        """Serves the page; anew, where its server was stopped."""
        self.server = WebServer(
            self.config,
            make_health(self.store, cameras=("drive", "yard")).report,
            file=self.folder / "plateid.toml",
            reload=lambda: self.reloads.append(time.monotonic()),
        )
        until(lambda: self.server.check() or self.server._running)  # once the port is free
        for camera in ("drive", "yard"):
            self.server.show(replace(scene[0], camera=camera), scene[1])

    def csrf(self, path: str = "/lists", **headers: str) -> str:
        """The token of a page's forms."""
        return self.ask(path, **headers)[1].split('name="csrf" value="')[1].split('"')[0]


@pytest.fixture(scope="session")
def scene() -> tuple[Frame, list[Plate]]:
    """A frame of the demo clip, and the plates that the networks that ship read in it."""
    frame = next(frame for frame in read_video(DEMO_VIDEO) if frame.sequence == BRIGHT_DAY)
    networks = Networks(ModelsConfig())
    detections = networks.detector().detect(frame.image)
    plates = read_detections(frame.image, detections, networks.reader())
    return frame, [plate for plate in plates if len(plate.text) >= MIN_CHARACTERS]


def passes(scene: tuple[Frame, list[Plate]]) -> Iterator[PlateEvent]:
    """Seventy passes; the last ones are of the scene, and have pictures."""
    number = np.random.default_rng(1)
    for index in range(64):
        text = f"B{number.integers(10, 99)}{''.join(number.choice(list('ABCDEFGHK'), 3))}"
        yield passing(index, text, camera="yard", confidence=float(number.uniform(0.6, 1)))
    for index in range(64, 70):
        plate = scene[1][index % len(scene[1])]
        made = passing(index, plate.text, camera="drive", confidence=0.6 + index / 200)
        listed = ListMatch("Ana", "allow", 0) if plate.text == "KX73LPH" else None
        yield replace(made, box=plate.box, list=listed, direction=Direction("in", 12.0))


def passing(index: int, plate: str, **changes: object) -> PlateEvent:
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
def filled(tmp_path_factory: pytest.TempPathFactory, scene: tuple[Frame, list[Plate]]) -> Path:
    """The folder of a box with seventy passes, to be copied."""
    folder = tmp_path_factory.mktemp("box")
    store_file, image = folder / "plateid.sqlite3", scene[0].image
    album, jpeg = SnapshotFiles(store_file), encoded(image.resized(image.width, image.height), 80)
    with closing(EventStore(store_file)) as store:
        for made in passes(scene):
            shown = made.camera == "drive"
            store.append(
                replace(made, snapshot=album.add(made.id, jpeg, hidden=False) if shown else None)
            )
    return folder


@pytest.fixture
def box(tmp_path: Path, scene: tuple[Frame, list[Plate]], filled: Path) -> Iterator[Box]:
    """A box without a password, on loopback."""
    shutil.copytree(filled, tmp_path, dirs_exist_ok=True)
    (tmp_path / "plateid.toml").write_text(CONFIG.format(port=free_port()))
    (tmp_path / "plates.csv").write_text(LIST)
    config = load_config(tmp_path / "plateid.toml")
    with closing(EventStore(config.store.path)) as store:
        made_box = Box(tmp_path, config, store)
        made_box.serve(scene)
        until(lambda: answers(made_box), 10)
        yield made_box
        made_box.server.stop()


def answers(box: Box) -> bool:
    try:
        return box.ask("/login")[0] > 0
    except OSError:
        return False


@pytest.fixture(scope="session")
def chrome() -> Iterator[Chrome]:
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
    """Chromium at the size of a laptop; what it says on its console fails the test."""
    chrome.set_window_size(1280, 900)
    chrome.get_log("browser")
    yield chrome
    said = chrome.get_log("browser")
    chrome.get("about:blank")
    chrome.delete_all_cookies()
    assert said == []


@pytest.fixture
def pictured(tmp_path: Path) -> Path:
    """Where screenshots go: PLATEID_SCREENSHOTS=docs renews those of the README."""
    return Path(os.environ.get("PLATEID_SCREENSHOTS", tmp_path))


def screenshot(browser: Chrome, file: Path) -> None:
    image = cv2.imdecode(np.frombuffer(browser.get_screenshot_as_png(), np.uint8), cv2.IMREAD_COLOR)
    assert image.std() > 5, "the page is blank"
    assert cv2.imwrite(str(file), image, [cv2.IMWRITE_JPEG_QUALITY, 82])


def serious_issues(browser: Chrome) -> list[str]:
    """What axe-core finds, as far as it is serious."""
    browser.execute_script(AXE_SCRIPT)
    found = browser.execute_async_script("axe.run().then(arguments[0])")
    return [
        f"{issue['id']}: {issue['nodes'][0]['html']}"
        for issue in found["violations"]
        if issue["impact"] in SERIOUS
    ]


def served(tmp_path: Path, text: str) -> Config:
    """A configuration of its own, whose page is on a free port."""
    port = free_port()
    (tmp_path / "plates.csv").write_text("plate,list\n")
    (tmp_path / "plateid.toml").write_text(CONFIG.format(port=port) + text)
    return load_config(tmp_path / "plateid.toml")
