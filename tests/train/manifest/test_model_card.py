import pytest

from plateid.config.models import SHIPPED, shipped_bundles
from plateid.models.bundle import Bundle
from train.manifest.bundle_toml import card


@pytest.mark.parametrize("name", shipped_bundles())
def test_model_card_of_a_shipped_bundle_matches_its_bundle_toml(name):
    spec = Bundle(SHIPPED / name).spec
    assert (SHIPPED / name / "MODEL_CARD.md").read_text() == card(spec)
    assert f"| {spec.metrics['us_recall']:.3f} |" in card(spec)
    assert all(limit in card(spec) for limit in spec.limits)
