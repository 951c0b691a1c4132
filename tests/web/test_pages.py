"""Each page in Chromium, by real clicks: what it shows, looks and does."""

import csv
import io
import json
import tomllib
import urllib.request
import zipfile
from dataclasses import replace

import pytest
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.ui import Select, WebDriverWait

from plateid.store.list_file import ListFile
from tests.support.samples import payloads
from tests.web.conftest import passing, screenshot, serious_issues
from train.dataset.formats import read_labels

PAGES = {
    "live": "/",
    "start": "/start",
    "events": "/events",
    "event": "/events/{id}",
    "lists": "/lists",
    "review": "/review",
    "camera": "/cameras/drive",
}


def wait(browser, condition, patience_s=8):
    return WebDriverWait(browser, patience_s).until(lambda _: condition())


def texts(browser, selector):
    """Of all elements at one moment: a page may go while one looks."""
    script = "return [...document.querySelectorAll(arguments[0])].map(found => found.innerText)"
    return browser.execute_script(script, selector)


def hold(browser, held, key):
    ActionChains(browser).key_down(held).send_keys(key).key_up(held).perform()


def find(browser, selector):
    return browser.find_element(By.CSS_SELECTOR, selector)


def loaded(browser, selector="img"):
    """Whether every picture of the page has arrived."""
    return browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])]"
        ".every(i => i.naturalWidth > 0 && !i.src.endsWith('blank.svg'))",
        selector,
    )


def fits(browser):
    """Whether nothing is wider than the window."""
    script = "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    return browser.execute_script(script)


def last_id(box):
    return json.loads(payloads(box.store)[0])["id"]


@pytest.fixture(params=["light", "dark"])
def scheme(request, browser):
    media = {"features": [{"name": "prefers-color-scheme", "value": request.param}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    yield request.param
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_accessible_and_fits_on_a_phone(box, browser, scheme, pictured, name):  # noqa: PLR0917
    browser.get(box.address + PAGES[name].format(id=last_id(box)))
    wait(browser, lambda: loaded(browser))
    assert serious_issues(browser) == []
    assert fits(browser)
    if scheme == "light" or name == "live":
        screenshot(browser, pictured / f"web-{name}{'-dark' if scheme == 'dark' else ''}.jpg")
    browser.set_window_size(390, 844)
    assert fits(browser)
    assert serious_issues(browser) == []
    if scheme == "light" and name == "live":
        screenshot(browser, pictured / "web-phone.jpg")


def test_plates_come_in_as_they_happen_and_a_pass_stays_one_row(box, browser):
    browser.get(box.address)
    wait(browser, lambda: loaded(browser))
    wait(browser, lambda: texts(browser, '[data-fact="clock"]') == ["Synchronised"])
    assert len(texts(browser, "#latest li")) == 20
    seen = passing(99, "NEW123", camera="drive")
    box.server.publish(seen)
    wait(browser, lambda: texts(browser, "#latest .plate")[0] == "NEW123")
    box.server.publish(replace(seen, plate="NEW128", plate_display="NEW128"))
    wait(browser, lambda: texts(browser, "#latest .plate")[0] == "NEW128")
    assert texts(browser, "#latest .plate").count("NEW123") == 0
    assert len(texts(browser, "#latest li")) == 20


def test_what_the_page_shows_already_is_corrected_in_its_place(box, browser):
    shown = json.loads(box.ask("/api/v1/events?limit=1")[1])["events"][0]
    browser.get(box.address)
    wait(browser, lambda: texts(browser, '[data-fact="clock"]') == ["Synchronised"])
    later = replace(passing(70, "NEW123", camera="drive"), pass_id=shown["pass_id"])
    box.server.publish(later)
    wait(browser, lambda: texts(browser, "#latest .plate")[0] == "NEW123")
    assert len(texts(browser, "#latest li")) == 20
    assert texts(browser, "#latest time")[0] == later.first_seen.astimezone().strftime(
        "%Y-%m-%d %H:%M:%S"
    )


def test_a_page_goes_on_after_a_restart_with_pictures_and_what_it_has_missed(box, browser, scene):
    browser.get(box.address)
    wait(browser, lambda: loaded(browser))
    before = texts(browser, "#latest .plate")
    box.server.stop()
    box.serve(scene)
    box.server.publish(passing(98, "MISSED1", camera="drive"))
    images = '[...document.querySelectorAll("img.stream")].map((image) => image.src)'
    old = browser.execute_script(f"return {images}")
    wait(browser, lambda: texts(browser, "#latest .plate")[:2] == ["MISSED1", before[0]])
    wait(browser, lambda: not set(old) & set(browser.execute_script(f"return {images}")))
    wait(browser, lambda: loaded(browser))
    browser.get("about:blank")
    browser.get_log("browser")  # says that the connection was lost


def test_a_page_that_hears_nothing_says_since_when(box, browser, scene):
    browser.get(box.address)
    wait(browser, lambda: texts(browser, '[data-fact="clock"]') == ["Synchronised"])
    assert not browser.find_element(By.ID, "disconnected").is_displayed()
    box.server.stop()
    browser.execute_script("const now = Date.now; Date.now = () => now() + 60000")
    wait(browser, lambda: browser.find_element(By.ID, "disconnected").is_displayed(), patience_s=20)
    assert texts(browser, "#disconnected")[0].startswith("No connection since ")
    box.serve(scene)
    wait(
        browser,
        lambda: not browser.find_element(By.ID, "disconnected").is_displayed(),
        patience_s=20,
    )
    browser.get("about:blank")
    browser.get_log("browser")  # says that the connection was lost


def test_a_search_by_form_pages_through_what_it_finds_and_exports_it(box, browser):
    browser.get(f"{box.address}/events")
    Select(find(browser, "[name=camera]")).select_by_visible_text("yard")
    find(browser, "[name=plate]").send_keys("b*", Keys.ENTER)
    wait(browser, lambda: "plate=b" in browser.current_url)
    first = texts(browser, "tbody .plate")
    assert len(first) == 50
    link = find(browser, "a[rel=next]")
    link.click()
    wait(browser, lambda: staleness_of(link)(browser))
    second = texts(browser, "tbody .plate")
    assert len(second) == 14
    assert browser.find_elements(By.CSS_SELECTOR, "a[rel=next]") == []
    link = find(browser, 'a[href^="/events.csv"]').get_attribute("href")
    _, text, _ = box.ask(link.removeprefix(box.address))
    assert [row["plate"] for row in csv.DictReader(io.StringIO(text))] == first + second
    find(browser, "tbody a").click()
    assert texts(browser, "h1 .plate") == second[:1]
    assert len(texts(browser, ".characters tr")) == len(second[0])


def test_a_list_is_changed_and_the_change_undone_and_comments_stay(box, browser):
    before = box.list_file.read_text()
    browser.get(f"{box.address}/lists")
    find(browser, "#edit [name=plate]").send_keys("CJ 12 ABC")
    Select(find(browser, "#edit [name=list]")).select_by_visible_text("Deny")
    find(browser, "#edit [name=valid_to]").send_keys("2026-12-31")
    find(browser, "#edit button").click()
    wait(browser, lambda: "CJ 12 ABC" in texts(browser, "td .plate"))
    find(browser, '[aria-label="Edit KX73LPH"]').click()
    name = find(browser, "#edit [name=name]")
    name.clear()
    name.send_keys("Ana, née Pop")
    find(browser, "#edit button").click()
    wait(browser, lambda: "Ana, née Pop" in texts(browser, "td"))
    lists = ListFile(box.config.lists, ("drive", "yard")).lists
    assert [(entry.plate, entry.kind, entry.name) for entry in lists.entries] == [
        ("KX73LPH", "allow", "Ana, née Pop"),
        ("B68SPK", "watch", "Dan"),
        ("CJ12ABC", "deny", "CJ 12 ABC"),
    ]
    assert "# the gardener" in box.list_file.read_text()
    find(browser, '[aria-label="Delete B 68 SPK"]').click()
    for undone in ("delete B 68 SPK", "edit KX73LPH", "add CJ 12 ABC"):
        wait(browser, lambda undone=undone: texts(browser, ".undo button") == [f"Undo: {undone}"])
        find(browser, ".undo button").click()
    wait(browser, lambda: box.list_file.read_text() == before)
    wait(browser, lambda: not texts(browser, ".undo button"))


def test_what_is_drawn_on_the_picture_goes_into_the_file_and_its_comments_stay(box, browser):
    browser.get(f"{box.address}/cameras/drive")
    wait(browser, lambda: loaded(browser))
    wait(browser, lambda: texts(browser, "#quality-height")[0].endswith("px"))
    drawing = find(browser, "#drawing")

    def click(*places):
        size = drawing.size
        for x, y in places:
            dx, dy = round((x - 0.5) * size["width"]), round((y - 0.5) * size["height"])
            ActionChains(browser).move_to_element_with_offset(drawing, dx, dy).click().perform()

    click((0.1, 0.2), (0.9, 0.2), (0.9, 0.9), (0.5, 0.5))
    find(browser, "#undo-point").click()
    click((0.1, 0.9))
    find(browser, "#finish").click()
    find(browser, '[data-tool="line"]').click()
    click((0.2, 0.6), (0.8, 0.6))
    shown = tomllib.loads(find(browser, "#toml").get_attribute("value"))
    assert shown.keys() == {"roi", "line"}
    find(browser, "#save button").click()
    wait(browser, lambda: texts(browser, ".success"))
    text = (box.folder / "plateid.toml").read_text()
    drive, yard = tomllib.loads(text)["camera"]
    expected = [(0.1, 0.2), (0.9, 0.2), (0.9, 0.9), (0.1, 0.9)]
    for point, place in zip(drive["roi"], expected, strict=True):
        assert point == pytest.approx(place, abs=0.01)
    assert len(drive["line"]) == 2
    assert yard.keys() == {"name", "url"}
    assert "# the long one" in text
    assert len(box.reloads) == 1


def test_review_goes_by_keys_from_the_most_useful_and_trains_the_reader(box, browser, scene):
    browser.get(f"{box.address}/review")
    wait(browser, lambda: loaded(browser))
    field = find(browser, "[name=text]")
    read = field.get_attribute("value")
    hold(browser, Keys.ALT, Keys.ARROW_RIGHT)
    field.send_keys("NEW123", Keys.ENTER)
    wait(browser, lambda: texts(browser, "#label-counts dd")[:1] == ["1"])
    hold(browser, Keys.ALT, "n")
    wait(browser, lambda: texts(browser, "#label-counts dd") == ["1", "0", "1", "0"])
    hold(browser, Keys.ALT, "s")
    wait(browser, lambda: texts(browser, "#label-counts dd") == ["1", "0", "1", "1"])
    archive = downloaded(box, "/review/labels.zip")
    rows = list(csv.DictReader(io.StringIO(archive.read("labels.csv").decode())))
    assert sorted(row["text"] for row in rows) == ["", "NEW123"]
    (plate,) = (row for row in rows if row["text"])
    boxes = {plate.text: plate.box for plate in scene[1]}
    assert float(plate["x1"]) == pytest.approx(boxes[read][0] + 1, abs=0.2)
    (other,) = (row for row in rows if not row["text"])
    assert other["x1"] == ""
    assert {f"images/{row['image']}" for row in rows} < set(archive.namelist())
    for path in (
        "/review/labels.zip",
        "/review/labels.zip?format=yolo",
        "/api/v1/labels.zip?format=coco",
    ):
        folder, problems = box.folder / path[-4:], []
        downloaded(box, path).extractall(folder)
        labelled = read_labels(folder, problems)
        assert problems == []
        assert sorted(len(each.boxes) for each in labelled) == [0, 1]
        assert all(each.path.is_file() for each in labelled)


def downloaded(box, path):
    """A ZIP file."""
    with urllib.request.urlopen(box.address + path) as answer:  # noqa: S310 - of loopback
        return zipfile.ZipFile(io.BytesIO(answer.read()))
