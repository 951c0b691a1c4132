"""From an empty folder to a published event with a list hit, by clicks only."""

import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from paho.mqtt.publish import single
from selenium.common.exceptions import JavascriptException, StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from plateid.demo import DEMO_VIDEO
from tests.support.broker import until
from tests.support.rtsp import RtspServer
from tests.web.browser import find, fits, screenshot, serious_issues, texts, wait
from tests.web.onvif_camera import PASSWORD, USER, OnvifCamera

STEP_S = 60
"""Longest wait for a step, seconds: the networks load slowly on a busy machine."""
RELOADED = [StaleElementReferenceException, JavascriptException]
"""Exceptions on a page that loads itself again."""
SHOTS = Path(os.environ.get("FIRST_HOUR_SHOTS", "/nonexistent"))
"""Folder of screenshots, if it exists."""


@pytest.fixture
def street():
    """An RTSP camera that shows the demo's street."""
    server = RtspServer(DEMO_VIDEO)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def address(tmp_path):
    """The address that `plateid run` prints in an empty folder."""
    with (tmp_path / "log").open("w") as log:
        command = [sys.executable, "-m", "plateid", "run"]
        process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=subprocess.STDOUT)
    until(lambda: "web UI: " in (tmp_path / "log").read_text(), STEP_S)
    yield (tmp_path / "log").read_text().split("web UI: ")[1].split()[0]
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def until_done(browser, act):
    """Repeats what meets a page that loads itself again, before its form is in use."""
    return WebDriverWait(browser, STEP_S, ignored_exceptions=RELOADED).until(act)


def type_into(browser, **fields):
    """Fills in a form."""

    def is_typed(_):
        found = {name: browser.find_element(By.NAME, name) for name in fields}
        for name, text in fields.items():
            found[name].clear()
            found[name].send_keys(text)
        return {name: each.get_attribute("value") for name, each in found.items()} == fields

    until_done(browser, is_typed)


def click(browser, text):
    """Clicks the link or button with this text."""
    path = f"//*[(self::a or self::button) and contains(., '{text}')]"
    until_done(browser, lambda _: browser.find_element(By.XPATH, path).click() is None)


def shows(browser, text):
    """Whether the page shows a text, also while another one loads."""
    return text in "".join(texts(browser, "main"))


def check_page(browser, name):
    assert until_done(browser, lambda _: [serious_issues(browser)]) == [[]]
    assert fits(browser)
    if SHOTS.exists():
        for suffix, size in {"": (1440, 900), "-phone": (390, 844)}.items():
            browser.set_window_size(*size)
            screenshot(browser, SHOTS / f"{name}{suffix}.jpg")
        browser.set_window_size(1280, 900)


@pytest.mark.alone
def test_first_hour_ends_with_a_published_list_hit(address, browser, street, subscriber, broker):  # noqa: PLR0917
    single("homeassistant/status", "online", retain=True, qos=1, port=broker.port)
    browser.get(address)
    check_page(browser, "1-steps")
    click(browser, "Set a password")
    type_into(browser, **dict.fromkeys(("password", "repeated"), "correct horse"))
    check_page(browser, "2-password")
    click(browser, "Set the password")
    wait(browser, lambda: shows(browser, "The web UI has a password"), STEP_S)
    click(browser, "Add a camera")
    with closing(OnvifCamera(stream=street.url, profiles=(("main", 1280, "1"),))):
        click(browser, "Search the network")
        wait(browser, lambda: texts(browser, "#found button"), STEP_S)
        click(browser, "HIKVISION")
        type_into(browser, name="gate", user=USER, password=PASSWORD)
        find(browser, "#ask").click()
        wait(browser, lambda: shows(browser, "The camera gave the address below"), STEP_S)
    click(browser, "Test")
    wait(browser, lambda: texts(browser, "#result.success"), STEP_S)
    assert "1280x720" in texts(browser, "#result")[0]
    check_page(browser, "3-camera")
    click(browser, "Add camera")
    for text in ("Camera gate is online", "Plates are read"):  # loads itself again for each
        wait(browser, lambda text=text: shows(browser, text), STEP_S)
    until_done(browser, lambda _: find(browser, "#regions summary").click() is None)
    for country in ("ro", "gb"):
        find(browser, f"[name=region-{country}]").click()
    check_page(browser, "3-countries")
    find(browser, "#regions button").click()
    wait(browser, lambda: shows(browser, "Expected countries: Romania, United Kingdom"), STEP_S)
    type_into(browser, host="127.0.0.1", port=str(broker.port))
    find(browser, "#broker [value=test]").click()
    wait(browser, lambda: shows(browser, "Home Assistant found"), STEP_S)
    check_page(browser, "4-broker")
    find(browser, "#broker [value=save]").click()
    wait(browser, lambda: shows(browser, "Plates are read"), STEP_S)
    check_page(browser, "5-plates")
    click(browser, "to the allow list")
    wait(browser, lambda: browser.current_url.endswith("/lists"))
    check_page(browser, "6-lists")
    until(lambda: any(event["list"] for event in subscriber.events()), STEP_S)
    hit = next(event for event in subscriber.events() if event["list"])
    assert (hit["list"]["kind"], hit["camera"]) == ("allow", "gate")
