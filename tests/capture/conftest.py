"""Clips, an RTSP server, and one that says nothing."""

import signal
import socket
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

SERVER = Path(__file__).parent / "rtsp_server.py"
CREATED = "2026-11-24T09:12:07.000000Z"
QUADRANTS = np.array([[(0, 0, 200), (0, 200, 0)], [(200, 0, 0), (220, 220, 220)]], np.uint8)
"""BGR: red, green above blue, white."""


def write_clip(path, *, fps=30, count=30, rotation=0, created=None):
    """64x48, four quadrants of the colours above, with noise, so that every frame has its bytes."""
    random = np.random.default_rng(1)
    image = np.kron(QUADRANTS, np.ones((24, 32, 1), np.uint8))
    options = {"movflags": "+faststart"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(
            "libx264", rate=fps, options={"crf": "1", "g": "10", "threads": "1"}
        )
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        if rotation:
            stream.set_display_rotation(rotation)
        if created:
            container.metadata["creation_time"] = created
        for index in range(count):
            noise = random.integers(0, 8, image.shape, np.uint8)
            frame = av.VideoFrame.from_ndarray(image + noise, format="bgr24")
            frame.pts, frame.time_base = index, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture
def clip(tmp_path):
    return write_clip(tmp_path / "clip.mp4")


@pytest.fixture
def cut_clip(clip):
    """The first half of its bytes."""
    path = clip.with_name("cut.mp4")
    path.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    return path


class RtspServer:
    """A process that serves a moving ball; `kill` and `start` keep the port."""

    width, height = 320, 240

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"rtsp://admin:s3cret@127.0.0.1:{self.port}/live"
        self.process = None

    def start(self) -> None:
        arguments = map(str, (self.port, 25, 5, self.width, self.height))
        self.process = subprocess.Popen(
            ["/usr/bin/python3", str(SERVER), *arguments], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout.readline() == "ready\n"

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def mute(self) -> None:
        """Connections stay, but no picture comes any more."""
        self.process.send_signal(signal.SIGUSR1)

    def unmute(self) -> None:
        self.process.send_signal(signal.SIGUSR2)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def rtsp():
    server = RtspServer()
    server.start()
    yield server
    server.kill()


@pytest.fixture
def silent_port():
    """Accepts connections, and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]
