"""Tests of the page "Inside now"."""

import csv
import io
import json

import pytest
from selenium.webdriver import Keys

from plateid.config.service import OccupancyConfig
from plateid.store.audit_log import AuditLog
from plateid.store.sessions import Sessions
from tests.store.test_sessions import at_gate
from tests.web.browser import find, fits, serious_issues, texts, wait


@pytest.fixture
def sessions(device) -> Sessions:
    """The sessions of a car park with two places; one vehicle is inside."""
    wanted = OccupancyConfig(enabled=True, capacity=2, entry=["drive"], exit=["yard"])
    device.server.use(device.config.model_copy(update={"occupancy": wanted}))
    made = Sessions(device.config.store.path, wanted)
    made.note(at_gate("B68SPK", None, 1, camera="drive"))
    return made


def test_vehicle_is_added_and_has_left_by_clicks(device, browser, sessions):
    browser.get(device.address)
    find(browser, 'nav a[href="inside"]').click()
    assert texts(browser, "#occupancy dd") == ["1", "1 of 2"]
    find(browser, "[name=plate]").send_keys("kx 73 lph", Keys.ENTER)
    wait(browser, lambda: texts(browser, "#occupancy dd") == ["2", "0 of 2"])
    assert texts(browser, "td:nth-child(2)") == ["", "Ana"]
    assert fits(browser)
    assert serious_issues(browser) == []
    find(browser, '[aria-label="B68SPK has left"]').click()
    wait(browser, lambda: texts(browser, "td .plate") == ["KX73LPH"])
    assert [bool(each.left_at) for each in sessions.all()] == [True, False]
    assert b"KX73LPH" not in AuditLog(device.config.store.path).file.path.read_bytes()


def test_sessions_are_exported_without_formulas(device, sessions):
    sessions.add("", "=1+1")
    rows = list(csv.DictReader(io.StringIO(device.text("/inside.csv"))))
    assert [(row["plate"], row["name"], row["camera"]) for row in rows] == [
        ("B68SPK", "", "drive"),
        ("", "'=1+1", ""),
    ]


@pytest.mark.usefixtures("sessions")
def test_occupancy_is_in_the_api(device):
    answer = json.loads(device.text("/api/v1/occupancy"))
    assert (answer["inside"], answer["capacity"], answer["free"]) == (1, 2, 1)
    assert answer["sessions"][0]["plate"] == "B68SPK"


@pytest.mark.usefixtures("sessions")
@pytest.mark.parametrize(
    "change", [{}, {"do": "x"}, {"do": "add", "plate": "<b>"}, {"do": "add", "plate": 17 * "A"}]
)
def test_invalid_correction_is_refused(device, change):
    csrf = device.hidden_field("csrf", "/inside")
    assert device.status("/inside", {"csrf": csrf} | change) == 400
    assert device.status("/inside", {"do": "add"}) == 403


@pytest.mark.parametrize("path", ["/inside", "/inside.csv", "/api/v1/occupancy"])
def test_page_does_not_exist_without_occupancy(device, path):
    assert device.status(path) == 404
    assert "/inside" not in device.text("/")
