"""All pages in Chromium: accessibility, phone width, dark mode."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from plateid.config.service import OccupancyConfig
from plateid.store.audit_log import AuditLog
from plateid.store.history import History
from plateid.store.labels import Label, Labels
from plateid.store.report_card import Period, make_report
from plateid.store.sessions import Sessions
from plateid.web.credentials import (
    TOKEN_SCOPES,
    Credentials,
    Token,
    User,
    credentials_file,
    hash_password,
    hash_token,
    write_credentials,
)
from tests.support.samples import payloads
from tests.web.browser import fits, images_loaded, log_in, screenshot, serious_issues, wait
from tests.web.conftest import PASSWORD, TOKEN, make_pass, passwords

PAGES = {
    "live": "/",
    "start": "/start",
    "events": "/events",
    "event": "/events/{id}",
    "lists": "/lists",
    "review": "/review",
    "report": "/report",
    "camera": "/cameras/drive",
    "inside": "/inside",
    "people": "/people",
    "changes": "/people/changes",
    "camera-form": "/setup/camera?name=drive",
    "first-password": "/first-password",
}


def add_people(device, browser):
    """Adds users, a token and a change; logs in."""
    hashed, store = hash_password(PASSWORD), device.config.store.path
    users = passwords(PASSWORD) | {
        "ana": User("operator", hashed),
        "porter": User("viewer", hashed),
    }
    tokens = {"hotel": Token(hash_token(TOKEN), TOKEN_SCOPES, date(2027, 12, 31))}
    write_credentials(credentials_file(store), Credentials(users, tokens))
    AuditLog(store).add(
        "ana",
        "list changed in the web UI",
        address="192.168.1.20",
        details="change: save, file: plates.csv",
        before="KX73LPH,allow,Ana,blue car",
        after="KX73LPH,allow,Ana,red car",
    )
    log_in(browser, device.address, PASSWORD)


def add_labels(device, _browser):
    """Confirms most passes of the report's sample."""
    store, now = device.config.store.path, datetime.now(UTC)
    plates = {each["id"]: each["plate"] for each in map(json.loads, payloads(device.store))}
    sample = make_report(History(store), Period(now - timedelta(days=1), now)).to_confirm
    for id_ in sample[:-2]:
        Labels(store).add(Label(id_, "plate", plates[id_], (0.0, 0.0, 1.0, 1.0)))


def add_sessions(device, _browser):
    """Lets three vehicles in."""
    wanted = OccupancyConfig(enabled=True, capacity=40, entry=["drive"], exit=["yard"])
    device.server.use(device.config.model_copy(update={"occupancy": wanted}))
    sessions = Sessions(device.config.store.path, wanted)
    for index, plate in enumerate(("RXL4K93", "B68SPK", "EK749HX")):
        seen = datetime.now(UTC) - timedelta(minutes=100 - 30 * index)
        sessions.note(replace(make_pass(index, plate, camera="drive"), first_seen=seen))
    sessions.add("KX73LPH", "Ana")


PREPARED = {
    "people": add_people,
    "changes": add_people,
    "report": add_labels,
    "inside": add_sessions,
}
"""What a page needs so that it is not empty."""


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
    PREPARED.get(name, lambda *_: None)(streets, browser)
    for suffix, size in SIZES.items():
        browser.set_window_size(*size)
        browser.get(streets.address + PAGES[name].format(id=newest))
        wait(browser, lambda: images_loaded(browser))
        assert serious_issues(browser) == []
        assert fits(browser)
        shown = name + ("-dark" if scheme == "dark" else "") + suffix
        if screenshots.name != "docs" or shown in (name, *DOCUMENTED):
            screenshot(browser, screenshots / f"web-{shown}.jpg")
