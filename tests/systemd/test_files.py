import subprocess
from pathlib import Path

from plateid.config.load import load_config

SYSTEMD = Path(__file__).parents[2] / "systemd"


def test_the_example_is_a_configuration_and_keeps_its_events_where_the_unit_may_write():
    config = load_config(SYSTEMD / "plateid.toml")
    assert config.store.path.parent == Path("/var/lib/plateid")
    assert "StateDirectory=plateid\n" in (SYSTEMD / "plateid.service").read_text()


def test_the_service_may_ask_whether_the_clock_is_set():
    """systemd says so of the calls together; that @privileged is out takes other lines."""
    command = ["systemd-analyze", "security", "--offline=true", SYSTEMD / "plateid.service"]
    analysis = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    said = {line.split()[1]: line for line in analysis.splitlines() if "SystemCallFilter=" in line}
    assert "(e.g. adjtimex is allowed)" in said["SystemCallFilter=~@clock"]
    assert "is not included" in said["SystemCallFilter=~@module"]
