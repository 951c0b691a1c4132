"""The page Models in Chromium: bundles, gains, the trial, and the way back."""

from types import SimpleNamespace

import pytest

from plateid.bundles.install import InstallTarget, install_bundle
from plateid.bundles.trial import BundleTrial
from plateid.config.load import load_config
from plateid.core.lists import Lists
from plateid.service.systemd import Unit
from plateid.store.audit_log import AuditLog
from tests.support.packed import write_keys, write_packed
from tests.web.browser import fits, follow, log_in, screenshot, serious_issues, texts
from tests.web.conftest import PASSWORD, VIEWER_PASSWORD

GAIN = "\n[metrics]\nown_plates = 40.0\nown_before = 0.8\nown_after = 0.95\n"


@pytest.fixture
def models(locked):
    """A device with passwords that has installed the bundle `new` after `old`."""
    file = locked.folder / "plateid.toml"
    section = '[models]\ninstalled = "models"\ntrusted_keys = "trusted"\n'
    file.write_text(file.read_text() + section)
    target = InstallTarget(file, Unit("plateid-of-no-test.service"), lambda *_: None)
    key = write_keys(locked.folder, "ours")
    for number, name in enumerate(("old", "new"), 1):
        archive = write_packed(locked.folder, key, name=name, header=f"version = {number}")
        install_bundle(str(archive), target)
    new = load_config(file).models.bundle / "bundle.toml"
    new.write_text(new.read_text() + GAIN)
    serve(locked)
    return locked


def serve(device):
    """Serves the bundles as the service does after its start."""
    config = load_config(device.folder / "plateid.toml")
    trial = BundleTrial(
        config.models, file=device.folder / "plateid.toml", lists=Lists, restart=device.restart
    )
    service = SimpleNamespace(trial=trial)
    report = device.report
    device.server.attach(device.config, lambda: report() | {"trial": trial.report()}, service)


def test_admin_goes_back_to_the_previous_bundle(models, browser, screenshots):
    log_in(browser, models.address, PASSWORD)
    browser.get(f"{models.address}/models")
    assert [name.split("-")[0] for name in texts(browser, "tbody th")] == ["old", "new"]
    assert "80 % → 95 % of 40" in texts(browser, "tbody")[0].replace("\xa0", " ")
    for size in ((390, 844), (1440, 900)):
        browser.set_window_size(*size)
        assert serious_issues(browser) == []
        assert fits(browser)
    screenshot(browser, screenshots / "web-models.jpg")
    follow(browser, "tbody button")
    assert models.restarts == 1
    assert load_config(models.folder / "plateid.toml").models.bundle.name.startswith("old-")
    assert texts(browser, "#reason") == ["By hand."]
    serve(models)
    browser.refresh()
    assert [name.split("-")[0] for name in texts(browser, "tbody th")] == ["new", "old"]
    assert AuditLog(models.config.store.path).find("bundle rolled back")[0]["user"] == "admin"


def test_viewer_sees_the_bundles_and_cannot_go_back(models, browser):
    log_in(browser, models.address, VIEWER_PASSWORD)
    browser.get(f"{models.address}/models")
    assert len(texts(browser, "tbody th")) == 2
    assert texts(browser, "tbody button") == []
    cookie = {"Cookie": models.cookie(VIEWER_PASSWORD)}
    assert models.status("/models", {"csrf": "x"}, **cookie) == 403
