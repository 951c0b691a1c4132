"""Commands whose extra is not installed."""

import sys

import pytest
from click.testing import CliRunner

from plateid.commands.main import main

ARCHIVE = ["archive", "read", "recordings", "--out", "plates"]


@pytest.mark.parametrize(
    ("extra", "package", "words"),
    [
        ("archive", "duckdb", ARCHIVE),
        ("archive-ray", "ray", [*ARCHIVE, "--address", "10.0.0.1:6379"]),
        ("demo", "amqtt.broker", ["demo", "--json"]),
        ("hub", "psycopg", ["hub", "run"]),
    ],
)
def test_missing_extra_is_an_error_with_the_command_that_installs_it(
    extra, package, words, monkeypatch
):
    monkeypatch.setitem(sys.modules, package, None)
    done = CliRunner().invoke(main, words)
    assert f"needs the extra {extra}: pip install 'plateid[{extra}]'\n" in done.output
