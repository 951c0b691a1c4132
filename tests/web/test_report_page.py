"""The page "Report", and the confirmation of its random sample."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from plateid.store.labels import Labels
from plateid.store.snapshot_files import SnapshotFiles
from plateid.store.snapshots import encoded
from tests.support.samples import event


def add_passes(device, scene, count):
    """Adds ended passes of the last hours, all of the first plate of a scene."""
    image, plate = scene[0].image, scene[1][0]
    files = SnapshotFiles(device.config.store.path)
    for number in range(count):
        made = event(number, plate=plate.text, box=plate.box, camera="drive")
        jpeg = encoded(image.resized(640, 360), 80)
        shot = files.add(made.id, jpeg, hidden=False)
        shot = replace(shot, frame=(image.width, image.height))
        seen = datetime.now(UTC) - timedelta(hours=number)
        ended = {"event_type": "plate_left", "pass_id": made.id, "first_seen": seen}
        device.store.append(replace(made, snapshot=shot, **ended))


def test_sample_is_confirmed_on_the_review_page_until_the_report_has_a_hit_rate(device, scene):
    add_passes(device, scene, 3)
    assert ">Unknown (0 to 100&nbsp;%)<" in device.text("/report?camera=drive")
    address = "/review?sample=1&camera=drive"
    for verdict, left in (("plate", 3), ("plate", 2), ("notplate", 1)):
        text = device.text(address)
        assert f"<dt>Passes left</dt><dd>{left}</dd>" in text
        form = dict(re.findall(r'name="(csrf|id|box|text|sample|camera)" value="([^"]*)"', text))
        _, _, headers = device.request("/review", form | {"verdict": verdict})
        assert headers["Location"].startswith(f"{address}&last=")
    assert "The sample is confirmed." in device.text(address)
    report = device.text("/report?camera=drive")
    assert '<dd id="hit-rate">67&nbsp;% (67 to 67&nbsp;%)</dd>' in report
    assert '<dd id="confirmed">2 right, 1 wrong, 0 unknown</dd>' in report
    assert Labels(device.config.store.path).counts()["plate"] == 2


def test_report_of_an_unknown_camera_is_not_found(device):
    assert device.status("/report?camera=nowhere") == 404
    assert device.status("/review?sample=1&camera=nowhere") == 404
    assert device.status("/report?camera=yard") == 200
