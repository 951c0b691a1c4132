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
        command = ["/usr/bin/python3", *map(str, self._arguments())]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def _arguments(self) -> list[object]:
        video = [self.video.resolve()] if self.video else []
        return [SERVER, self.port, self.fps, 5, self.width, self.height, *video]

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


class LoopingServer(RtspServer):
    """Serves a video file for ever: servers of equally long files show the same moment."""

    def __init__(self, video: Path, lag_s: float = 0.0, skew_s: float = 0.0) -> None:
        super().__init__(video)
        self.lag_s, self.skew_s = lag_s, skew_s

    def _arguments(self) -> list[object]:
        script = SERVER.with_name("looping_rtsp_server.py")
        return [script, self.port, self.video.resolve(), self.lag_s, self.skew_s]
