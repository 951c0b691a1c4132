"""Throttling of logins by account and address, and what the log says of them."""

import asyncio
import http.client
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psutil
import pytest

from plateid.http_server import network_of
from plateid.web import access, throttle
from plateid.web.access import Access
from plateid.web.credentials import Credentials, write_credentials
from plateid.web.throttle import LoginError, LoginQueue, LoginThrottle
from tests.web.conftest import PASSWORD, VIEWER_PASSWORD, passwords

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def status_of(device, password, address="127.0.0.1"):
    """Logs in from an address of the loopback network; returns the status."""
    port = device.config.web.port
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=120, source_address=(address, 0))
    with closing(client):
        client.request("POST", "/login", f"password={password}", FORM)
        return client.getresponse().status


@pytest.fixture(autouse=True)
def long_wait(monkeypatch):
    """No wait ends during a test, however busy the machine is."""
    monkeypatch.setattr(throttle, "RETRY_S", 3600.0)
    monkeypatch.setattr(throttle, "FORGET_S", 7200.0)


def entries(logs, event):
    return [entry for entry in logs if entry["event"] == event]


def test_wrong_passwords_delay_the_next_attempt(locked, logs):
    for _ in range(throttle.FREE_ATTEMPTS):
        assert locked.status("/login", {"password": "wrong"}) == 403
    status, text, headers = locked.request("/login", {"password": PASSWORD})
    assert (status, "Try again in" in text) == (429, True)
    assert 0 < int(headers["Retry-After"]) <= throttle.RETRY_S
    assert len(entries(logs, "wrong password")) == throttle.FREE_ATTEMPTS


def test_parallel_attempts_are_throttled_like_sequential_ones(locked):
    with ThreadPoolExecutor(30) as pool:
        found = pool.map(lambda _: status_of(locked, "wrong"), range(30))
        statuses = Counter(found)
    assert statuses == {403: throttle.FREE_ATTEMPTS, 429: 30 - throttle.FREE_ATTEMPTS}


def test_login_of_a_viewer_does_not_clear_guesses_of_the_admin_password(locked):
    guesses = Counter()
    for number in range(40):
        guesses[status_of(locked, f"guess {number}")] += 1
        assert status_of(locked, VIEWER_PASSWORD) == 303
    assert guesses == {403: throttle.FREE_ATTEMPTS, 429: 40 - throttle.FREE_ATTEMPTS}
    assert status_of(locked, PASSWORD) == 429
    assert status_of(locked, PASSWORD, "127.0.0.2") == 303


def test_right_password_clears_the_count_of_its_account(locked):
    for _ in range(2):
        for _ in range(throttle.FREE_ATTEMPTS - 1):
            assert status_of(locked, "wrong") in (403, 429)  # 429: the viewer's count stays
        assert status_of(locked, PASSWORD) == 303


def test_fresh_address_gets_a_try_during_a_flood_of_wrong_passwords(locked):
    addresses = [f"127.0.1.{number}" for number in range(1, 13)]
    with ThreadPoolExecutor(60) as pool:
        wrong = [pool.submit(status_of, locked, "wrong", each) for each in 10 * addresses]
        time.sleep(0.3)
        assert status_of(locked, PASSWORD, "127.0.0.9") == 303
        statuses = {each.result() for each in wrong}
    assert statuses == {403, 429}
    assert status_of(locked, PASSWORD, "127.0.0.10") == 303


def test_flood_of_logins_holds_up_no_page_and_starts_few_threads(locked):
    with ThreadPoolExecutor(50) as pool:
        before = threading.active_count()
        flood = [
            pool.submit(status_of, locked, "wrong", f"127.0.2.{number}") for number in range(1, 26)
        ]
        time.sleep(0.2)
        started = time.monotonic()
        assert locked.status("/login") == 200
        assert time.monotonic() - started < 2
        assert threading.active_count() - before <= 50 + 10
        assert {each.result() for each in flood} == {403}


def test_password_checks_take_half_the_time():
    def work():
        started = time.thread_time()
        while time.thread_time() - started < 0.1:
            pass

    async def check():
        await asyncio.gather(*(queue.run(work, "a") for _ in range(5)))

    with closing(LoginQueue()) as queue:
        started = time.monotonic()
        asyncio.run(check())
        assert time.monotonic() - started > 0.1 * (5 + 4)


def test_password_checks_of_many_addresses_take_little_memory(locked):
    for number in range(3):
        status_of(locked, "wrong", f"127.0.5.{number}")
    before = psutil.Process().memory_info().rss
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda n: status_of(locked, "wrong", f"127.0.6.{n}"), range(1, 25)))
    assert psutil.Process().memory_info().rss - before < 60e6


def test_number_of_waiting_checks_is_limited_but_a_fresh_address_has_room():
    queue, release = LoginQueue(), threading.Event()

    async def flood():
        busy = [asyncio.create_task(queue.run(release.wait, "a")) for _ in range(100)]
        busy += [asyncio.create_task(queue.run(release.wait, f"b{n % 9}")) for n in range(100)]
        await asyncio.sleep(0.1)
        fresh = asyncio.create_task(queue.run(lambda: "checked", "c"))
        release.set()
        found = await asyncio.gather(*busy, return_exceptions=True)
        return sum(each is True for each in found), await fresh

    with closing(queue):
        done, fresh = asyncio.run(flood())
    assert fresh == "checked"
    assert done < throttle.MAX_WAITING


def test_number_of_counters_is_limited():
    limits = LoginThrottle()
    for number in range(3 * throttle.MAX_COUNTERS):
        limits.fail("admin", f"2001:db8:{number:x}::1")
    assert len(limits._failures) == throttle.MAX_COUNTERS


def test_hosts_of_an_ipv6_network_share_a_wider_limit():
    limits = LoginThrottle()
    for number in range(throttle.NETWORK_ATTEMPTS):
        assert limits.wait_s("admin", f"2001:db8::{number:x}") == 0
        limits.fail("admin", f"2001:db8::{number:x}")
    assert limits.wait_s("admin", "2001:db8::ffff:1") > 0
    assert limits.wait_s("viewer", "2001:db8::ffff:1") == 0
    assert limits.wait_s("admin", "2001:db8:0:1::1") == 0


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
        ("2001:db8::5:6:7:8", "2001:db8::/64"),
        ("fe80::1:2%eth0", "fe80::/64"),
        ("", ""),
        ("unknown\n", "unknown\n"),
    ],
)
def test_network_is_the_64_of_an_ipv6_address(address, network):
    assert network_of(address) == network


def test_wrong_passwords_are_forgotten_after_an_hour(monkeypatch):
    limits = LoginThrottle()
    for _ in range(throttle.FREE_ATTEMPTS):
        limits.fail("admin", "a")
    monkeypatch.setattr(throttle, "FORGET_S", 0.0)
    limits.fail("admin", "a")
    assert limits.wait_s("admin", "a") == 0


def test_logins_of_a_viewer_end_no_session_of_an_admin(tmp_path, monkeypatch):
    monkeypatch.setattr(access, "MAX_SESSIONS", 3)
    file = tmp_path / "store.web"
    write_credentials(file, Credentials(passwords(PASSWORD, VIEWER_PASSWORD)))
    known = Access(file, needs_password=True)
    admin = known.log_in(PASSWORD, "a")[0]
    viewers = [known.log_in(VIEWER_PASSWORD, "a")[0] for _ in range(5)]
    assert known.session(admin).role == "admin"
    assert [known.session(each) is not None for each in viewers] == [False, False, True, True, True]


@pytest.mark.alone
def test_unset_password_takes_as_long_as_a_wrong_one():
    def check_s(credentials):
        started = time.perf_counter()
        assert credentials.account_of("wrong password") is None
        return time.perf_counter() - started

    known = Credentials(passwords(PASSWORD, VIEWER_PASSWORD))
    times = [(check_s(Credentials()), check_s(known)) for _ in range(7)]
    unset, both = map(min, zip(*times, strict=True))
    assert unset > 0.5 * both


def test_logins_are_logged_with_account_and_address_but_no_password(locked, logs):
    locked.request("/logout", {}, Cookie=locked.cookie(PASSWORD))
    status_of(locked, VIEWER_PASSWORD, "127.0.0.7")
    for _ in range(throttle.FREE_ATTEMPTS + 3):
        status_of(locked, "wr0ng", "127.0.0.8")
    found = [(each["event"], each["account"], each["address"]) for each in logs[1:]]
    assert found == [
        ("logged in", "admin", "127.0.0.1"),
        ("logged out", "admin", "127.0.0.1"),
        ("logged in", "viewer", "127.0.0.7"),
        *throttle.FREE_ATTEMPTS * [("wrong password", "unknown", "127.0.0.8")],
        ("login throttled", "unknown", "127.0.0.8"),
    ]
    assert not any(text in str(logs) for text in (PASSWORD, VIEWER_PASSWORD, "wr0ng"))


def test_wrong_password_raises_login_error_without_wait(tmp_path):
    with pytest.raises(LoginError, match="wrong password"):
        Access(tmp_path / "none", needs_password=True).log_in(PASSWORD, "a")
