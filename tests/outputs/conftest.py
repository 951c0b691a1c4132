"""Fixtures for tests of the outputs."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.support.web_server import WebServer


@pytest.fixture
def server() -> Iterator[WebServer]:
    with closing(WebServer()) as made:
        yield made
