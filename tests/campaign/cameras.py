"""The cameras of a campaign: motion JPEG over HTTP, and H.264 over RTSP by GStreamer.

Both show what the schedule says at this moment, so the oracle knows what each camera showed when.
"""

import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from tests.campaign.plates import draw, jpeg
from tests.campaign.schedule import Vehicle
from tests.support.broker import free_port

FPS = 10
HEAD = (
    b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n--frame\r\n"
)
PART = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n--frame\r\n"
RTSP = Path(__file__).parent / "rtsp_camera.py"
Frames = Callable[[], bytes]


class Camera(Protocol):
    """What a fault does with a camera."""

    url: str
    port: int

    def start(self) -> None: ...

    def kill(self) -> None: ...

    def freeze(self) -> None: ...

    def thaw(self) -> None: ...


class Street:
    """Gives the image of a camera at this moment as JPEG."""

    def __init__(self, vehicles: list[Vehicle], began: float) -> None:
        self._vehicles = vehicles
        self._began = began

    def frame(self) -> bytes:
        now = time.monotonic() - self._began
        for vehicle in self._vehicles:
            if vehicle.enters <= now < vehicle.leaves:
                return jpeg(draw(vehicle.plate, vehicle.position(now)))
        return jpeg(draw(None, 0.0))


class FrameServer:
    """Sends frames to each client, as motion JPEG over HTTP or each after its length."""

    def __init__(self, frames: Frames, *, http: bool = True) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/video"
        self._frames = frames
        self._http = http
        self._flows = threading.Event()
        self._flows.set()
        self._generation = 0
        self._listener: socket.socket | None = None

    def start(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def kill(self) -> None:
        """Closes the port and every connection."""
        self._generation += 1
        self._flows.set()
        assert self._listener is not None
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def freeze(self) -> None:
        self._flows.clear()

    def thaw(self) -> None:
        self._flows.set()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection = listener.accept()[0]
                arguments = (connection, self._generation)
                threading.Thread(target=self._send, args=arguments, daemon=True).start()

    def _send(self, connection: socket.socket, generation: int) -> None:
        with connection, suppress(OSError):
            connection.settimeout(30)
            if self._http:
                connection.recv(4096)
                connection.sendall(HEAD)
            while generation == self._generation:
                frame = self._frames()
                size = len(frame)
                connection.sendall(PART % (size, frame) if self._http else b"%08d" % size + frame)
                time.sleep(1 / FPS - time.monotonic() % (1 / FPS))
                self._flows.wait()


class RtspCamera:
    """A process that encodes the frames of a server as H.264 and serves them by RTSP."""

    def __init__(self, frames: Frames) -> None:
        self._source = FrameServer(frames, http=False)
        self._source.start()
        self.port = free_port()
        self.url = f"rtsp://127.0.0.1:{self.port}/live"
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        command = ["/usr/bin/python3", str(RTSP), str(self.port), str(self._source.port), str(FPS)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.communicate()

    def freeze(self) -> None:
        self._signal("STOP")

    def thaw(self) -> None:
        self._signal("CONT")

    def _signal(self, name: str) -> None:
        assert self._process is not None
        subprocess.run(["kill", f"-{name}", str(self._process.pid)], check=True)


class Garbage:
    """Answers on a camera's port with random bytes."""

    def __init__(self, port: int, noise: Callable[[int], bytes]) -> None:
        self._server = FrameServer(lambda: noise(4096), http=False)
        self._server.port = port

    def __enter__(self) -> None:
        self._server.start()

    def __exit__(self, *_: object) -> None:
        self._server.kill()
