import subprocess
from pathlib import Path

import pytest

FIRMWARE = Path(__file__).parents[2] / "firmware"
SHELLS = (b"#!/bin/sh", b"#!/bin/bash")
SCRIPTS = [
    path
    for path in sorted(FIRMWARE.rglob("*"))
    if path.is_file() and path.read_bytes().startswith(SHELLS)
]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(FIRMWARE)))
def test_shellcheck_finds_no_fault_with(script):
    command = ["shellcheck", "--external-sources", f"--source-path={script.parent}", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(FIRMWARE)))
def test_at_the_first_failure_ends(script):
    assert "\nset -eu" in script.read_text()
