"""The web UI in a frame of Home Assistant, below the path of its ingress proxy."""

from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection

import pytest

from plateid.store.audit_log import AuditLog
from plateid.web.guard import FORM
from tests.support.ingress_proxy import ADDRESS, PREFIX, USER, IngressProxy
from tests.web.browser import SYNCHRONISED, find, follow, images_loaded, texts, wait
from tests.web.conftest import Device, served

NOTICE = "/data: user 8480 cannot write it"
ADDON = f'host = "0.0.0.0"\ningress = "{ADDRESS}"\nnotice = "{NOTICE}"\n'
LINKS = """
return [...document.querySelectorAll('[href], [src], [action]')]
  .flatMap(e => [e.href, e.src, e.getAttribute('action') && e.action])
  .filter(url => typeof url === 'string' && url.startsWith('http'))
"""
PAGES = ("", "events", "lists", "review", "report", "people", "start", "cameras/drive")


@pytest.fixture
def addon(tmp_path, scene, history) -> Iterator[Device]:
    with served(tmp_path, scene, history, ADDON) as device:
        yield device


@pytest.fixture
def proxy(addon) -> Iterator[IngressProxy]:
    with closing(IngressProxy(addon.config.web.port)) as made:
        yield made


def test_live_page_shows_images_and_state_in_the_frame(proxy, browser):
    browser.get(proxy.origin)
    browser.switch_to.frame(find(browser, "iframe"))
    wait(browser, lambda: texts(browser, '[data-fact="clock"]') == SYNCHRONISED)
    wait(browser, lambda: images_loaded(browser))
    assert "Log out" not in find(browser, "header").text
    assert find(browser, ".problem[role=status]").text == NOTICE


@pytest.mark.parametrize("page", PAGES)
def test_every_address_of_a_page_is_below_the_prefix(proxy, browser, page):
    browser.get(f"{proxy.origin}{PREFIX}/{page}")
    assert find(browser, "main h1").text not in {"404", ""}
    links = browser.execute_script(LINKS)
    assert len(links) > 10
    assert [link for link in links if not link.startswith(f"{proxy.origin}{PREFIX}/")] == []


def test_links_lead_from_page_to_page(proxy, browser):
    browser.get(f"{proxy.origin}{PREFIX}/")
    follow(browser, 'nav a[href="events"]')
    follow(browser, ".passes a, td a, .reading a")
    wait(browser, lambda: images_loaded(browser))
    assert browser.current_url.startswith(f"{proxy.origin}{PREFIX}/events/")
    before = browser.current_url
    find(browser, "a.skip").send_keys("\n")
    assert browser.current_url.partition("#")[0].rstrip("?") == before.partition("?")[0]


def test_form_is_saved_under_the_name_of_the_user_and_stays_below_the_prefix(proxy, browser, addon):
    browser.get(f"{proxy.origin}{PREFIX}/lists")
    find(browser, "#edit input[name=plate]").send_keys("BB12CDE")
    follow(browser, "#edit button[value=save]")
    assert browser.current_url.startswith(f"{proxy.origin}{PREFIX}/lists")
    assert "BB12CDE" in addon.list_file.read_text()
    assert USER in {entry["user"] for entry in AuditLog(addon.config.store.path).find("")}


@pytest.mark.parametrize("headers", [{}, {"X_Ingress_Path": PREFIX, "X_Remote_User_Name": USER}])
def test_other_clients_need_a_password_whatever_headers_they_send(addon, headers):
    status, _, answer = addon.request("/events", **headers)
    assert (status, answer["Location"]) == (303, "/login")
    assert addon.status("/api/v1/events", **headers) == 401


@pytest.mark.parametrize("path", ["//evil.example", "https://evil.example", '/a"b', "/a/"])
def test_path_of_no_ingress_gives_no_access(addon, path):
    local = (ADDRESS, 0)
    with closing(HTTPConnection("127.0.0.1", addon.config.web.port, source_address=local)) as made:
        made.request("GET", "/events", headers={"X-Ingress-Path": path})
        answer = made.getresponse()
        assert (answer.status, answer.headers["Location"]) == (303, "/login")


def test_redirect_keeps_the_prefix(proxy):
    with closing(HTTPConnection(proxy.origin.removeprefix("http://"))) as connection:
        connection.request("POST", f"{PREFIX}/logout", "", {"Content-Type": FORM})
        assert connection.getresponse().headers["Location"] == f"{PREFIX}/login"
