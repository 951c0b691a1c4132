"""The URL paths of the hub: those that it shares with a device, and its own."""

from starlette.routing import Route as OpenRoute

from plateid.hub import pages
from plateid.web.routes import SHARED_ROUTES, Route

PAGES = {
    "Live": "/",
    "Events": "/events",
    "Journeys": "/journeys",
    "Lists": "/lists",
    "Devices": "/devices",
    "People": "/people",
}
"""The menu."""
ROUTES = [
    Route("/", pages.live),
    Route("/journeys", pages.journeys),
    Route("/devices", pages.devices),
    Route("/devices", pages.change, methods=["POST"]),
    Route("/api/v1/desired", pages.desired, "device"),
    OpenRoute("/api/v1/enrol", pages.enrol, methods=["POST"]),
    *SHARED_ROUTES,
]
