"""16 cameras with the accurate bundle, under the limits of the unit.

systemd-nspawn has no memory controller here, so the test puts the process into control groups and
sets its number of open files, as systemd does.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.soak import usage
from tests.support.broker import free_port, until
from tests.support.rtsp import RtspServer

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="control groups need root")
UNIT = (Path(__file__).parents[2] / "systemd/plateid.service").read_text()
GROUPS = Path("/sys/fs/cgroup")
CAMERAS = 16
MEMORY_MB = 1000
"""Memory of the smallest device, megabytes."""


def limit(key: str) -> int:
    return int(re.search(rf"^{key}=(\d+)%?$", UNIT, re.MULTILINE)[1])


@contextmanager
def control_groups(memory_bytes: int, tasks: int) -> Iterator[list[Path]]:
    """Creates a group of each hierarchy (version 1), or one for both (version 2)."""
    if (GROUPS / "memory").is_dir():
        limits = {"memory/{}/memory.limit_in_bytes": memory_bytes, "pids/{}/pids.max": tasks}
    else:
        (GROUPS / "cgroup.subtree_control").write_text("+memory +pids")
        limits = {"{}/memory.max": memory_bytes, "{}/pids.max": tasks}
    files = {GROUPS / name.format(f"plateid-{os.getpid()}"): n for name, n in limits.items()}
    groups = list(dict.fromkeys(file.parent for file in files))
    for group in groups:
        group.mkdir()
    for file, number in files.items():
        file.write_text(str(number))
    try:
        yield groups
    finally:
        for group in groups:
            until(lambda group=group: not (group / "cgroup.procs").read_text())
            group.rmdir()


def limited(command: list[str], groups: list[Path], files: int) -> list[str]:
    """Returns the command in these control groups, with this number of open files."""
    enter = [f"echo $$ > {group}/cgroup.procs" for group in groups]
    return ["sh", "-ec", "\n".join([*enter, f"ulimit -n {files}", 'exec "$@"']), "sh", *command]


@pytest.fixture
def rtsp():
    server = RtspServer()
    server.width, server.height, server.fps = 1920, 1080, 3
    server.start()
    yield server
    server.kill()


def test_service_with_16_cameras_uses_at_most_three_quarters_of_its_limits(tmp_path, rtsp):
    config = tmp_path / "plateid.toml"
    cameras = f'[[camera]]\nname = "c{{}}"\nurl = "{rtsp.url}"\ntimeout_s = 20\n'
    config.write_text(
        "".join(cameras.format(n) for n in range(CAMERAS)) + '[models]\nbundle = "accurate"\n'
        f"[mqtt]\nport = 1\n[web]\nenabled = true\nport = {free_port()}\n"
    )
    memory_mb, tasks, files = (
        MEMORY_MB * limit("MemoryMax") / 100,
        limit("TasksMax"),
        limit("LimitNOFILE"),
    )

    service = [sys.executable, "-m", "plateid", "run", "-c", str(config)]
    with (
        control_groups(int(memory_mb * 1e6), tasks) as groups,
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(limited(service, groups, files), stderr=log) as process,
    ):
        try:
            until(lambda: (tmp_path / "log").read_bytes().count(b"camera online") == CAMERAS, 60)
            used = usage(process.pid)
        finally:
            process.terminate()
        assert process.wait(30) == 0, (tmp_path / "log").read_text()
    assert used["rss_mb"] < 0.75 * memory_mb, used
    assert used["threads"] < 0.75 * tasks, used
    assert used["files"] < 0.75 * files, used
