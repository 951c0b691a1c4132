"""Review: the plates that are worth a look, one at a time, and the labels as training data."""

import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from typing import IO, Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response, StreamingResponse

from plateid.core.records import Box, Image
from plateid.core.text import normalise
from plateid.errors import ConfigError
from plateid.store.label_export import FORMS, training_files
from plateid.store.labels import VERDICTS, Label, Labels
from plateid.store.list_editor import read_entries
from plateid.store.search import find_pass
from plateid.web import event_images as snapshots
from plateid.web.guard import read_change
from plateid.web.site import Site, page, site_of

MAX_TEXT = 16
CHUNK = 1 << 16


def image(request: Request) -> Response:
    """The whole picture of an event."""
    site = site_of(request)
    file = snapshots.file_of(site.history.path, _event(site, request.path_params["id"]))
    if file is None:
        raise HTTPException(404, "the picture is gone")
    return FileResponse(file, media_type="image/jpeg")


def crop(request: Request) -> Response:
    """The plate in the picture of an event."""
    site = site_of(request)
    event = _event(site, request.path_params["id"])
    image = _image(site, event)
    if image is None:
        raise HTTPException(404, "the picture is gone")
    jpeg = snapshots.crop_jpeg(image, snapshots.box_in(image, event))
    return Response(jpeg, media_type="image/jpeg")


def review(request: Request) -> Response:
    """The next plate."""
    site = site_of(request)
    labels = Labels(site.history.path)
    tasks = labels.tasks(_entries(site))
    values: dict[str, Any] = {"counts": labels.counts(), "left": len(tasks)}
    for task in tasks:
        if (image := _image(site, task.event)) is not None:
            box = [round(value, 1) for value in snapshots.box_in(image, task.event)]
            size = image.shape[1], image.shape[0]
            return page(request, "review.html", task=task, box=box, size=size, **values)
    return page(request, "review.html", task=None, **values)


async def label(request: Request) -> Response:
    """Keeps what somebody says of a plate."""
    site = site_of(request)
    form = await read_change(request)
    await run_in_threadpool(_keep, site, form)
    return RedirectResponse("/review", 303)


def export(request: Request) -> Response:
    """All labels with their pictures, as a ZIP file."""
    site = site_of(request)
    form = request.query_params.get("format", "csv")
    if form not in FORMS:
        raise HTTPException(400, f"format: is one of {', '.join(FORMS)}")
    packed = tempfile.TemporaryFile()  # noqa: SIM115 - closed when it was sent
    with zipfile.ZipFile(packed, "w") as archive:
        labels = Labels(site.history.path).all()
        for name, data in training_files(labels, site.history.path, form):
            archive.writestr(name, data)
    packed.seek(0)
    name = "labels.zip" if form == "csv" else f"labels-{form}.zip"
    disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(_chunks(packed), media_type="application/zip", headers=disposition)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(CHUNK):
            yield chunk


def _keep(site: Site, form: Mapping[str, str]) -> None:
    """Raises HTTPException where the form is none of ours."""
    event = _event(site, form.get("id", ""))
    image = _image(site, event)
    if image is None:
        raise HTTPException(404, "the picture is gone")
    verdict, text = form.get("verdict", ""), normalise(form.get("text", ""))
    if verdict not in VERDICTS:
        raise HTTPException(400, "there is no such verdict")
    if verdict == "plate" and not 0 < len(text) <= MAX_TEXT:
        raise HTTPException(400, f"a plate has 1 to {MAX_TEXT} letters and digits")
    box = snapshots.clipped(_corners(form.get("box", "")), image)
    kept = Label(event["id"], verdict, text if verdict == "plate" else "", box)
    Labels(site.history.path).add(kept)


def _corners(text: str) -> Box:
    try:
        x1, y1, x2, y2 = (float(value) for value in text.split(","))
    except ValueError as error:
        raise HTTPException(400, "a box is x1,y1,x2,y2") from error
    if not all(abs(value) < 1e5 for value in (x1, y1, x2, y2)):  # noqa: PLR2004 - nor is it NaN
        raise HTTPException(400, "a box is x1,y1,x2,y2")
    return x1, y1, x2, y2


def _event(site: Site, id_: str) -> dict[str, Any]:
    """Raises HTTPException 404."""
    for event in find_pass(site.history, id_):
        if event["id"] == id_:
            return event
    raise HTTPException(404, "there is no such event")


def _image(site: Site, event: dict[str, Any]) -> Image | None:
    file = snapshots.file_of(site.history.path, event, legible=True)
    return snapshots.read_image(file) if file else None


def _entries(site: Site) -> Any:
    try:
        return read_entries(site.config.lists.file, site.cameras)
    except ConfigError:  # the page of lists says so
        return ()
