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


class Networks(FailingNetworks):
    """Networks that read what `READ` is."""

    def read(self, _image, _boxes):
        return [READ]


def judged(falls: int, rises: int, reads: int) -> dict:
    """Returns the report of a trial that has ended, in which the new bundle's hits differ so."""
    shadow = Shadow(Path("new"), Networks(), 0)
    hits = [(1.0, 0.0)] * falls + [(0.0, 1.0)] * rises
    for number, (old, new) in enumerate(hits + [(1.0, 1.0)] * (reads - len(hits))):
        hit, text = iter((old, new)), np.zeros_like(READ.probabilities)
        text[0, 1 + number % 36] = 1  # three reads of one text at most
        read = PlateRead(text, 1.0, 24.0)
        shadow._spent_s = 0.0  # this process may do nothing else
        shadow.compare(None, BOX, read, lambda _, hit=hit: [next(hit), 1.0])
    return shadow.report()


@pytest.mark.parametrize(
    ("falls", "rises", "reads", "state"),
    [
        (0, 0, 29, "running"),
        (0, 0, 30, "kept"),
        (2, 0, 30, "kept"),  # 7 points, with an error of 5
        (6, 4, 60, "kept"),  # 3 points, with an error of 5
        (5, 0, 30, "rolled back"),  # 17 points, with an error of 7
        (10, 2, 100, "rolled back"),  # 8 points, with an error of 3
    ],
)
def test_bundle_is_rolled_back_if_its_fall_is_more_than_chance(falls, rises, reads, state):
    report = judged(falls, rises, reads)
    assert (report["state"], report["reads"]) == (state, reads)
    old = round((reads - rises) / reads, 3)
    assert report["hit_rate"] == [old, round((reads - falls) / reads, 3)]
    assert report["reason"].startswith(f"hit rate falls from {old}" * (state == "rolled back"))


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
