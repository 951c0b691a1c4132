import shutil
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from structlog.testing import capture_logs

from plateid.backoff import Backoff
from plateid.capture.camera import Camera
from plateid.capture.container import TIMEOUT_S
from plateid.capture.mailbox import Mailboxes
from plateid.config.cameras import CameraConfig
from tests.support.videos import CREATED, write_video

SOON = Backoff(first_s=0.05, cap_s=0.05)


class Waits:
    """A back-off that records its calls."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.failures = []
        self._seconds = seconds

    def delay_s(self, failures: int) -> float:
        self.failures.append(failures)
        return self._seconds


class Watched:
    """A camera, its mailbox and its reported statuses."""

    def __init__(self, url, *, backoff=SOON, timeout_s=0.5, **keys) -> None:
        self.boxes = Mailboxes(["gate"])
        self.statuses = []
        self.camera = Camera(
            CameraConfig(name="gate", url=str(url), timeout_s=timeout_s, **keys),
            self.boxes["gate"],
            on_status=self.statuses.append,
            backoff=backoff,
        )

    def use(self, path) -> bool:
        return self.camera.use(CameraConfig(name="gate", url=str(path)))

    def frames(self):
        while frame := self.boxes.wait_any():
            self.boxes.done("gate")
            yield frame

    def until(self, *statuses) -> None:
        deadline = time.monotonic() + 15
        while self.statuses != list(statuses):
            assert time.monotonic() < deadline, self.statuses
            time.sleep(0.01)

    @contextmanager
    def running(self, *, stops_within_s=1.0):
        thread = threading.Thread(target=self.camera.run)
        thread.start()
        try:
            yield self
        finally:
            self.camera.stop()
            thread.join(stops_within_s)
        assert not thread.is_alive()


def test_video_file_is_played_once_in_real_time(tmp_path):
    path = write_video(tmp_path / "slow.mp4", fps=10, count=8, created=CREATED)
    watched = Watched(path)
    began = time.monotonic()
    with watched.running():
        frames = list(watched.frames())
    assert time.monotonic() - began >= 0.7
    sequences = [frame.sequence for frame in frames]
    assert sequences == sorted(set(sequences) & set(range(8)))
    assert sequences[-1] == 7
    assert len(frames) + watched.boxes["gate"].dropped == 8
    assert {frame.camera for frame in frames} == {"gate"}
    assert frames[-1].media_time_s == pytest.approx(0.7)
    start = datetime.fromisoformat(CREATED)
    assert frames[-1].captured_at - start == timedelta(seconds=0.7)
    assert watched.statuses == [True, False]


def test_looped_video_continues_by_the_wall_clock(tmp_path):
    path = write_video(tmp_path / "loop.mp4", fps=20, count=5, created=CREATED)
    watched = Watched(path, loop=True)
    began = datetime.now(UTC)
    with watched.running():
        frames = [frame for frame, _ in zip(watched.frames(), range(12), strict=False)]
    media = [frame.media_time_s for frame in frames]
    assert media == pytest.approx([0.05 * frame.sequence for frame in frames])
    assert frames[-1].sequence >= 11
    late_s = (frames[0].captured_at - began).total_seconds() - media[0]
    assert 0 <= late_s < 1
    assert frames[-1].captured_at - frames[0].captured_at == pytest.approx(
        timedelta(seconds=media[-1] - media[0]), abs=timedelta(milliseconds=1)
    )
    assert watched.statuses == [True]


def test_missing_video_file_is_logged_once_and_played_when_it_appears(video, tmp_path):
    watched = Watched(tmp_path / "later.mp4")
    with capture_logs() as logs, watched.running():
        watched.until(False)
        time.sleep(0.3)  # several more tries
        shutil.copy(video, tmp_path / "copying")
        (tmp_path / "copying").rename(tmp_path / "later.mp4")
        assert next(watched.frames()).camera == "gate"
    assert [(entry["event"], entry["camera"]) for entry in logs] == [
        ("camera offline", "gate"),
        ("camera online", "gate"),
    ]
    assert "later.mp4: does not exist" in logs[0]["reason"]
    assert watched.statuses[:2] == [False, True]


def test_damaged_video_file_is_played_once(truncated_video):
    watched = Watched(truncated_video)
    with capture_logs() as logs, watched.running():
        frames = list(watched.frames())
    assert 0 < len(frames) < 30
    assert [entry["event"] for entry in logs] == ["camera online", "camera offline"]
    assert watched.statuses == [True, False]


def test_backoff_grows_with_each_consecutive_failure(tmp_path):
    waits = Waits()
    watched = Watched(tmp_path / "never.mp4", backoff=waits)
    with watched.running():
        while len(waits.failures) < 5:
            time.sleep(0.01)
    assert waits.failures[:5] == [1, 2, 3, 4, 5]


def test_backoff_restarts_after_a_frame(truncated_video):
    waits = Waits()
    watched = Watched(truncated_video, loop=True, backoff=waits)  # every round fails at its end
    with watched.running():
        while len(watched.statuses) < 6:
            time.sleep(0.01)
    assert set(waits.failures) == {1}


def test_stop_interrupts_a_long_wait(tmp_path):
    watched = Watched(tmp_path / "never.mp4", backoff=Waits(60.0))
    with watched.running(stops_within_s=5):
        watched.until(False)


def test_stop_interrupts_a_slow_video(tmp_path):
    watched = Watched(write_video(tmp_path / "slow.mp4", fps=Fraction(1, 20), count=2))
    with watched.running(stops_within_s=5):
        watched.until(True)


def test_silent_camera_is_reported_offline_at_its_timeout(silent_port):
    watched = Watched(f"rtsp://admin:s3cret@127.0.0.1:{silent_port}/live")
    with capture_logs() as logs, watched.running(stops_within_s=3 * 0.5 + 1):
        watched.until(False)
    assert logs[0]["reason"] == (
        f"rtsp://127.0.0.1:{silent_port}/live: no answer or no video within 0.5 s"
    )


def test_broken_stream_is_reopened(rtsp):
    watched = Watched(rtsp.url, timeout_s=TIMEOUT_S)
    with capture_logs() as logs, watched.running(stops_within_s=3):
        first = next(watched.frames())
        rtsp.kill()
        watched.until(True, False)
        watched.boxes["gate"].take()
        rtsp.start()
        second = next(watched.frames())
    assert second.sequence > first.sequence and second.captured_at > first.captured_at
    assert watched.statuses == [True, False, True]
    events = [entry["event"] for entry in logs]
    assert events == ["camera online", "camera offline", "camera online"]
    assert logs[2]["failures"] >= 1
    assert "s3cret" not in repr(logs)


def test_new_source_replaces_the_old_one_during_playback_and_during_backoff(tmp_path):
    slow, wide = (tmp_path / name for name in ("slow.mp4", "wide.mp4"))
    write_video(slow, fps=1, count=10)
    write_video(wide, rotation=90)
    watched = Watched(slow, backoff=Waits(60.0))
    with watched.running():
        frames = watched.frames()
        assert next(frames).image.width == 64
        watched.use(tmp_path / "gone.mp4")
        watched.until(True, False)
        watched.use(wide)
        assert next(frames).image.width == 48
        last = list(frames)[-1]
    assert last.sequence > 1
    assert watched.statuses == [True, False, True, False]
    assert not watched.use(wide)


def test_new_source_is_used_if_it_arrives_while_the_end_of_a_video_is_reported(video, tmp_path):
    wide, boxes, statuses = tmp_path / "wide.mp4", Mailboxes(["gate"]), []
    write_video(wide, rotation=90)

    def on_status(online):
        statuses.append(online)
        if statuses == [True, False]:
            assert camera.use(CameraConfig(name="gate", url=str(wide)))

    camera = Camera(CameraConfig(name="gate", url=str(video)), boxes["gate"], on_status=on_status)
    camera.run()
    assert statuses == [True, False, True, False]
    assert boxes.wait_any().image.width == 48


def test_camera_that_blocks_from_the_start_is_reported_offline():
    watched = Watched("/dev/video97", timeout_s=0.025)  # never opened: `run` is not called
    watched.camera.report_stall()
    assert watched.statuses == []
    time.sleep(0.15)
    watched.camera.report_stall()
    watched.camera.report_stall()
    assert watched.statuses == [False]
    assert watched.camera.failure == "no frame for 0 s"


def test_unexpected_exception_is_raised_and_closes_the_mailbox(video):
    boxes = Mailboxes(["gate"])

    def broken(_online):
        raise ZeroDivisionError

    camera = Camera(CameraConfig(name="gate", url=str(video)), boxes["gate"], on_status=broken)
    with pytest.raises(ZeroDivisionError):
        camera.run()
    assert boxes.wait_any() is None
