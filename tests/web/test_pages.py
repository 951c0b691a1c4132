"""All pages in Chromium: accessibility, phone width, dark mode."""

import json

import pytest

from tests.support.samples import payloads
from tests.web.browser import fits, images_loaded, screenshot, serious_issues, wait

PAGES = {
    "live": "/",
    "start": "/start",
    "events": "/events",
    "event": "/events/{id}",
    "lists": "/lists",
    "review": "/review",
    "report": "/report",
    "camera": "/cameras/drive",
    "people": "/people",
    "camera-form": "/setup/camera?name=drive",
    "first-password": "/first-password",
}


@pytest.fixture(params=["light", "dark"])
def scheme(request, browser):
    media = {"features": [{"name": "prefers-color-scheme", "value": request.param}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    yield request.param
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


SIZES = {"": (1440, 900), "-phone": (390, 844)}
DOCUMENTED = ("live-dark", "live-phone", "event-dark-phone", "events-phone")
"""Screenshots of the documentation besides those of each page on a large, light screen."""


@pytest.mark.parametrize("name", PAGES)
def test_page_is_accessible_and_fits_on_a_phone(streets, browser, scheme, screenshots, name):  # noqa: PLR0917
    newest = json.loads(payloads(streets.store)[0])["id"]
    for suffix, size in SIZES.items():
        browser.set_window_size(*size)
        browser.get(streets.address + PAGES[name].format(id=newest))
        wait(browser, lambda: images_loaded(browser))
        assert serious_issues(browser) == []
        assert fits(browser)
        shown = name + ("-dark" if scheme == "dark" else "") + suffix
        if screenshots.name != "docs" or shown in (name, *DOCUMENTED):
            screenshot(browser, screenshots / f"web-{shown}.jpg")
