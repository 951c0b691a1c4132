"""The page "Live"; the page of a camera: image quality, and a drawing of region, masks and line."""

import json
from collections.abc import Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from tomlkit import TOMLDocument

from plateid.config.cameras import CameraConfig
from plateid.config.edit import add_camera, camera_table, set_values
from plateid.config.problems import checked
from plateid.core.plate_quality import measure_quality
from plateid.errors import ConfigError
from plateid.web.error_pages import log_change
from plateid.web.guard import read_change
from plateid.web.pass_rows import latest_passes
from plateid.web.setup_pages import change_file
from plateid.web.site import (
    Site,
    camera_of,
    device_state,
    newest_event,
    page,
    site_of,
    writable_file,
)
from plateid.web.streams import Stream, repeated

QUALITY_S = 0.5
"""Interval between two measurements, seconds."""
KEYS = ("roi", "masks", "line")
"""Configuration keys that the drawing sets; coordinates are normalised (0-1)."""
MAX_REASON = 500
"""Maximum length of the reasons in the answer to an invalid drawing, characters."""


def live(request: Request) -> Response:
    """Shows the cameras, the latest plates and the device's state."""
    site = site_of(request)
    if not site.config.camera:
        return RedirectResponse("/start", 303)
    after, state = newest_event(site), device_state(site)
    return page(request, "live.html", latest=latest_passes(site), state=state, after=after)


def camera(request: Request) -> Response:
    """Shows the live image with the drawing."""
    site, name = site_of(request), camera_of(request)
    config = next(camera for camera in site.config.camera if camera.name == name)
    view = {key: getattr(config, key) for key in KEYS}
    saved = request.query_params.get("saved") == "1"
    file = writable_file(site)
    return page(request, "camera.html", camera=config, view=view, saved=saved, writable=file)


async def quality(request: Request) -> Response:
    """Streams the measurements of the largest plate in the newest frame."""
    site, name = site_of(request), camera_of(request)

    def measure() -> dict[str, Any] | None:
        newest = site.live.frame(name)
        return measure_quality(newest.frame.image, newest.plates) if newest else None

    return Stream(request, repeated(site.live, "quality", measure, QUALITY_S), "text/event-stream")


async def save(request: Request) -> Response:
    """Writes the drawing to the configuration file and requests a reload."""
    site, name = site_of(request), camera_of(request)
    form = await read_change(request)
    if writable_file(site) is None:
        raise HTTPException(403, "plateid cannot write the configuration file")
    view = _parse_view(form)
    lines = await run_in_threadpool(_write_view, site, name, view)
    _show_at_once(site, name, view)
    site.hooks.reload()
    await run_in_threadpool(log_change, request, "camera view changed", camera=name, **lines)
    return RedirectResponse(f"/cameras/{name}?saved=1", 303)


def _parse_view(form: Mapping[str, str]) -> dict[str, Any]:
    try:
        view = {key: json.loads(form.get(key) or "null") for key in KEYS}
        values = {"name": "-", "url": "-"} | {k: v for k, v in view.items() if v}
        drawn = checked(CameraConfig, values)
    except ConfigError as error:
        raise HTTPException(400, error.reason[:MAX_REASON]) from error
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "the drawing is not valid JSON") from error
    return {key: getattr(drawn, key) for key in KEYS}


def _show_at_once(site: Site, name: str, view: Mapping[str, Any]) -> None:
    """Puts the drawing into the site's configuration until the reload replaces it."""
    cameras = (c.model_copy(update=view) if c.name == name else c for c in site.config.camera)
    site.config = site.config.model_copy(update={"camera": tuple(cameras)})


def _write_view(site: Site, camera: str, view: Mapping[str, Any]) -> dict[str, str]:
    values = {key: _rounded(value) for key, value in view.items() if value}

    def change(document: TOMLDocument) -> None:
        if camera not in [table["name"] for table in document.get("camera", ())]:
            add_camera(document, {"name": camera})  # a variable gives its address
        set_values(camera_table(document, camera), dict.fromkeys(view) | values)

    return change_file(site, change)


def _rounded(value: Any) -> Any:
    return [_rounded(each) for each in value] if isinstance(value, tuple) else round(value, 3)
