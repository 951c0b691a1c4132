"""The files of systemd/, checked with plateid and systemd."""

import subprocess
from pathlib import Path

from plateid.config.load import load_config

SYSTEMD = Path(__file__).parents[2] / "systemd"


def test_example_is_valid_and_store_is_in_the_state_directory():
    config = load_config(SYSTEMD / "plateid.toml")
    assert config.store.path.parent == Path("/var/lib/plateid")
    assert "StateDirectory=plateid\n" in (SYSTEMD / "plateid.service").read_text()


def test_exposure_level_is_at_most_1_5():
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=15"]
    analysis = subprocess.run(
        [*command, SYSTEMD / "plateid.service"], capture_output=True, text=True, check=False
    )
    assert analysis.returncode == 0, analysis.stdout.splitlines()[-1]


def test_unit_allows_adjtimex():
    """systemd-analyze reports groups of calls, not single ones."""
    command = ["systemd-analyze", "security", "--offline=true", SYSTEMD / "plateid.service"]
    analysis = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = {line.split()[1]: line for line in analysis.splitlines() if "SystemCallFilter=" in line}
    assert "(e.g. adjtimex is allowed)" in lines["SystemCallFilter=~@clock"]
    assert "is not included" in lines["SystemCallFilter=~@module"]
