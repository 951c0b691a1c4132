"""Fixtures of all tests; a thread that outlives its test fails it."""

import os
import threading
import time
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from structlog.testing import capture_logs

from tests.support.bundles import detector_network, reader_network, write_bundle

pytest_plugins = ["tests.support.fixtures"]
LEAK_TIMEOUT_S = 3.0
"""Maximum time in which the threads of a test end, seconds."""
os.environ["no_proxy"] = "127.0.0.1,localhost"
settings.register_profile("plateid", deadline=None)  # no test depends on its run time
settings.load_profile("plateid")


@pytest.fixture(autouse=True)
def no_leaked_threads() -> Iterator[None]:
    before = set(threading.enumerate())
    hook = threading.excepthook
    yield
    threading.excepthook = hook
    deadline = time.monotonic() + LEAK_TIMEOUT_S
    while leaked := set(threading.enumerate()) - before:
        assert time.monotonic() < deadline, f"left running: {leaked}"
        time.sleep(0.02)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A tiny bundle that detects one plate in the middle of each image and reads it as AB12."""
    return write_bundle(
        tmp_path / "bundle",
        detector_network([(32, 16, 20, 8, 0.9), (33, 16, 20, 8, 0.8), (10, 8, 4, 2, 0.2)]),
        reader_network("-AA-B-11-2"),
    )


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[MutableMapping[str, Any]]]:
    """The log entries so far."""
    with capture_logs() as entries:
        yield entries
