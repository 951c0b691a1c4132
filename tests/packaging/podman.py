"""Runs containers with podman, also on machines whose cgroups it cannot use."""

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from plateid import __version__

HYBRID_CGROUPS = Path("/sys/fs/cgroup/unified")
"""Mount point that makes crun refuse to start."""
ULIMITS = '[containers]\ndefault_ulimits = ["nofile=20000:20000", "nproc=90000:90000"]\n'
QUIET = {"PODMAN_IGNORE_CGROUPSV1_WARNING": "1"}
WITHOUT_HYBRID = 'umount /sys/fs/cgroup/unified && exec podman "$@"'


def podman(*words: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs podman and returns what it did."""
    command = ["podman", *map(str, words)]
    if HYBRID_CGROUPS.is_mount():
        command = ["unshare", "--mount", "sh", "-c", WITHOUT_HYBRID, *command]
    settings = Path("/run/plateid-test-containers.conf")
    settings.write_text(ULIMITS)
    done = subprocess.run(
        command,
        env=os.environ | {"CONTAINERS_CONF_OVERRIDE": str(settings)} | QUIET,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


class Container:
    """A container of plateid with a read-only root, as compose.yaml starts it."""

    def __init__(
        self,
        image: str,
        *words: str,
        volumes: Mapping[str, Path],
        variables: Mapping[str, object],
    ) -> None:
        """Starts it in the network of the host, so that it reaches servers on loopback."""
        self.started_at = time.monotonic()
        mounts = [f"--volume={path}:{target}" for target, path in volumes.items()]
        values = [f"--env={name}={value}" for name, value in variables.items()]
        safe = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")
        options = (*safe, "--tmpfs=/tmp", "--cgroups=disabled", "--network=host")
        self._id = podman("run", "--detach", *options, *mounts, *values, image, *words)
        self.name = self._id.stdout.strip()

    def log(self) -> str:
        done = podman("logs", self.name)
        return done.stdout + done.stderr

    def wait(self) -> int:
        """Returns the exit code after the end."""
        return int(podman("wait", self.name).stdout)

    def stop(self) -> tuple[int, float]:
        """Sends SIGTERM; returns the exit code and the time until the end, seconds."""
        started = time.monotonic()
        podman("kill", "--signal=TERM", self.name)
        return self.wait(), time.monotonic() - started

    @property
    def pid(self) -> int:
        return int(podman("inspect", "--format={{.State.Pid}}", self.name).stdout)

    def close(self) -> None:
        podman("rm", "--force", "--time=0", self.name)


def image_of(architecture: str) -> str:
    return f"localhost/plateid:{__version__}-{architecture}"
