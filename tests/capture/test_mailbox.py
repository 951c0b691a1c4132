import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from plateid.capture.mailbox import Mailboxes
from plateid.core.records import Frame
from tests.support.broker import until
from tests.support.images import plain


def frame(camera, sequence=0):
    return Frame(camera, sequence, datetime.now(UTC), None, plain())


@pytest.fixture
def boxes():
    return Mailboxes(["gate", "yard", "road"])


def take_next(boxes):
    taken = boxes.wait_any()
    return taken and (taken.camera, taken.sequence)


def test_newest_frame_replaces_older_ones_which_count_as_dropped(boxes):
    for sequence in range(3):
        boxes["gate"].put(frame("gate", sequence))
    assert boxes["gate"].take().sequence == 2
    assert boxes["gate"].dropped == 2
    assert boxes["gate"].take() is None
    boxes["gate"].put(frame("gate", 3))
    assert boxes["gate"].dropped == 2


def test_mailboxes_are_crowded_while_a_frame_waits_without_a_worker(boxes):
    boxes["gate"].put(frame("gate", 0))
    assert boxes.crowded
    assert take_next(boxes) == ("gate", 0)
    assert not boxes.crowded
    boxes["gate"].put(frame("gate", 1))  # its worker comes back for it
    assert not boxes.crowded
    boxes["yard"].put(frame("yard", 0))
    assert boxes.crowded


def test_mailboxes_are_not_crowded_while_each_frame_has_a_worker(boxes):
    taken = []
    worker = threading.Thread(target=lambda: taken.append(boxes.wait_any()))
    worker.start()
    until(lambda: boxes._idle_workers == 1)
    with boxes._changed:  # it cannot wake up yet
        boxes["gate"].put(frame("gate", 0))
        assert not boxes.crowded
        boxes["yard"].put(frame("yard", 0))
        assert boxes.crowded
    worker.join()
    assert len(taken) == 1


def test_busy_camera_does_not_starve_others(boxes):
    order = []
    for sequence in range(9):
        boxes["gate"].put(frame("gate", sequence))  # always there first
        boxes["yard"].put(frame("yard", sequence))
        boxes["road"].put(frame("road", sequence))
        camera, _ = take_next(boxes)
        order.append(camera)
        boxes.done(camera)
    assert order == ["gate", "yard", "road"] * 3


def test_only_one_worker_serves_a_camera_at_a_time(boxes):
    boxes["gate"].put(frame("gate", 0))
    assert take_next(boxes) == ("gate", 0)
    boxes["gate"].put(frame("gate", 1))
    boxes["yard"].put(frame("yard", 0))
    assert take_next(boxes) == ("yard", 0)
    with ThreadPoolExecutor(1) as worker:
        second = worker.submit(take_next, boxes)
        boxes.done("yard")
        with pytest.raises(TimeoutError):
            second.result(timeout=0.1)  # gate is still being processed
        boxes.done("gate")
        assert second.result(timeout=2) == ("gate", 1)


def test_worker_wakes_up_on_frame_done_and_close(boxes):
    with ThreadPoolExecutor(1) as worker:
        first = worker.submit(take_next, boxes)
        boxes["road"].put(frame("road", 0))
        assert first.result(timeout=2) == ("road", 0)
        boxes["road"].put(frame("road", 1))
        second = worker.submit(take_next, boxes)
        boxes.done("road")
        assert second.result(timeout=2) == ("road", 1)
        third = worker.submit(take_next, boxes)
        boxes.close()
        assert third.result(timeout=2) is None


def test_close_wakes_every_worker(boxes):
    with ThreadPoolExecutor(3) as workers:
        waiting = [workers.submit(boxes.wait_any) for _ in range(3)]
        boxes.close()
        assert [future.result(timeout=2) for future in waiting] == [None] * 3


def test_waiting_frames_are_served_after_close(boxes):
    boxes["gate"].put(frame("gate", 0))
    assert take_next(boxes) == ("gate", 0)
    boxes["gate"].put(frame("gate", 1))
    boxes.close()
    boxes["gate"].put(frame("gate", 2))  # ignored after close
    with ThreadPoolExecutor(1) as worker:
        last = worker.submit(take_next, boxes)
        boxes.done("gate")
        assert last.result(timeout=2) == ("gate", 1)
    boxes.done("gate")
    assert take_next(boxes) is None


def test_closed_mailbox_does_not_end_the_others(boxes):
    boxes["gate"].close()
    boxes["yard"].put(frame("yard", 0))
    assert take_next(boxes) == ("yard", 0)


def test_many_workers_process_each_camera_in_order_one_at_a_time(boxes):
    seen, busy, clashes = [], threading.Lock(), []

    def work():
        while taken := boxes.wait_any():
            if not busy.acquire(blocking=False):
                clashes.append(taken.sequence)
                continue
            seen.append(taken.sequence)
            time.sleep(0.001)
            busy.release()
            boxes.done(taken.camera)

    with ThreadPoolExecutor(4) as workers:
        done = [workers.submit(work) for _ in range(4)]
        for sequence in range(500):
            boxes["gate"].put(frame("gate", sequence))
            time.sleep(0.0005)
        boxes.close()
        for future in done:
            future.result(timeout=5)
    assert clashes == []
    assert seen == sorted(set(seen)) and seen[-1] == 499
    assert len(seen) + boxes["gate"].dropped == 500
