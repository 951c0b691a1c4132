"""Where frames wait for a worker: one slot for each camera, and the newest frame wins."""

import threading
from collections import deque
from collections.abc import Iterable

from plateid.core.records import Frame


class Mailbox:
    """The slot of one camera.

    Attributes:
        frames: Frames that came.
        dropped: Frames that nobody took before the next one came.
    """

    def __init__(self, changed: threading.Condition) -> None:
        """Empty; `changed` guards the slot, and is notified of everything that happens to it."""
        self._changed = changed
        self._frame: Frame | None = None
        self.frames = 0
        self.dropped = 0
        self.closed = False

    def put(self, frame: Frame) -> None:
        """Replaces the frame that waits; a closed mailbox takes no more."""
        with self._changed:
            if not self.closed:
                self.frames += 1
                self.dropped += self._frame is not None
                self._frame = frame
                self._changed.notify_all()

    def take(self) -> Frame | None:
        """The frame that waits, which is gone then; None when there is none."""
        with self._changed:
            frame, self._frame = self._frame, None
            return frame

    @property
    def waiting(self) -> bool:
        """Whether there is a frame to take."""
        return self._frame is not None

    def discard(self) -> None:
        """Drops the frame that waits, if there is one."""
        self.dropped += self.take() is not None

    def close(self) -> None:
        """No more frames will come; one that waits may still be taken."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()


class Mailboxes:
    """The mailboxes of all cameras, for workers that take the next frame of any."""

    def __init__(self, cameras: Iterable[str]) -> None:
        """All empty."""
        self._changed = threading.Condition()
        self._boxes = {camera: Mailbox(self._changed) for camera in cameras}
        self._turns = deque(self._boxes)
        self._busy: set[str] = set()
        self._idle = 0

    def __getitem__(self, camera: str) -> Mailbox:
        """The mailbox of one camera."""
        return self._boxes[camera]

    @property
    def crowded(self) -> bool:
        """Whether more frames wait than workers for them."""
        with self._changed:
            waiting = [c for c, box in self._boxes.items() if box.waiting and c not in self._busy]
            return len(waiting) > self._idle

    def wait_any(self) -> Frame | None:
        """Blocks until a camera has a frame; the next one is kept back until `done` is called.

        Cameras take turns: whoever was served last comes last.

        Returns:
            None when all mailboxes are closed and empty.
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
        """The frame of this camera has been processed; another worker may take its next one."""
        with self._changed:
            self._busy.discard(camera)
            self._changed.notify_all()

    def wait_idle(self, camera: str, *, timeout_s: float) -> None:
        """Blocks until no frame of this camera waits or is being processed, or for so long."""
        with self._changed:
            self._changed.wait_for(
                lambda: not self._boxes[camera].waiting and camera not in self._busy, timeout_s
            )

    def close(self) -> None:
        """Closes every mailbox."""
        for box in self._boxes.values():
            box.close()
