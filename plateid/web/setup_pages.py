"""The set-up: first steps, cameras, expected countries and the MQTT broker."""

import re
import shlex
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from tomlkit import TOMLDocument

from plateid.config import edit
from plateid.config.cameras import CameraConfig, EventsConfig
from plateid.config.load import expected_formats, load_config, load_formats
from plateid.config.outputs import MqttConfig
from plateid.config.problems import checked
from plateid.config.root import Config
from plateid.errors import BrokerError, ConfigError, SourceError, os_errors_as
from plateid.files import replace_text
from plateid.store.audit_log import differing_lines
from plateid.store.list_file import ListFile, read_text, state_of
from plateid.web.error_pages import log_change
from plateid.web.guard import read_change
from plateid.web.pass_rows import latest_passes
from plateid.web.site import Site, device_state, newest_event, page, site_of, writable_file

PASSWORD_FILE = "mqtt-password"  # noqa: S105 - the name of a file
"""File of the broker's password, beside the configuration."""
ADDRESS = re.compile("^.*(url|://).*$", re.IGNORECASE | re.MULTILINE)
"""A line of the configuration file that may hold an address, whatever its quotes are."""
LOGIN = "rtsp://USER:PASSWORD@"
MAKERS = {
    "Hikvision": f"{LOGIN}192.168.1.64:554/Streaming/Channels/101",
    "Dahua, Amcrest": f"{LOGIN}192.168.1.108:554/cam/realmonitor?channel=1&subtype=0",
    "Reolink": f"{LOGIN}192.168.1.20:554/h264Preview_01_main",
    "Axis": f"{LOGIN}192.168.1.90/axis-media/media.amp?videocodec=h264&resolution=1920x1080",
    "UniFi Protect": "rtsp://192.168.1.1:7447/STREAM_KEY",
    "TP-Link Tapo, VIGI": f"{LOGIN}192.168.1.30:554/stream1",
    "go2rtc, Frigate": "rtsp://192.168.1.5:8554/drive",
    "USB camera": "/dev/video0",
    "Video file": "gate.mp4",
}
"""Addresses of common makers' main streams, as in docs/cameras.md."""
OTHER_MAKER = f"{LOGIN}192.168.1.64:554/"
"""Address of another maker's stream: its path is in the manual."""
CAMERA_KEYS = ("name", "url", "main_url", "loop", "size", "format")
"""Keys of a camera that its form sets."""


def start(
    request: Request,
    *,
    step: str = "",
    problem: str = "",
    success: str = "",
    form: Mapping[str, str] | None = None,
) -> Response:
    """Shows the steps of the set-up, with the result of a form in the step that it belongs to."""
    site = site_of(request)
    after, latest, state = newest_event(site), latest_passes(site), device_state(site)
    mqtt = site.config.mqtt.model_dump(include={"host", "port", "tls", "username"})
    events = site.config.events
    regions = {*load_formats(events.formats).names, *events.regions} - {"eu"}
    return page(
        request,
        "start.html",
        status=400 if problem else 200,
        latest=latest,
        after=after,
        state=state,
        online=sorted(name for name, works in state["cameras"].items() if works),
        writable=writable_file(site),
        regions=["eu", *sorted(regions)],
        list_state=state_of(read_text(file)) if (file := site.config.lists.file) else "",
        result={"step": step, "problem": problem, "success": success},
        command=subscribe_command(site.config),
        mqtt=mqtt
        | {"password": "", "host": ", ".join(site.config.mqtt.entries)}
        | dict(form or {}),
    )


def subscribe_command(config: Config) -> str:
    """Returns a shell command that prints the events at the configured broker."""
    mqtt = config.mqtt
    broker = mqtt.brokers[0]
    words: list[object] = ["mosquitto_sub", "-h", broker.host, "-p", broker.port]
    words += ["-u", mqtt.username] if mqtt.username else []
    words += ["-P", "PASSWORD"] if mqtt.password_file else []
    if mqtt.tls:
        words += ["--cafile", mqtt.ca_file] if mqtt.ca_file else ["--tls-use-os-certs"]
    if mqtt.certificate_file:
        words += ["--cert", mqtt.certificate_file, "--key", mqtt.key_file or mqtt.certificate_file]
    words += ["-t", f"{mqtt.prefix}/{config.device}/+/event"]
    return shlex.join(map(str, words))


def camera_form(request: Request) -> Response:
    """Shows the form that adds or changes a camera."""
    name = request.query_params.get("name", "")
    known = next((each for each in site_of(request).config.camera if each.name == name), None)
    if name and known is None:
        raise HTTPException(404)
    fields = {key: getattr(known, key) for key in CAMERA_KEYS} if known else {}
    return _camera_form(request, {"old": name, **fields})


def _camera_form(request: Request, fields: Mapping[str, Any], problem: str = "") -> Response:
    shown = dict.fromkeys(("old", *CAMERA_KEYS), "") | {k: v or "" for k, v in fields.items()}
    file = writable_file(site_of(request))
    values: dict[str, Any] = {"camera": shown, "writable": file, "makers": MAKERS}
    return page(request, "camera_form.html", problem=problem, **values)


async def find_cameras(request: Request) -> Response:
    """Answers with the cameras in the network and USB cameras: name, address, ONVIF service."""
    site, _ = site_of(request), await read_change(request)
    found = await run_in_threadpool(site.hooks.find_cameras)
    rows = ((name, _address(name, service), service) for name, service in found)
    return JSONResponse([dict(zip(("name", "url", "service"), row, strict=True)) for row in rows])


def _address(name: str, service: str) -> str:
    """Returns the address of a camera that was found, with the path of its maker."""
    if not service:
        return name
    words = _words(name)
    makers = (url for maker, url in MAKERS.items() if "://" in url and words & _words(maker))
    host = re.sub(r"(:\d+)?(/.*)?$", "", service.partition("://")[2], count=1)
    return re.sub(r"192\.168\.1\.\d+", lambda _: host, next(makers, OTHER_MAKER))


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


async def ask_camera(request: Request) -> Response:
    """Answers with the addresses that a camera gives after a login, by key of the form."""
    site, form = site_of(request), await read_change(request)
    login = (form.get(key, "") for key in ("service", "user", "password"))
    try:
        main, sub = await run_in_threadpool(site.hooks.ask_camera, *login)
        return JSONResponse({"url": sub, "main_url": main} if sub else {"url": main})
    except SourceError as error:
        return PlainTextResponse(str(error), 400)


async def test_camera(request: Request) -> Response:
    """Answers with an image of the camera, or with the reason why there is none."""
    site, form = site_of(request), await read_change(request)
    try:
        camera = _camera_of(site, form)
        image, text = await run_in_threadpool(site.hooks.test_camera, camera)
    except (ConfigError, SourceError) as error:
        return Response(str(error), 400, media_type="text/plain")
    return Response(image, headers={"X-Camera": text}, media_type="image/jpeg")


async def save_camera(request: Request) -> Response:
    """Adds, changes or removes a camera."""
    site, form = site_of(request), await read_change(request)
    old, removes = form.get("old", ""), form.get("do") == "remove"

    def change(document: TOMLDocument) -> None:
        if removes:
            edit.remove_camera(document, old)
        elif old:
            edit.set_values(edit.camera_table(document, old), values)
        else:
            edit.add_camera(document, values)

    try:
        if not removes:
            _camera_of(site, form)
        values = {key: _typed(form.get(key, "")) for key in CAMERA_KEYS}
        lines = await run_in_threadpool(change_file, site, change)
    except ConfigError as error:
        return _camera_form(request, form, str(error))
    done = "camera removed" if removes else "camera saved"
    await run_in_threadpool(log_change, request, done, camera=old or form["name"], **lines)
    same = not removes and form["name"] == old
    (site.hooks.reload if same else site.hooks.restart)()
    return RedirectResponse("/start" if removes else f"/start?camera={quote(form['name'])}", 303)


def _typed(text: str) -> str | bool:
    return True if text == "true" else text.strip()


def _camera_of(site: Site, form: Mapping[str, str]) -> CameraConfig:
    values = {key: value for key in CAMERA_KEYS if (value := _typed(form.get(key, "")))}
    folder = (site.file or Path()).resolve().parent
    return checked(CameraConfig, values, context={"folder": folder})


async def save_regions(request: Request) -> Response:
    """Sets the expected countries."""
    site, form = site_of(request), await read_change(request)
    regions = [key.removeprefix("region-") for key in form if key.startswith("region-")]
    try:
        expected_formats(EventsConfig(regions=tuple(regions), formats=site.config.events.formats))
        lines = await run_in_threadpool(
            change_file,
            site,
            lambda document: edit.section(document, "events").update({"regions": regions}),
        )
    except (ConfigError, ValidationError) as error:
        return start(request, problem=str(error), step="regions")
    events = site.config.events.model_copy(update={"regions": tuple(regions)})
    site.config = site.config.model_copy(update={"events": events})  # until the reload
    await run_in_threadpool(log_change, request, "regions changed", regions=regions, **lines)
    site.hooks.reload()
    return RedirectResponse("/start#regions", 303)


async def save_broker(request: Request) -> Response:
    """Tests the broker of a form, or saves it."""
    site, form = site_of(request), await read_change(request)
    try:
        if form.get("do") == "save":
            lines = await run_in_threadpool(_save_broker, site, form)
        else:
            success = await run_in_threadpool(_test_broker, site, form)
            return start(request, step="broker", success=success, form=form)
    except (ConfigError, BrokerError) as error:
        return start(request, step="broker", problem=str(error), form=form)
    await run_in_threadpool(log_change, request, "broker changed", host=form["host"], **lines)
    site.hooks.restart()
    return RedirectResponse("/start", 303)


def _test_broker(site: Site, form: Mapping[str, str]) -> str:
    with tempfile.NamedTemporaryFile("w", prefix="plateid-") as secret:
        secret.write(form.get("password", ""))
        secret.flush()
        mqtt = _broker_of(site, form, Path(secret.name))
        found = site.hooks.test_broker(mqtt, site.config.homeassistant)
    home = "Home Assistant found" if found else "Home Assistant is not connected to it"
    return f"{mqtt.brokers[0]} accepts plateid. {home}."


def _save_broker(site: Site, form: Mapping[str, str]) -> dict[str, str]:
    file = writable_file(site)
    secret = Path(PASSWORD_FILE)
    mqtt = _broker_of(site, form, secret)
    values = {key: getattr(mqtt, key) for key in ("host", "tls", "username")}
    values["port"] = mqtt.port if "port" in mqtt.model_fields_set else None
    if form.get("password") and file:
        edit.check_free("mqtt", "password_file")
        with os_errors_as(ConfigError, file.with_name(PASSWORD_FILE)):
            replace_text(file.with_name(PASSWORD_FILE), form["password"], mode=0o600)
        values["password_file"] = PASSWORD_FILE
    elif not mqtt.username:
        values["password_file"] = None
    return change_file(
        site, lambda document: edit.set_values(edit.section(document, "mqtt"), values)
    )


def _broker_of(site: Site, form: Mapping[str, str], secret: Path) -> MqttConfig:
    """Returns the broker of a form; other keys stay. Raises ConfigError if it is wrong."""
    typed = {key: form.get(key, "").strip() for key in ("host", "port", "username", "tls")}
    port = int(typed["port"]) if typed["port"].isdecimal() else typed["port"]
    hosts = [host.strip() for host in typed["host"].split(",")]
    values: dict[str, Any] = {"host": hosts if hosts[1:] else hosts[0], "port": port}
    values["username"] = typed["username"]
    values["tls"] = typed["tls"] == "true"
    if form.get("password"):
        values["password_file"] = secret
    kept = {} if typed["username"] else {"password_file": None}
    known = site.config.mqtt.model_dump(exclude_unset=True, exclude={"port", "username"}) | kept
    return checked(MqttConfig, known | {k: v for k, v in values.items() if v or k == "host"})


def change_file(site: Site, change: Callable[[TOMLDocument], None]) -> dict[str, str]:
    """Changes or creates the configuration file; raises ConfigError if that fails.

    Returns the lines that differ, `before` and `after`. Addresses, which may hold passwords, are
    left out.
    """
    if (file := writable_file(site)) is None:
        raise ConfigError("configuration", "plateid cannot write its file")
    with site.changing, os_errors_as(ConfigError, file):
        before = file.read_text("utf-8") if file.exists() else ""
        edit.change_config(file, change, web=site.config.web, check=_check)
        after = file.read_text("utf-8")
    texts = (ADDRESS.sub("(address: not shown)", text) for text in (before, after))
    return dict(zip(("before", "after"), differing_lines(*texts), strict=True))


def _check(file: Path) -> None:
    config = load_config(file)
    ListFile(config.lists, [camera.name for camera in config.camera])
