"""A real RTSP server in a process of its own."""

import signal
import subprocess
from pathlib import Path

from tests.support.broker import free_port

SERVER = Path(__file__).parent / "rtsp_server.py"


class RtspServer:
    """A process that serves a moving ball or a video file; `kill` and `start` keep the port."""

    width, height, fps = 320, 240, 25

    def __init__(self, video: Path | None = None) -> None:
        self.video = video
        self.port = free_port()
        self.url = f"rtsp://admin:s3cret@127.0.0.1:{self.port}/live"
        self.process = None

    def start(self) -> None:
        video = [self.video.resolve()] if self.video else []
        arguments = map(str, (self.port, self.fps, 5, self.width, self.height, *video))
        self.process = subprocess.Popen(
            ["/usr/bin/python3", str(SERVER), *arguments], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout.readline() == "ready\n"

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def mute(self) -> None:
        """Keeps the connections open, but stops the video."""
        self.process.send_signal(signal.SIGUSR1)

    def unmute(self) -> None:
        self.process.send_signal(signal.SIGUSR2)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
