"""Fixtures of the event store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from plateid import backoff
from tests.support.broken_disk import not_as_root


@pytest.fixture(autouse=True)
def deletions_take_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets retention and the snapshot sweep finish in one step on a slow disk, too."""
    monkeypatch.setattr(backoff, "STEP_S", 60.0)


@pytest.fixture
def own_folder() -> Iterator[Path]:
    """A folder whose owner runs the test and is not root."""
    with not_as_root() as folder:
        yield folder
