"""Cameras that read by themselves post to the service, over HTTP, with a real broker."""

import http.client
import json
import threading
from contextlib import closing, suppress

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from plateid.capture.images import decode_image
from plateid.commands.main import main
from plateid.core.drawing import encode_jpeg
from plateid.first_run import run_service
from plateid.service.supervisor import Supervisor
from plateid.web.credentials import (
    Credentials,
    Token,
    User,
    credentials_file,
    hash_password,
    hash_token,
    write_credentials,
)
from plateid.web.json_api import MAX_POST_BYTES
from tests.support.broker import Subscriber, free_port, until
from tests.support.camera_posts import HEARTBEATS, axis, dahua, hikvision
from tests.support.web_client import WebClient

PICTURE = encode_jpeg(
    cv2.resize(np.random.default_rng(1).integers(0, 255, (32, 64, 3), np.uint8), (640, 320)), 95
)
"""A picture, in the middle of which the tiny bundle reads AB12."""
PATH = "/api/v1/cameras/gate/events"


class Device:
    """A service with two cameras of the kind "events", in this process."""

    def __init__(self, folder, bundle, port: int, *, extra: str, listed: str) -> None:
        self.folder, self.port = folder, free_port()
        self._supervisor = Supervisor()
        file = folder / "plateid.toml"
        (folder / "plates.csv").write_text("plate,list,name\n" + listed)
        file.write_text(
            f'device = "box"\nmodels.bundle = "{bundle}"\nmqtt.port = {port}\n'
            'store.path = "events.sqlite3"\nlists.file = "plates.csv"\n'
            f"web = {{enabled = true, port = {self.port}}}\n{extra}\n"
            '[[camera]]\nname = "gate"\nkind = "events"\n'
            '[[camera]]\nname = "exit"\nkind = "events"\n[camera.events]\nmin_confidence = 0.95\n'
        )
        tokens = {
            "camera": Token(hash_token("camera"), ("post_events",)),
            "reader": Token(hash_token("reader"), ("read_events", "read_images")),
        }
        store = folder / "events.sqlite3"
        users = {"admin": User("admin", hash_password("password"))}
        write_credentials(credentials_file(store), Credentials(users, tokens))
        self._thread = threading.Thread(target=run_service, args=(file, self._supervisor))
        self._thread.start()
        until(self.is_served, 60)

    def is_served(self) -> bool:
        with suppress(OSError):
            report = self.get("/api/v1/health")
            return report["cameras"]["gate"]["online"]
        return False

    def request(self, method, path, body=None, **headers) -> tuple[int, bytes]:
        with closing(http.client.HTTPConnection("localhost", self.port, timeout=30)) as connection:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def get(self, path: str):
        return json.loads(self.request("GET", path, Authorization="Bearer reader")[1])

    def post(self, sample, path: str = PATH, token: str = "camera") -> tuple[int, dict]:  # noqa: S107
        kind, body = sample
        status, answer = self.request(
            "POST", f"{path}?token={token}", body, **{"Content-Type": kind}
        )
        return status, json.loads(answer)

    def close(self) -> None:
        self._supervisor.stop()
        self._thread.join(60)


@pytest.fixture
def device(tmp_path, bundle, started_broker, request):
    extra, listed = getattr(request, "param", ("", "AB12,allow,Ana\n"))
    with closing(Device(tmp_path, bundle, started_broker.port, extra=extra, listed=listed)) as made:
        yield made


def test_posts_of_all_makers_go_the_way_of_other_events(device, started_broker):
    posts = hikvision(picture=PICTURE), dahua(picture=PICTURE), axis("CD34", picture=PICTURE)
    with closing(Subscriber(started_broker.port)) as subscriber:
        for sample in posts:
            assert device.post(sample) == (200, {"Result": True})
            assert device.post(sample) == (200, {"Result": True}), "a repeated post"
        until(lambda: len(subscriber.events()) == 6 and subscriber.of("/snapshot"))
        events, statuses = subscriber.events(), subscriber.texts("gate/status")
    assert statuses == ["online"]
    kinds = [(each["event_type"], each["plate"]) for each in events]
    both = ("plate_seen", "plate_left")
    assert kinds == [(kind, plate) for plate in ("AB12", "AB12", "CD34") for kind in both]
    seen, left = events[:2]
    assert seen["pass_id"] == left["pass_id"] != events[2]["pass_id"]
    assert [each["seq"] for each in events] == list(range(seen["seq"], seen["seq"] + 6))
    for each in (seen, left):
        assert each["list"] == {"name": "Ana", "kind": "allow", "distance": 0}
        assert each["confidence"] == 0.93
        assert each["region"]["confidence"] > 0
        assert (each["dwell_s"], each["parked"], each["direction"]) == (0, False, None)
        assert each["model"] == {"detector": "camera", "reader": "camera", "bundle": "camera"}
        assert each["box"][0] > 100, "the plate was found in the picture"
    assert seen["snapshot"] == left["snapshot"]
    assert events[4]["box"] == [0, 0, 640, 320], "no plate in the picture reads alike"
    found = device.get("/api/v1/events")["events"]
    assert [each["plate"] for each in found] == ["CD34", "AB12", "AB12"]
    for path in ("snapshot.jpg", "crop.jpg"):
        status, image = device.request(
            "GET", f"/api/v1/events/{left['id']}/{path}", Authorization="Bearer reader"
        )
        assert status == 200
        assert decode_image(image).width > 10
    assert device.get("/api/v1/health")["cameras"]["gate"]["events"] == {
        "plate_seen": 3,
        "plate_left": 3,
    }


def test_heartbeats_and_silence_leave_a_camera_online_without_an_event(device):
    for sample in HEARTBEATS:
        assert device.post(sample) == (200, {"Result": True})
    for health in device.get("/api/v1/health")["cameras"].values():
        assert (health["online"], health["failure"], health["events"]["plate_seen"]) == (
            True,
            None,
            0,
        )


def test_pages_show_neither_video_nor_a_drawing_of_a_camera_without_video(device):
    client = WebClient(device.port)
    assert client.request("/login", {"password": "password"})[0] == 303
    for path in ("/", "/start"):
        status, text = client.request(path)
        assert (status, "gate" in text) == (200, True)
        assert 'class="stream"' not in text
        assert 'href="/cameras/gate"' not in text


def test_check_does_not_open_a_camera_without_video(device):
    done = CliRunner().invoke(main, ["check", "-c", str(device.folder / "plateid.toml")])
    assert "ok    camera gate posts its events, not called" in done.output


REFUSED = [
    (hikvision("unknown"), {}, 400, "post: has no plate that the camera could read"),
    (("application/json", b"{}"), {}, 400, "post: has no plate"),
    (
        ("text/xml", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"),
        {},
        400,
        "post: is not JSON, nor XML",
    ),
    (
        ("application/json", b" " * (MAX_POST_BYTES + 1)),
        {},
        413,
        "the body has up to 8000000 bytes",
    ),
    (("image/jpeg", PICTURE), {}, 415, "content type must be application/json or"),
    (dahua(), {"path": PATH.replace("gate", "yard")}, 400, "yard: there is no such camera"),
    (
        dahua(),
        {"path": PATH.replace("gate", "exit")},
        400,
        "exit: events.min_confidence excludes this plate",
    ),
    (dahua(), {"token": "wrong"}, 401, "Unauthorized"),
    (dahua(), {"token": ""}, 401, "Unauthorized"),
    (dahua(), {"token": "reader"}, 403, "token reader lacks the permission post_events"),
]


@pytest.mark.parametrize("refused", REFUSED)
def test_refused_post_gets_one_answer_and_one_log_line_and_the_service_goes_on(
    device, logs, refused
):
    sample, options, status, reason = refused
    answered, answer = device.post(sample, **options)
    assert answered == status
    assert reason in answer["error"]
    lines = [line for line in logs if line["event"].endswith("refused")]
    assert len(lines) == 1
    assert "token=" not in json.dumps(lines)
    assert device.post(hikvision(picture=PICTURE)) == (200, {"Result": True})
    assert device.get("/api/v1/events")["events"][0]["plate"] == "AB12"


def test_token_of_a_camera_opens_nothing_else_and_an_address_only_this_path(device):
    for path in ("/api/v1/events", "/api/v1/health", "/api/v1/models"):
        assert device.request("GET", f"{path}?token=camera")[0] == 401
        assert device.request("GET", path, Authorization="Bearer camera")[0] == 403
    assert device.request("GET", f"{PATH}?token=camera")[0] == 405
    assert device.request("POST", "/api/v1/lists/entries?token=camera", b"{}")[0] == 401
    kind, body = dahua()
    headers = {"Authorization": "Bearer camera", "Content-Type": kind}
    assert device.request("POST", PATH, body, **headers)[0] == 200


@pytest.mark.parametrize(
    "device", [('privacy = {unlisted = "drop", listed = "keep"}', "")], indirect=True
)
def test_privacy_applies_to_posted_plates_and_pictures(device, started_broker):
    with closing(Subscriber(started_broker.port)) as subscriber:
        for plate in ("ZZ99", "AB12"):
            assert device.post(dahua(plate, PICTURE))[0] == 200
        until(lambda: len(subscriber.events()) == 4)
        (snapshot,) = {message.payload for message in subscriber.of("/snapshot")}
        strange, _, own, _ = subscriber.events()
    assert (strange["plate"], strange["snapshot"]) == ("ZZ99", None), "its plate was not found"
    x1, y1, x2, y2 = (int(value) for value in own["box"])
    plate = decode_image(snapshot).crop((x1 + 4, y1 + 4, x2 - 4, y2 - 4))
    assert plate.std(axis=(0, 1)).max() < 8, "the plate is hidden"
    until(lambda: not any(each["plate"] for each in device.get("/api/v1/events")["events"]))
