from pathlib import Path

from plateid.config.load import load_config

SYSTEMD = Path(__file__).parents[2] / "systemd"


def test_the_example_is_a_configuration_and_keeps_its_events_where_the_unit_may_write():
    config = load_config(SYSTEMD / "plateid.toml")
    assert config.store.path.parent == Path("/var/lib/plateid")
    assert "StateDirectory=plateid\n" in (SYSTEMD / "plateid.service").read_text()
