"""Mailboxes: each holds the newest frame of one camera until a worker takes it."""

import threading
from collections import deque
from collections.abc import Iterable

from plateid.core.records import Frame


class Mailbox:
    """Holds the newest frame of one camera, and counts the frames received and dropped.

    A frame is dropped if no worker takes it before the next one arrives. `busy` means that a worker
    is processing a frame of the camera.
    """

    def __init__(self, changed: threading.Condition) -> None:
        """Starts empty; `changed` guards the mailbox and is notified of every change."""
        self._changed = changed
        self._frame: Frame | None = None
        self.frames = self.dropped = 0
        self.closed = self.busy = False

    def put(self, frame: Frame) -> None:
        """Replaces the waiting frame, unless the mailbox is closed."""
        with self._changed:
            if not self.closed:
                self.frames += 1
                self.dropped += self._frame is not None
                self._frame = frame
                self._changed.notify_all()

    def take(self) -> Frame | None:
        """Removes and returns the waiting frame, if there is one."""
        with self._changed:
            frame, self._frame = self._frame, None
            return frame

    @property
    def waiting(self) -> bool:
        """Whether a frame is waiting."""
        return self._frame is not None

    @property
    def ready(self) -> bool:
        """Whether a frame is waiting and no worker is processing the previous frame."""
        return self.waiting and not self.busy

    def discard(self) -> None:
        """Drops the waiting frame, if there is one."""
        with self._changed:
            self.dropped += self.take() is not None

    def close(self) -> None:
        """Accepts no more frames; a waiting one may still be taken."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()


class Mailboxes:
    """The mailboxes of all cameras, from which workers take frames in turn."""

    def __init__(self, cameras: Iterable[str]) -> None:
        self._changed = threading.Condition()
        self._boxes = {camera: Mailbox(self._changed) for camera in cameras}
        self._turns = deque(self._boxes.values())
        self._idle_workers = 0

    def __getitem__(self, camera: str) -> Mailbox:
        return self._boxes[camera]

    @property
    def crowded(self) -> bool:
        """Whether more cameras have a waiting frame than workers are idle."""
        with self._changed:
            return sum(box.ready for box in self._turns) > self._idle_workers

    def wait_any(self) -> Frame | None:
        """Waits for the next frame, cameras in turn; None when all are closed and empty."""
        with self._changed:
            while True:
                if box := next((box for box in self._turns if box.ready), None):
                    self._turns.remove(box)
                    self._turns.append(box)
                    box.busy = True
                    return box.take()
                if all(box.closed and not box.waiting for box in self._turns):
                    return None
                self._idle_workers += 1
                self._changed.wait()
                self._idle_workers -= 1

    def done(self, camera: str) -> None:
        """Marks the camera's frame as processed, so that a worker can take the next one."""
        with self._changed:
            self._boxes[camera].busy = False
            self._changed.notify_all()

    def wait_idle(self, camera: str, *, timeout_s: float) -> None:
        """Blocks until no frame of the camera is waiting or in process, or until the time-out."""
        box = self._boxes[camera]
        with self._changed:
            self._changed.wait_for(lambda: not box.waiting and not box.busy, timeout_s)

    def close(self) -> None:
        """Closes every mailbox."""
        for box in self._boxes.values():
            box.close()
