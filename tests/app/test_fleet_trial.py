"""A bundle comes from a hub, is tried on live traffic, and goes when the hub rolls it back."""

from plateid.config.hub import HubConfig, HubMqttConfig
from plateid.config.service import WebConfig
from plateid.fleet_link import enrol
from plateid.hub.database import connect
from plateid.hub.enrolment import make_code
from plateid.hub.rollouts import Plan, start
from tests.app.test_trial import DEFAULT, Device, few_reads, serving, street
from tests.support.broker import free_port, until
from tests.support.fleets import served_hub

__all__ = ["few_reads", "street"]
ENDS = "installed", "rolled back", "failed"


def test_hub_sends_a_bundle_to_a_service(tmp_path, street, started_broker, database):
    config = HubConfig(
        database=database,
        folder=tmp_path / "hub",
        trusted_keys=street / "trusted",
        mqtt=HubMqttConfig(port=started_broker.port),
        web=WebConfig(port=free_port()),
    )
    device = Device(tmp_path, street, started_broker.port)
    with served_hub(config) as hub, connect(database, purpose="test") as db:
        code = make_code(db, "plateid")
        enrol(hub.address, code, device.store, None)
        archive = tuple((street / name).read_bytes() for name in ("good.tar", "good.tar.sig"))
        assert start(db, archive, keys=config.trusted_keys, plan=Plan(trial_minutes=0.001))
        with serving(device):
            query = "SELECT state, reason FROM rollout_device"
            until(lambda: db.execute(query).fetchone()[0] in ENDS, 120)
            assert db.execute(query).fetchone() == ("installed", "")
            assert device.in_use == "good"
            until(lambda: device.health().get("bundle") == "good", 60)
            db.execute("SELECT end_rollout(1, 'rolled back', 'by hand')")
            until(lambda: db.execute(query).fetchone() == ("rolled back", "by the hub"), 60)
            until(lambda: device.health().get("bundle") == DEFAULT, 60)
            assert device.in_use == DEFAULT
