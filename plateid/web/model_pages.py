"""The page "Models": the bundles, the trial of a new one, and the way back."""

import tempfile
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from plateid.errors import BundleError, errors_as, os_errors_as
from plateid.web.error_pages import log_change
from plateid.web.guard import read_body, read_change
from plateid.web.site import page, service_of, site_of

KIND = "application/x-tar"
MAX_BYTES, UPLOAD_S, MAX_MINUTES = 200_000_000, 600.0, 7 * 24 * 60
"""Limits of an archive, as in `plateid models install`, of its upload, and of a trial."""


def show(request: Request) -> Response:
    """Shows the bundles and the last trial; the JSON API returns them."""
    trial = service_of(request).trial
    state: dict[str, Any] = {"trial": trial.report(), "bundles": trial.bundles()}
    is_api = request.scope["path"].startswith("/api/")
    return JSONResponse(state) if is_api else page(request, "models.html", **state)


async def roll_back(request: Request) -> Response:
    """Goes back to the previous bundle."""
    await read_change(request)
    trial = service_of(request).trial
    await run_in_threadpool(trial.roll_back)
    await run_in_threadpool(log_change, request, "bundle rolled back")
    return RedirectResponse("/models", 303)


async def upload(request: Request) -> Response:
    """Begins the trial of an archive, the body; its signature, hexadecimal, is in a header."""
    site, query = site_of(request), request.query_params
    reason = "minutes or X-Signature: is not a number"
    with errors_as(HTTPException, 400, ValueError, reason=reason):
        minutes = float(query.get("minutes", "60"))
        signature = bytes.fromhex(request.headers.get("x-signature", ""))
    if not 0 < minutes <= MAX_MINUTES:
        raise HTTPException(400, f"minutes: must be more than 0, and {MAX_MINUTES} at most")
    async with site.uploading:  # one at a time
        trial = service_of(request).trial
        with tempfile.TemporaryDirectory(prefix="plateid-") as folder:
            archive = Path(folder) / "upload.tar"
            with os_errors_as(BundleError, archive.name), archive.open("wb") as file:
                await read_body(request, KIND, MAX_BYTES, timeout_s=UPLOAD_S, file=file)
                archive.with_name("upload.tar.sig").write_bytes(signature)
            await run_in_threadpool(trial.install, archive, minutes)
    await run_in_threadpool(log_change, request, "bundle uploaded", minutes=minutes)
    return JSONResponse({"trial": trial.report()}, 202)
