"""Fixtures of the event store."""

import pytest

from plateid.store import retention, snapshot_files


@pytest.fixture(autouse=True)
def deletions_take_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets retention and the snapshot sweep finish in one step on a slow disk, too."""
    monkeypatch.setattr(snapshot_files, "STEP_S", 60.0)
    monkeypatch.setattr(retention, "STEP_S", 60.0)
