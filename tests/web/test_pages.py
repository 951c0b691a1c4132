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
}


@pytest.fixture(params=["light", "dark"])
def scheme(request, browser):
    media = {"features": [{"name": "prefers-color-scheme", "value": request.param}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    yield request.param
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize("name", PAGES)
def test_page_is_accessible_and_fits_on_a_phone(device, browser, scheme, screenshots, name):  # noqa: PLR0917
    newest = json.loads(payloads(device.store)[0])["id"]
    browser.get(device.address + PAGES[name].format(id=newest))
    wait(browser, lambda: images_loaded(browser))
    assert serious_issues(browser) == []
    assert fits(browser)
    if scheme == "light" or name == "live":
        screenshot(browser, screenshots / f"web-{name}{'-dark' if scheme == 'dark' else ''}.jpg")
    browser.set_window_size(390, 844)
    assert fits(browser)
    assert serious_issues(browser) == []
    if scheme == "light" and name == "live":
        screenshot(browser, screenshots / "web-phone.jpg")
