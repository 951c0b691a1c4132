"""Stopping while cameras do not respond."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

CAMERAS = 16
STOPS = int(os.environ.get("STOPS", "3"))


@pytest.fixture
def silent_camera():
    """Accepts connections and never answers; returns its URL."""
    connections = []
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connections.append(server.accept()[0])

        thread = threading.Thread(target=accept)
        thread.start()
        yield f"rtsp://127.0.0.1:{server.getsockname()[1]}/live"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    for connection in connections:
        connection.close()


def test_service_that_is_stopped_before_it_has_loaded_exits_with_0(tmp_path):
    config = tmp_path / "plateid.toml"
    config.write_text('[[camera]]\nname = "c"\nurl = "rtsp://127.0.0.1:1/x"\n[mqtt]\nport = 1\n')
    run = [sys.executable, "-X", "importtime", "-m", "plateid", "run", "-c", str(config)]
    with subprocess.Popen(run, stderr=subprocess.PIPE, text=True) as process:
        assert any("plateid.errors" in line for line in process.stderr), "it imports its modules"
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGTERM):
            process.send_signal(number)
        _, log = process.communicate(timeout=60)
    assert process.returncode == 0, log


def test_stop_exits_with_0_while_cameras_do_not_respond(tmp_path, silent_camera):
    cameras = [
        f'[[camera]]\nname = "c{n}"\nurl = "{silent_camera}"\ntimeout_s = 0.5\n'
        for n in range(CAMERAS)
    ]
    config = tmp_path / "plateid.toml"
    config.write_text("\n".join([*cameras, "[mqtt]\nport = 1\n"]))
    for _ in range(STOPS):
        process = subprocess.Popen(
            [sys.executable, "-m", "plateid", "run", "-c", str(config)],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert any("started" in line for line in process.stderr)
        time.sleep(1.0)
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=20)
        assert process.returncode == 0, log
