import pytest

from plateid.config.models import SHIPPED
from train.export.latency import measure

pytestmark = pytest.mark.filterwarnings("ignore")


def test_both_networks_of_a_bundle_are_timed_with_the_reference():
    folder = SHIPPED / "small"
    rows = measure([folder], rounds=1)
    assert [(row.name, row.size) for row in rows] == [
        ("YOLOv8n, one class", "640x640"),
        (f"{folder} detector", "320x192"),
        (f"{folder} reader", "144x48"),
    ]
    assert rows[0].ratio == 1
    assert all(row.median_ms > 0 for row in rows)
