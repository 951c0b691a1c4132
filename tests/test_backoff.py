"""Waits grow, have a cap, and are spread; an outage has a start and an end."""

from hypothesis import given
from hypothesis import strategies as st

from plateid.backoff import Backoff, Outage
from tests.support.samples import Logs


@given(st.floats(0.01, 10), st.floats(0.01, 100), st.integers(1, 10**6))
def test_no_wait_is_longer_than_the_cap_or_than_doubling(
    first_s: float, cap_s: float, failures: int
) -> None:
    delay_s = Backoff(first_s, cap_s).delay_s(failures)
    assert 0 <= delay_s <= cap_s
    assert failures > 20 or delay_s <= first_s * 2 ** (failures - 1)


def test_waits_are_spread_over_the_whole_range() -> None:
    delays_s = [Backoff(1.0, 60.0).delay_s(100) for _ in range(1000)]
    assert min(delays_s) < 6
    assert max(delays_s) > 54


def test_nothing_waits_before_the_first_failure() -> None:
    assert Outage("broker", Backoff()).wait_s == 0


def test_a_failure_puts_off_the_next_try_until_it_recovers() -> None:
    outage = Outage("broker", Backoff(first_s=1e6, cap_s=1e6))
    outage.failed("refused")
    assert 0 < outage.wait_s <= 1e6
    outage.recovered()
    assert outage.wait_s == 0


def test_each_reason_of_an_outage_is_logged_once(logs: Logs) -> None:
    outage = Outage("broker", Backoff())
    outage.recovered()
    for reason in ("refused", "refused", "not authorised", "refused"):
        outage.failed(reason)
    outage.recovered()
    outage.recovered()
    outage.failed("refused")
    said = [(entry["event"], entry.get("reason")) for entry in logs]
    assert said == [
        ("outage starts", "refused"),
        ("outage goes on", "not authorised"),
        ("outage ends", None),
        ("outage starts", "refused"),
    ]
    assert logs[2]["failures"] == 4
