"""The page "Report": how well a camera reads."""

from datetime import UTC, datetime, timedelta

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from plateid.store.report_card import Period, ReportCard, make_report
from plateid.web.site import page, site_of

DAYS = 7
"""Length of the period, days."""


def report(request: Request) -> Response:
    """Shows the report card of a camera, or of all."""
    return page(request, "report.html", card=report_of(request))


def report_of(request: Request) -> ReportCard:
    """Returns the report card of the request's camera in the last days.

    Raises HTTPException 404 if there is no such camera.
    """
    site, camera = site_of(request), request.query_params.get("camera", "")
    if camera and camera not in site.cameras:
        raise HTTPException(404, "there is no such camera")
    now = datetime.now(UTC)
    return make_report(site.history, Period(now - timedelta(days=DAYS), now, camera))
