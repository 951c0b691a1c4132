"""What tests do with Chromium."""

from pathlib import Path

import cv2
import numpy as np
from axe_core_python.base import AXE_SCRIPT
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.ui import WebDriverWait

SYNCHRONISED = ["Synchronised"]
"""Text of the clock on the page "Live" once its event stream is connected."""


def wait(browser: Chrome, condition, timeout_s: float = 8) -> None:
    WebDriverWait(browser, timeout_s).until(lambda _: condition())


def find(browser: Chrome, selector: str) -> WebElement:
    return browser.find_element(By.CSS_SELECTOR, selector)


def texts(browser: Chrome, selector: str) -> list[str]:
    """The texts of all elements, read at once because a page may change meanwhile."""
    script = "return [...document.querySelectorAll(arguments[0])].map(found => found.innerText)"
    return browser.execute_script(script, selector)


def follow(browser: Chrome, selector: str) -> None:
    """Clicks a link and waits for the next page."""
    link = find(browser, selector)
    link.click()
    wait(browser, lambda: staleness_of(link)(browser))


def press(browser: Chrome, modifier: str, key: str) -> None:
    ActionChains(browser).key_down(modifier).send_keys(key).key_up(modifier).perform()


def images_loaded(browser: Chrome) -> bool:
    script = (
        "return [...document.querySelectorAll('img')]"
        ".filter(i => !i.hidden)"
        ".filter(i => i.loading != 'lazy' || i.getBoundingClientRect().top < innerHeight)"
        ".every(i => i.naturalWidth > 0 && !i.src.endsWith('blank.svg'))"
    )
    return browser.execute_script(script)


def fits(browser: Chrome) -> bool:
    """Whether nothing is wider than the window."""
    script = "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    return browser.execute_script(script)


def log_in(browser: Chrome, address: str, password: str, user: str = "") -> None:
    browser.get(address)
    if user:
        browser.find_element(By.NAME, "user").send_keys(user)
    browser.find_element(By.NAME, "password").send_keys(password, Keys.ENTER)
    wait(browser, lambda: "Live" in texts(browser, "nav a"))


def leave(browser: Chrome) -> None:
    """Leaves a page whose connection was lost, which the console reports."""
    browser.get("about:blank")
    browser.get_log("browser")


def screenshot(browser: Chrome, file: Path) -> None:
    image = cv2.imdecode(np.frombuffer(browser.get_screenshot_as_png(), np.uint8), cv2.IMREAD_COLOR)
    assert image.std() > 5, "the page is blank"
    assert cv2.imwrite(str(file), image, [cv2.IMWRITE_JPEG_QUALITY, 82])


def serious_issues(browser: Chrome) -> list[str]:
    """Serious accessibility issues that axe-core finds."""
    browser.execute_script(AXE_SCRIPT)
    found = browser.execute_async_script("axe.run().then(arguments[0])")
    return [
        f"{issue['id']}: {issue['nodes'][0]['html']}"
        for issue in found["violations"]
        if issue["impact"] in {"serious", "critical"}
    ]
