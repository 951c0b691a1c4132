"""A sighted bundle, and runs without processes."""

import pytest

from tests.support.sighted import write_sighted_bundle


@pytest.fixture(scope="session")
def sighted(tmp_path_factory):
    return write_sighted_bundle(tmp_path_factory.mktemp("sighted") / "bundle")
