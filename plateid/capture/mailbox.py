"""Mailboxes: frames wait here for a worker, one per camera; the newest frame wins."""

import threading
from collections import deque
from collections.abc import Iterable

from plateid.core.records import Frame


class Mailbox:
    """Holds the newest frame of one camera.

    Attributes:
        frames: Number of frames received.
        dropped: Number of frames that no worker took before the next one arrived.
        closed: Whether no more frames are accepted.
    """

    def __init__(self, changed: threading.Condition) -> None:
        """Starts empty; `changed` guards the mailbox and is notified of every change."""
        self._changed = changed
        self._frame: Frame | None = None
        self.frames = 0
        self.dropped = 0
        self.closed = False

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
        """Creates an empty mailbox for each camera."""
        self._changed = threading.Condition()
        self._boxes = {camera: Mailbox(self._changed) for camera in cameras}
        self._turns = deque(self._boxes)
        self._busy: set[str] = set()
        self._idle = 0

    def __getitem__(self, camera: str) -> Mailbox:
        """Returns the mailbox of a camera."""
        return self._boxes[camera]

    @property
    def crowded(self) -> bool:
        """Whether more cameras have a waiting frame than workers are idle."""
        with self._changed:
            waiting = [c for c, box in self._boxes.items() if box.waiting and c not in self._busy]
            return len(waiting) > self._idle

    def wait_any(self) -> Frame | None:
        """Returns the next frame, cameras taking turns; None when all are closed and empty.

        Blocks until there is one. The camera's next frame waits until `done` is called.
        """
        with self._changed:
            while True:
                for camera in self._turns:
                    if self._boxes[camera].waiting and camera not in self._busy:
                        return self._serve(camera)
                if all(box.closed and not box.waiting for box in self._boxes.values()):
                    return None
                self._idle += 1
                self._changed.wait()
                self._idle -= 1

    def _serve(self, camera: str) -> Frame | None:
        self._turns.remove(camera)
        self._turns.append(camera)
        self._busy.add(camera)
        return self._boxes[camera].take()

    def done(self, camera: str) -> None:
        """Releases a camera whose frame has been processed, so that a worker takes its next one."""
        with self._changed:
            self._busy.discard(camera)
            self._changed.notify_all()

    def wait_idle(self, camera: str, *, timeout_s: float) -> None:
        """Blocks until no frame of the camera waits or is in process, or until the time-out."""
        with self._changed:
            self._changed.wait_for(
                lambda: not self._boxes[camera].waiting and camera not in self._busy, timeout_s
            )

    def close(self) -> None:
        """Closes every mailbox."""
        for box in self._boxes.values():
            box.close()
