import threading
import time

import pytest

from plateid.service.supervisor import Supervisor


def test_exception_in_a_thread_ends_the_wait_and_is_raised_by_join():
    supervisor = Supervisor()

    def fail() -> None:
        raise LookupError("gone")

    supervisor.start("failing", fail)
    assert supervisor.wait(timeout_s=5)
    with pytest.raises(LookupError, match="gone"):
        supervisor.join(timeout_s=1)


def test_stop_ends_the_wait_without_exception():
    supervisor = Supervisor()
    assert not supervisor.wait(timeout_s=0.01)
    supervisor.stop()
    assert supervisor.wait(timeout_s=5)
    supervisor.join(timeout_s=1)


def test_join_timeout_is_for_all_threads_together():
    supervisor, release = Supervisor(), threading.Event()
    for _ in range(10):
        supervisor.start("blocked", lambda: release.wait(10))
    started = time.monotonic()
    supervisor.join(timeout_s=0.2)
    assert time.monotonic() - started < 1
    release.set()
