"""`plateid report` on a store with passes in it."""

import json
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from plateid.commands.main import main
from plateid.core.records import Snapshot
from plateid.store.event_store import EventStore
from plateid.store.labels import Label, Labels
from plateid.store.snapshot_files import SnapshotFiles
from tests.support.samples import event

CONFIG = """
camera = [{name = "gate", url = "rtsp://camera.local/stream"}]
store.path = "events.sqlite3"
"""


@pytest.fixture
def run(tmp_path):
    (tmp_path / "plateid.toml").write_text(CONFIG)

    def run(*words, code=0):
        words = ["report", *words, "-c", str(tmp_path / "plateid.toml")]
        done = CliRunner().invoke(main, words)
        assert done.exit_code == code, done.output
        return done.output

    return run


@pytest.fixture
def confirmed(tmp_path):
    """A store with two ended passes, whose damaged images were confirmed: one is wrong."""
    store = tmp_path / "events.sqlite3"
    with closing(EventStore(store)) as events:
        for number, truth in enumerate(("B68SPK", "B68SPH")):
            made = event(number, event_type="plate_left", first_seen=datetime.now(UTC))
            shot: Snapshot = SnapshotFiles(store).add(made.id, b"no JPEG", hidden=False)
            events.append(replace(made, pass_id=made.id, snapshot=shot))
            Labels(store).add(Label(made.id, "plate", truth, (1.0, 2.0, 30.0, 12.0)))


@pytest.mark.usefixtures("confirmed")
def test_report_prints_the_hit_rate_with_its_interval_and_confusions(run):
    lines = run("--camera", "gate").splitlines()
    assert lines[1:4] == [
        "hit rate          50 % (50 to 50 %)",
        "published, right  50 % (50 to 50 %), 1 of 2 confirmed",
        "never published   0 of 2",
    ]
    assert "read K for H: 1" in lines
    assert json.loads(run("--json"))["hit_rate"] == {"low": 0.5, "best": 0.5, "high": 0.5}


@pytest.mark.usefixtures("confirmed")
def test_period_without_passes_has_an_unknown_hit_rate(run):
    yesterday = (datetime.now() - timedelta(days=1)).strftime("%Y-%m-%d")  # noqa: DTZ005 - local
    lines = run("--since", yesterday, "--until", yesterday).splitlines()
    assert lines[0].endswith("0 passes")
    assert lines[1] == "hit rate          unknown (0 to 100 %)"


def test_wrong_camera_and_missing_store_are_named(run):
    assert "--camera: is none of gate" in run("--camera", "yard", code=2)
    assert "does not exist: no event has been stored" in run(code=1)
