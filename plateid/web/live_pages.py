"""The page "Live"."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from plateid.web.pass_rows import latest_passes
from plateid.web.site import device_state, newest_event, page, site_of


def live(request: Request) -> Response:
    """Shows the cameras, the latest plates and the device's state."""
    site = site_of(request)
    if not site.config.camera:
        return RedirectResponse("/start", 303)
    after, state = newest_event(site), device_state(site)
    return page(request, "live.html", latest=latest_passes(site), state=state, after=after)
