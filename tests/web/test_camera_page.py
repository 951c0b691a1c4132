"""The page of a camera."""

import html
import json
import tomllib

import pytest
from selenium.webdriver import ActionChains

from plateid.config.load import load_config
from plateid.errors import ConfigError
from tests.support.broker import free_port
from tests.web.browser import find, images_loaded, texts, wait
from tests.web.conftest import CONFIG


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


@pytest.mark.parametrize(
    "view",
    [
        {"roi": "[[0,0],[2,0],[1,1]]"},
        {"roi": "[[0,0]]"},
        {"line": "[[0,0],[0,0]]"},
        {"masks": '"x"'},
        {"roi": "[" * 5000},
        {"roi": "NaN"},
    ],
)
def test_invalid_drawing_leaves_the_config_unchanged(device, view):
    before = (device.folder / "plateid.toml").read_text()
    form = {"csrf": device.hidden_field("csrf")} | view
    assert device.status("/cameras/drive", form) == 400
    assert (device.folder / "plateid.toml").read_text() == before
    assert device.reloads == []


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
