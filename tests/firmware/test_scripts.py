"""Tests of the shell scripts of the firmware."""

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
def test_script_passes_shellcheck(script):
    command = ["shellcheck", "--external-sources", f"--source-path={script.parent}", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(FIRMWARE)))
def test_script_stops_at_the_first_failure(script):
    assert "\nset -eu" in script.read_text()


def test_damaged_grubenv_is_rebuilt(tmp_path):
    grubenv, cmdline = tmp_path / "grubenv", tmp_path / "cmdline"
    cmdline.write_text("root=PARTLABEL=plateid-root-b ro rauc.slot=B panic=10\n")
    script = FIRMWARE / "tree/usr/lib/plateid/rebuild-grubenv"

    def rebuilt() -> str:
        subprocess.run([script, grubenv, cmdline], check=True)
        command = ["grub-editenv", grubenv, "list"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    grubenv.write_bytes(b"")
    new = "ORDER=B A\nB_OK=1\nB_TRY=0\nA_OK=0\nA_TRY=0\n"
    assert rebuilt() == new
    subprocess.run(["grub-editenv", grubenv, "set", "A_OK=1"], check=True)
    assert "A_OK=1\n" in rebuilt(), "an intact file is unchanged"
