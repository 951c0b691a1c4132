"""The state of the device on the page "Live"."""

from plateid.web.site import _camera_text, _disk_state


def test_failed_disk_is_red_with_its_reason():
    assert _disk_state("events.sqlite3: database or disk is full", 0) == {
        "disk": "bad",
        "disk_text": "Failed: events.sqlite3: database or disk is full",
    }
    assert _disk_state(None, 1234) == {"disk": "ok", "disk_text": "1.2 GB"}
    assert _disk_state(None, None) == {"disk": "ok", "disk_text": "Unknown"}


def test_unusual_decoder_is_shown_with_its_reason():
    camera = {"online": True, "decoder": "software", "read_from": None}
    assert _camera_text(camera) == "Online"
    refused = camera | {"decoder": "software (cuda: Operation not permitted)"}
    text = "Online, decoder software (cuda: Operation not permitted)"
    assert _camera_text(refused) == text


def test_stream_that_plates_are_read_from_is_shown():
    camera = {
        "online": True,
        "decoder": "software",
        "read_from": "sub-stream (no key frame for 10 s)",
    }
    assert _camera_text(camera) == "Online, reads the sub-stream (no key frame for 10 s)"
