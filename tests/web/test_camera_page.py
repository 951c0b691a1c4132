"""The page of a camera."""

import html
import json
import time
import tomllib
from urllib.parse import urlencode

import pytest
from selenium.webdriver import ActionChains

from plateid.config.cameras import MAX_MASKS, MAX_POINTS
from plateid.config.load import load_config
from plateid.errors import ConfigError
from tests.support.broker import free_port
from tests.web.browser import find, images_loaded, texts, wait
from tests.web.conftest import CONFIG, served


def test_drawing_is_written_to_the_config_and_comments_stay(device, browser):
    browser.get(f"{device.address}/cameras/drive")
    wait(browser, lambda: images_loaded(browser))
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
    text = (device.folder / "plateid.toml").read_text()
    drive, yard = tomllib.loads(text)["camera"]
    expected = [(0.1, 0.2), (0.9, 0.2), (0.9, 0.9), (0.1, 0.9)]
    for point, place in zip(drive["roi"], expected, strict=True):
        assert point == pytest.approx(place, abs=0.01)
    assert len(drive["line"]) == 2
    assert yard.keys() == {"name", "url"}
    assert "# the long one" in text
    assert len(device.reloads) == 1


def test_corner_is_dragged_and_an_unfinished_shape_is_not_lost(device, browser):
    browser.get(f"{device.address}/cameras/drive")
    wait(browser, lambda: images_loaded(browser))
    drawing = find(browser, "#drawing")

    def at(x, y):
        dx, dy = round((x - 0.5) * drawing.size["width"]), round((y - 0.5) * drawing.size["height"])
        return ActionChains(browser).move_to_element_with_offset(drawing, dx, dy)

    for place in ((0.2, 0.2), (0.8, 0.2)):
        at(*place).click().perform()
    find(browser, '[data-tool="line"]').click()
    for place in ((0.2, 0.6), (0.8, 0.6)):
        at(*place).click().perform()
    assert find(browser, "#drawing").get_attribute("textContent") == "inout"
    find(browser, "#save button").click()
    assert texts(browser, "#unfinished")[0].startswith("The region is not finished")
    assert "roi" not in (device.folder / "plateid.toml").read_text()
    find(browser, '[data-tool="roi"]').click()
    at(0.5, 0.8).click().perform()
    find(browser, "#finish").click()
    at(0.8, 0.2).click_and_hold().perform()
    at(0.9, 0.3).release().perform()
    find(browser, "#save button").click()
    wait(browser, lambda: texts(browser, ".success"))
    drive = tomllib.loads((device.folder / "plateid.toml").read_text())["camera"][0]
    for point, place in zip(drive["roi"], [(0.2, 0.2), (0.9, 0.3), (0.5, 0.8)], strict=True):
        assert point == pytest.approx(place, abs=0.01)
    assert len(drive["line"]) == 2


@pytest.mark.parametrize(
    "view",
    [
        {"roi": "[[0,0],[2,0],[1,1]]"},
        {"roi": "[[0,0]]"},
        {"line": "[[0,0],[0,0]]"},
        {"masks": '"x"'},
        {"roi": "[" * 5000},
        {"roi": "NaN"},
        {"roi": '[[null,{}],[1,"a"]]'},
        {"roi": "9" * 5000},
        {"roi": json.dumps(65 * [[0.1, 0.1]])},
        {"masks": json.dumps(65 * [[[0, 0], [0, 1], [1, 1]]])},
    ],
)
def test_invalid_drawing_leaves_the_config_unchanged(device, view):
    before = (device.folder / "plateid.toml").read_text()
    form = {"csrf": device.hidden_field("csrf")} | view
    status, text, _ = device.request("/cameras/drive", form)
    assert status == 400
    assert not any(word in text for word in ("pydantic", "validation error", "Expecting", "input_"))
    assert (device.folder / "plateid.toml").read_text() == before
    assert device.reloads == []


@pytest.mark.parametrize(("masks", "status"), [(65, 400), (20_000, 413), (400_000, 413)])
def test_too_many_masks_are_refused_in_milliseconds(device, masks, status):
    drawn = json.dumps(masks * [[[0.1, 0.1], [0.2, 0.1], [0.2, 0.2]]])
    body = urlencode({"csrf": device.hidden_field("csrf"), "masks": drawn})
    started = time.monotonic()
    found, text, _ = device.request("/cameras/drive", body)
    assert time.monotonic() - started < 2
    assert found == status
    expected = "masks: must have at most 64 items" if masks == 65 else "up to 131072 bytes"
    assert expected in text


def test_largest_drawing_is_saved(device):
    polygon = [[round(0.001 + n / 70, 3), 0.123] for n in range(MAX_POINTS)]
    drawn = {"roi": json.dumps(polygon), "masks": json.dumps(MAX_MASKS * [polygon])}
    form = {"csrf": device.hidden_field("csrf")} | drawn
    assert device.status("/cameras/drive", form) == 303
    saved = load_config(device.folder / "plateid.toml").camera[0]
    assert (len(saved.roi), len(saved.masks)) == (MAX_POINTS, MAX_MASKS)


def test_drawing_is_shown_before_the_reload(device):
    form = {"csrf": device.hidden_field("csrf"), "roi": "[[0.1,0.1],[0.9,0.1],[0.5,0.9]]"}
    assert device.status("/cameras/drive", form) == 303
    page = html.unescape(device.text("/cameras/drive?saved=1"))
    assert "[[0.1, 0.1], [0.9, 0.1], [0.5, 0.9]]" in page


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "a' OR 1=1", "../x", "a/b", ""])
def test_harmful_camera_name_is_rejected(tmp_path, name):
    text = CONFIG.format(port=free_port()).replace('"drive"', json.dumps(name))
    (tmp_path / "plateid.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"camera\[0\].name"):
        load_config(tmp_path / "plateid.toml")


def test_drawing_of_a_camera_that_a_variable_adds_is_saved(
    tmp_path, scene, *, history, monkeypatch
):
    address = "rtsp://user:secret@camera.local/porch"
    monkeypatch.setenv("PLATEID_CAMERA_PORCH", address)
    with served(tmp_path, scene, history) as device:
        csrf = device.hidden_field("csrf", "/cameras/porch")
        for end in (0.8, 0.9):
            form = {"csrf": csrf, "line": f"[[0.1, 0.5], [{end}, 0.5]]"}
            assert device.status("/cameras/porch", form) == 303
    porch = load_config(tmp_path / "plateid.toml").camera[-1]
    assert (porch.name, porch.url) == ("porch", address)
    assert porch.line == ((0.1, 0.5), (0.9, 0.5))
    assert "secret" not in (tmp_path / "plateid.toml").read_text()
