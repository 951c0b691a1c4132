"""The page "Review": labels plates, and exports the labels as training data; the page "Report"."""

import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode

from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from plateid.core.geometry import clipped
from plateid.core.lists import ListEntry
from plateid.core.records import Box
from plateid.core.text import normalise
from plateid.errors import ConfigError
from plateid.store.history import History
from plateid.store.label_export import EXPORT_FORMATS, training_files
from plateid.store.labels import FIRST_TRAINING, VERDICTS, Label, LabelTask
from plateid.store.list_file import read_entries
from plateid.store.report_card import Period, ReportCard, make_report
from plateid.store.self_labels import self_label_files
from plateid.store.snapshot_files import plate_box
from plateid.web.error_pages import log_change
from plateid.web.event_pages import event_of, image_of
from plateid.web.guard import read_change
from plateid.web.site import Site, download, page, site_of

MAX_CHARACTERS = 16
"""Maximum length of a plate's text."""
MAX_PX = 1e5
"""Limit of coordinates, pixels. It rejects infinite ones; the comparison also rejects NaN."""
UNDO = "undo"
"""Verdict that deletes the label."""
SELF = "self"
"""Format of the export of self-labels."""
REPORT_DAYS = 7
"""Length of the period of a report, days."""
CHUNK_BYTES = 1 << 16
"""Size of the pieces in which a ZIP file is sent, bytes."""


def report(request: Request) -> Response:
    """Shows the report card of a camera, or of all."""
    return page(request, "report.html", card=report_of(request))


def report_of(request: Request) -> ReportCard:
    """Returns the report card of the request's camera; HTTPException 404 if there is none."""
    site, camera = site_of(request), request.query_params.get("camera", "")
    if camera and camera not in site.cameras:
        raise HTTPException(404, "there is no such camera")
    now = datetime.now(UTC)
    return make_report(
        History(site.config.store.path), Period(now - timedelta(days=REPORT_DAYS), now, camera)
    )


def review(request: Request) -> Response:
    """Shows the next plate to label, or with `sample` the next one of the report's sample."""
    site = site_of(request)
    labels = site.history.labels
    sample = request.query_params.get("sample") == "1" and not site.history.is_fleet
    tasks = _sample(request) if sample else labels.tasks(_entries(site))
    values: dict[str, Any] = {
        "counts": labels.counts(),
        "left": len(tasks),
        "first_training": FIRST_TRAINING,
        "sample": sample,
        "camera": request.query_params.get("camera", ""),
        "last": request.query_params.get("last", ""),
        "group": _group(request),
        "address": f"{request.url.scheme}://{request.headers.get('host', '')}",
    }
    for task in tasks:
        if (image := image_of(site, task.event, legible=True)) is not None:
            box = [round(value, 1) for value in plate_box(image, task.event)]
            size = image.shape[1], image.shape[0]
            return page(request, "review.html", task=task, box=box, size=size, **values)
    return page(request, "review.html", task=None, **values)


async def label(request: Request) -> Response:
    """Stores the label of a plate, or deletes it."""
    form = await read_change(request)
    await run_in_threadpool(_store_label, site_of(request), form)
    await run_in_threadpool(
        log_change, request, "label saved", id=form["id"], verdict=form["verdict"]
    )
    if "back" in form:
        return RedirectResponse(f"/events/{form['id']}", 303)
    query = {"sample": "1", "camera": form.get("camera", "")} if "sample" in form else {}
    query |= {"last": form["id"]} if form["verdict"] != UNDO else {}
    query |= {"group": form["group"]} if form.get("group") else {}
    return RedirectResponse(f"/review?{urlencode(query)}", 303)


def export(request: Request) -> Response:
    """Exports all labels with their images as a ZIP file; on a hub, those of a group."""
    site, _ = site_of(request), _group(request)
    layout = request.query_params.get("format", "csv")
    formats = [*EXPORT_FORMATS, *([] if site.history.is_fleet else [SELF])]
    if layout not in formats:
        raise HTTPException(400, f"format: must be one of {', '.join(formats)}")
    with ExitStack() as stack:
        packed = stack.enter_context(tempfile.TemporaryFile())
        with zipfile.ZipFile(packed, "w") as archive:
            for name, data in (
                self_label_files(site.config.store.path)
                if layout == SELF
                else training_files(site.history.labels.images(), layout)
            ):
                archive.writestr(name, data)
        packed.seek(0)
        close = BackgroundTask(stack.pop_all().close)  # also if the client has gone
    name = "labels.zip" if layout == "csv" else f"labels-{layout}.zip"
    chunks = iter(partial(packed.read, CHUNK_BYTES), b"")
    return download(chunks, "application/zip", name, background=close)


def _group(request: Request) -> str:
    """Returns the site, group or device that a request narrows a hub to; HTTPException 400."""
    group = request.query_params.get("group", "")
    if group and group not in site_of(request).names:
        raise HTTPException(400, f"group: there is no site, group or device {group}")
    return group


def _sample(request: Request) -> list[LabelTask]:
    site = site_of(request)
    events = (event_of(site, id_) for id_ in report_of(request).to_confirm)
    return [LabelTask(event, 1.0, "random sample") for event in events]


def _store_label(site: Site, form: Mapping[str, str]) -> None:
    event, labels = event_of(site, form.get("id", "")), site.history.labels
    if form.get("verdict") == UNDO:
        labels.remove(event["id"])
        return
    image = image_of(site, event, legible=True)
    if image is None:
        raise HTTPException(404, "this event has no image of its plate")
    verdict, text = form.get("verdict", ""), normalise(form.get("text", ""))
    if verdict not in VERDICTS:
        raise HTTPException(400, f"verdict: must be one of {', '.join(VERDICTS)}")
    if verdict == "plate" and not 0 < len(text) <= MAX_CHARACTERS:
        raise HTTPException(400, f"text: needs 1 to {MAX_CHARACTERS} letters and digits")
    box = clipped(_parse_box(form.get("box", "")), image)
    labels.add(Label(event["id"], verdict, text if verdict == "plate" else "", box))


def _parse_box(text: str) -> Box:
    with suppress(ValueError):
        x1, y1, x2, y2 = (float(value) for value in text.split(","))
        if all(abs(value) < MAX_PX for value in (x1, y1, x2, y2)):
            return x1, y1, x2, y2
    raise HTTPException(400, "box: must be x1,y1,x2,y2")


def _entries(site: Site) -> Sequence[ListEntry]:
    try:
        return read_entries(site.config.lists.file, site.cameras)
    except ConfigError:  # the page "Lists" shows this error
        return ()
