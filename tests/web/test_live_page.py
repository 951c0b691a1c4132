"""The pages "Live" and "First steps"."""

import html
from dataclasses import replace

import pytest

from plateid.config.outputs import MqttConfig
from plateid.web import streams
from plateid.web.setup_pages import subscribe_command
from tests.support.samples import outbox_of
from tests.web.browser import SYNCHRONISED, images_loaded, leave, texts, wait
from tests.web.conftest import make_pass

CLOCK = '[data-fact="clock"]'
PLATES = "#latest .plate"


def test_new_plate_is_prepended_and_a_pass_stays_one_row(device, browser):
    browser.get(device.address)
    wait(browser, lambda: images_loaded(browser))
    wait(browser, lambda: texts(browser, CLOCK) == SYNCHRONISED)
    assert len(texts(browser, "#latest li")) == 20
    seen = make_pass(99, "NEW123", camera="drive")
    device.server.publish(seen)
    wait(browser, lambda: texts(browser, PLATES)[0] == "NEW123")
    device.server.publish(replace(seen, plate="NEW128", plate_display="NEW128"))
    wait(browser, lambda: texts(browser, PLATES)[0] == "NEW128")
    assert "NEW123" not in texts(browser, PLATES)
    assert len(texts(browser, "#latest li")) == 20


def test_correction_of_a_shown_pass_replaces_its_row(device, browser):
    shown = device.text("/api/v1/events?limit=1").split('"pass_id":"')[1].split('"')[0]
    browser.get(device.address)
    wait(browser, lambda: texts(browser, CLOCK) == SYNCHRONISED)
    later = replace(make_pass(70, "NEW123", camera="drive"), pass_id=shown)
    device.server.publish(later)
    wait(browser, lambda: texts(browser, PLATES)[0] == "NEW123")
    assert len(texts(browser, "#latest li")) == 20
    local = later.first_seen.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    first = browser.find_element("css selector", "#latest time")
    assert first.get_attribute("title") == local


def test_page_recovers_after_a_restart_with_missed_events_and_new_images(device, browser, scene):
    browser.get(device.address)
    wait(browser, lambda: images_loaded(browser))
    before = texts(browser, PLATES)
    device.server.stop()
    device.serve(scene)
    device.server.publish(make_pass(98, "MISSED1", camera="drive"))
    sources = '[...document.querySelectorAll("img.stream")].map((image) => image.src)'
    old = browser.execute_script(f"return {sources}")
    wait(browser, lambda: texts(browser, PLATES)[:2] == ["MISSED1", before[0]])
    wait(browser, lambda: not set(old) & set(browser.execute_script(f"return {sources}")))
    wait(browser, lambda: images_loaded(browser))
    leave(browser)


def test_lost_connection_is_shown_until_it_is_back(device, browser, scene):
    browser.get(device.address)
    wait(browser, lambda: texts(browser, CLOCK) == SYNCHRONISED)
    alert = browser.find_element("id", "disconnected")
    assert not alert.is_displayed()
    device.server.stop()
    wait(browser, alert.is_displayed, timeout_s=5)
    assert alert.text.startswith("No connection since ")
    assert texts(browser, ".state") == ["No connection"] * 2
    device.serve(scene)
    alert = browser.find_element("id", "disconnected")
    wait(browser, lambda: not alert.is_displayed(), timeout_s=20)
    leave(browser)


def test_frozen_server_is_shown_within_five_seconds(device, browser, monkeypatch):
    browser.get(device.address)
    wait(browser, lambda: texts(browser, CLOCK) == SYNCHRONISED)
    monkeypatch.setattr(streams, "EVENTS_S", 60)
    wait(browser, lambda: texts(browser, ".state") == ["No connection"] * 2, timeout_s=7)
    leave(browser)


def test_failed_cameras_and_broker_are_shown_with_their_reason(device, browser):
    browser.get(device.address)
    wait(browser, lambda: texts(browser, ".state") == ["Online"] * 2)
    device.failure = "camera.local: timed out"
    wait(browser, lambda: texts(browser, ".state") == [f"Offline: {device.failure}"] * 2, 3)
    (broker,) = texts(browser, '[data-fact="broker"].bad')
    assert broker == f"Not connected: {device.failure}. 70 events waiting"
    assert device.failure in device.text("/start")


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({}, ""),
        ({"username": "gate", "password_file": "/x"}, " -u gate -P PASSWORD"),
        ({"tls": True}, " --tls-use-os-certs"),
        (
            {"tls": True, "ca_file": "/ca.pem", "certificate_file": "/a b"},
            " --cafile /ca.pem --cert '/a b' --key '/a b'",
        ),
    ],
)
def test_subscribe_command_has_the_settings_of_the_broker(device, settings, options):
    mqtt = MqttConfig(host="box", port=1234, **settings)
    command = subscribe_command(device.config.model_copy(update={"mqtt": mqtt}))
    assert command == f"mosquitto_sub -h box -p 1234{options} -t plateid/gate/+/event"


def test_start_page_shows_the_subscribe_command(device):
    command = "mosquitto_sub -h 127.0.0.1 -p 1883 -t plateid/gate/+/event"
    assert f"<code>{command}</code>" in device.text("/start")


@pytest.mark.parametrize("path", ["/", "/start"])
def test_unreadable_store_is_not_shown_as_empty(device, path):
    device.config.store.path.rename(device.folder / "gone")
    assert "The event store cannot be read" in device.text(path)


@pytest.mark.parametrize(
    ("queued_at", "fact", "step"),
    [
        ("unixepoch()", 'class="ok">Up to date', "The MQTT broker has all events"),
        ("unixepoch() - 60", 'class="bad">3 events waiting', "Events wait for the MQTT broker"),
        ("NULL", 'class="unknown">Unknown', "Events wait for the MQTT broker"),
    ],
)
def test_few_waiting_events_count_as_in_transit_while_young(device, queued_at, fact, step):
    outbox = outbox_of(device.store)
    outbox.remove([each.event.id for each in outbox.pending(1000)][3:])
    with device.store.transaction() as db:
        db.execute(f"UPDATE delivery SET queued_at = {queued_at}")  # noqa: S608 - from the table
    assert fact in device.text("/")
    assert step in device.text("/start")


def test_empty_outbox_is_up_to_date(device):
    outbox = outbox_of(device.store)
    outbox.remove([each.event.id for each in outbox.pending(1000)])
    assert 'class="ok">Up to date' in device.text("/")


def test_backend_is_shown_with_the_reason(device):
    backend = "openvino:bf16: cpu 54.2 ms, openvino:bf16 30.1 ms; not openvino:GPU: no <GPU>"
    device.server.attach(device.config, lambda: device.report() | {"backend": backend})
    page = device.text("/")
    assert f'<dd data-fact="backend">{html.escape(backend)}</dd>' in page
