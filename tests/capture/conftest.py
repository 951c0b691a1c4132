"""Videos, an RTSP server, and a server that never answers."""

import socket

import pytest

from tests.support.videos import write_video


@pytest.fixture
def video(tmp_path):
    return write_video(tmp_path / "video.mp4")


@pytest.fixture
def truncated_video(video):
    """Returns the video cut after half of its bytes."""
    path = video.with_name("cut.mp4")
    path.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    return path


@pytest.fixture
def silent_port():
    """Returns a port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]
