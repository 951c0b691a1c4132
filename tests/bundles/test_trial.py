"""A trial whose new bundle fails, and one at whose end the disk fails."""

from pathlib import Path

import numpy as np
import pytest

from plateid.bundles.trial import BundleTrial, Shadow
from plateid.config.models import ModelsConfig
from plateid.core.lists import Lists
from plateid.core.records import PlateRead
from plateid.core.text import CHARSET
from plateid.errors import BundleError, ModelError

BOX = (0.0, 0.0, 10.0, 5.0)
READ = PlateRead(np.full((1, 1 + len(CHARSET)), 1 / 37, np.float32), 1.0, 24.0)


class FailingNetworks:
    """Networks whose reader gives no numbers."""

    def reader(self):
        return self

    def read(self, _image, _boxes):
        raise ModelError("reader", "its output has numbers that are not finite")


class KeepingShadow:
    """A trial that has ended, and whose bundle is kept."""

    def __init__(self, bundle):
        self.bundle = bundle

    def report(self):
        return {"bundle": self.bundle.name, "state": "kept", "reason": ""}


def test_reader_that_fails_ends_the_trial_and_not_the_service():
    shadow = Shadow(Path("new"), FailingNetworks(), 60)
    shadow.compare(None, BOX, READ, lambda _: [1.0, 1.0])
    report = shadow.report()
    assert report["state"] == "rolled back"
    assert report["reason"] == "reader: its output has numbers that are not finite"


@pytest.mark.parametrize(("switched", "state"), [(True, "kept"), (False, "rolled back")])
def test_disk_that_fails_at_the_end_says_which_bundle_is_in_use(
    tmp_path, monkeypatch, switched, state
):
    models = ModelsConfig(installed=tmp_path)
    trial = BundleTrial(models, file=None, lists=Lists, restart=lambda: None)
    new = tmp_path.resolve() / "new"
    new.mkdir()
    (new / "bundle.toml").touch()

    def activate(installed, bundle):
        if switched:
            (installed.folder / "active").symlink_to(bundle.name)
        raise BundleError(installed.folder, "No space left on device")

    monkeypatch.setattr("plateid.bundles.installed_bundles.InstalledBundles.activate", activate)
    trial._shadow = KeepingShadow(new)
    trial.check()
    assert trial.report()["state"] == state
    assert trial.report()["reason"].endswith("No space left on device")
