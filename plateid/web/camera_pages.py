"""The page of a camera: live image quality, and a drawing of region, masks and line."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from tomlkit.exceptions import TOMLKitError

from plateid.config.cameras import CameraConfig
from plateid.config.load import load_config
from plateid.config.problems import problems_of
from plateid.core.plate_quality import measure_quality
from plateid.errors import ConfigError, os_errors_as
from plateid.files import is_replaceable, replace_text
from plateid.web.error_pages import log_change
from plateid.web.guard import read_change
from plateid.web.site import Site, camera_of, page, site_of
from plateid.web.streams import Stream, repeated

QUALITY_S = 0.5
"""Interval between two measurements, seconds."""
KEYS = ("roi", "masks", "line")
"""Configuration keys that the drawing sets; coordinates are normalised (0-1)."""
MAX_REASONS = 5
"""Maximum number of reasons in the answer to an invalid drawing."""


def camera(request: Request) -> Response:
    """Shows the live image with the drawing."""
    site, name = site_of(request), camera_of(request)
    config = next(camera for camera in site.config.camera if camera.name == name)
    view = {key: getattr(config, key) for key in KEYS}
    saved = request.query_params.get("saved") == "1"
    file = _writable_file(site)
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
    if (file := _writable_file(site)) is None:
        raise HTTPException(403, "plateid cannot write the configuration file")
    view = _parse_view(form)
    await run_in_threadpool(_write_view, site, file, name, view)
    _show_at_once(site, name, view)
    site.reload()
    log_change(request, "camera view changed", camera=name)
    return RedirectResponse(f"/cameras/{name}?saved=1", 303)


def _parse_view(form: Mapping[str, str]) -> dict[str, Any]:
    """Returns the drawing of a form; raises HTTPException 400, which names what is wrong."""
    try:
        view = {key: json.loads(form.get(key) or "null") for key in KEYS}
        drawn = CameraConfig(name="-", url="-", **{k: v for k, v in view.items() if v})
    except ValidationError as error:
        reasons = [problem.text for problem in problems_of(error, CameraConfig)]
        raise HTTPException(400, "; ".join(reasons[:MAX_REASONS])) from error
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "the drawing is not valid JSON") from error
    return {key: getattr(drawn, key) for key in KEYS}


def _show_at_once(site: Site, name: str, view: Mapping[str, Any]) -> None:
    """Puts the drawing into the site's configuration until the reload replaces it."""
    cameras = (c.model_copy(update=view) if c.name == name else c for c in site.config.camera)
    site.config = site.config.model_copy(update={"camera": tuple(cameras)})


def _write_view(site: Site, file: Path, camera: str, view: Mapping[str, Any]) -> None:
    """Changes only the camera's view in the file; empty values delete the key; comments stay.

    Raises ConfigError and changes nothing if that fails or the file would be invalid.
    """
    with site.changing, os_errors_as(ConfigError, file):
        try:
            document = tomlkit.parse(file.read_text("utf-8-sig"))
            (table,) = (table for table in document["camera"] if table["name"] == camera)
            for key, value in view.items():
                if value:
                    table[key] = _rounded(value)
                else:
                    table.pop(key, None)
        except (TOMLKitError, KeyError, ValueError, TypeError) as error:
            raise ConfigError(file, f"no [[camera]] table named {camera} to change") from error
        replace_text(file, tomlkit.dumps(document), first=load_config)


def _rounded(value: Any) -> Any:
    return [_rounded(each) for each in value] if isinstance(value, tuple) else round(value, 3)


def _writable_file(site: Site) -> Path | None:
    """Returns the configuration file if plateid can replace it; symlinks are left alone."""
    if site.file is None or site.file.is_symlink():
        return None
    return site.file if is_replaceable(site.file) else None
