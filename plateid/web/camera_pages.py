"""One camera: how well it sees plates, and the drawing of what counts in its picture."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import structlog
import tomlkit
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from tomlkit.exceptions import TOMLKitError

from plateid.config.cameras import CameraConfig
from plateid.config.load import load_config
from plateid.errors import ConfigError
from plateid.files import is_replaceable, replace_text
from plateid.web import aid as aids
from plateid.web.guard import read_change
from plateid.web.live_pages import Stream, repeated
from plateid.web.site import Site, camera_of, page, site_of

AID_S = 0.5
KEYS = ("roi", "masks", "line")
log = structlog.get_logger()


def camera(request: Request) -> Response:
    """The picture to draw on, and what is drawn."""
    site, name = site_of(request), camera_of(request)
    config = _config(site, name)
    view = {"roi": config.roi, "masks": config.masks, "line": config.line}
    saved = request.query_params.get("saved") == "1"
    return page(request, "camera.html", camera=config, view=view, saved=saved, writable=_file(site))


async def aid(request: Request) -> Response:
    """Server-sent events: how the largest plate of the present picture is seen."""
    site, name = site_of(request), camera_of(request)

    def look() -> Any:
        sight = site.live.sight(name)
        seen = sight and aids.look(sight)
        return asdict(seen) if seen else None

    return Stream(request, repeated(site.live, "aid", look, AID_S), "text/event-stream")


async def save(request: Request) -> Response:
    """Writes the view into the configuration file, and has it read again."""
    site, name = site_of(request), camera_of(request)
    form = await read_change(request)
    if (file := _file(site)) is None:
        raise HTTPException(403, "the configuration file cannot be written by plateid")
    try:
        view = {key: json.loads(form.get(key) or "null") for key in KEYS}
        parsed = CameraConfig(name=name, url="-", **{k: v for k, v in view.items() if v})
    except (ValueError, TypeError, RecursionError) as error:
        raise HTTPException(400, f"the drawing cannot be read: {error}") from error
    await run_in_threadpool(_write_view, site, file, name, view)
    site.reload()
    drawn = {key: getattr(parsed, key) for key in KEYS}
    seen = (c.model_copy(update=drawn) if c.name == name else c for c in site.config.camera)
    cameras = tuple(seen)  # until they are read again
    site.config = site.config.model_copy(update={"camera": cameras})
    log.info("view of camera changed", camera=name)
    return RedirectResponse(f"/cameras/{name}?saved=1", 303)


def _write_view(site: Site, file: Path, camera: str, view: dict[str, Any]) -> None:
    """Puts a camera's view into the file and leaves all else, comments too, as it is.

    Raises:
        ConfigError: The file cannot be read or written, or would be wrong then; it stays as it is.
    """
    try:
        with site.changing:
            text = _with_view(file, camera, view)
            replace_text(file, text, first=load_config)
    except OSError as error:
        raise ConfigError(file, error.strerror) from error


def _with_view(file: Path, camera: str, view: dict[str, Any]) -> str:
    try:
        document = tomlkit.parse(file.read_text("utf-8-sig"))
        (table,) = (t for t in document["camera"] if t["name"] == camera)
        for key, value in view.items():
            if value:
                table[key] = _rounded(value)
            else:
                table.pop(key, None)
    except (TOMLKitError, KeyError, ValueError, TypeError) as error:
        raise ConfigError(file, f"no camera {camera} that can be changed here") from error
    return tomlkit.dumps(document)


def _rounded(value: Any) -> Any:
    return [_rounded(each) for each in value] if isinstance(value, list) else round(value, 3)


def _config(site: Site, name: str) -> CameraConfig:
    return next(camera for camera in site.config.camera if camera.name == name)


def _file(site: Site) -> Path | None:
    """The configuration file, if it can be replaced from here; a link is left to who made it."""
    if site.file is None or site.file.is_symlink():
        return None
    return site.file if is_replaceable(site.file) else None
