"""Runs containers with podman, also on machines whose cgroups it cannot use."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from plateid import __version__
from tests.support.broker import until

STOP_S = 60.0
"""Maximum time until a container has stopped, seconds."""
SETTINGS = """[containers]
cgroups = "disabled"
default_ulimits = ["nofile=20000:20000", "nproc=90000:90000"]
"""
FILE = Path("/run/plateid-test-containers.conf")
"""Settings that fit the limits of this machine."""
ENVIRONMENT = {"CONTAINERS_CONF_OVERRIDE": str(FILE), "PODMAN_IGNORE_CGROUPSV1_WARNING": "1"}
SAFE = ("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges")
WITHOUT_HYBRID = "! mountpoint -q /sys/fs/cgroup/unified || umount /sys/fs/cgroup/unified; "


def podman(*words: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs podman and returns what it did."""
    FILE.write_text(SETTINGS)
    command = ["unshare", "--mount", "sh", "-c", WITHOUT_HYBRID + 'exec podman "$@"', "podman"]
    done = subprocess.run(
        [*command, *map(str, words)],
        env=os.environ | ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


@contextmanager
def namespace() -> Iterator[list[str]]:
    """The words that run a command where the networks of containers outlive it."""
    FILE.write_text(SETTINGS)
    hold = ["unshare", "--mount", "sh", "-c", WITHOUT_HYBRID + "echo; exec sleep infinity"]
    with subprocess.Popen(hold, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        names = [f"{name}={value}" for name, value in ENVIRONMENT.items()]
        yield ["nsenter", f"--target={process.pid}", "--mount", "env", *names]
        process.kill()


class Container:
    """A container of plateid; its root is read-only, as compose.yaml starts it."""

    def __init__(
        self,
        image: str,
        *words: str,
        volumes: Mapping[str, Path],
        variables: Mapping[str, object],
        options: tuple[str, ...] = SAFE,
    ) -> None:
        """Starts it in the network of the host, so that it reaches servers on loopback."""
        self.started_at = time.monotonic()
        mounts = [f"--volume={path}:{target}" for target, path in volumes.items()]
        values = [f"--env={name}={value}" for name, value in variables.items()]
        started = ("run", "--detach", "--network=host", *options)
        self._id = podman(*started, *mounts, *values, image, *words)
        self.name = self._id.stdout.strip()

    def log(self) -> str:
        done = podman("logs", self.name)
        return done.stdout + done.stderr

    def wait(self) -> int:
        """Returns the exit code after the end."""
        return int(podman("wait", self.name).stdout)

    def stop(self) -> tuple[int, float]:
        """Sends SIGTERM; returns the exit code and the time until the end, seconds."""
        pid = self.pid
        started = time.monotonic()
        os.kill(pid, signal.SIGTERM)  # podman itself takes half a second
        until(lambda: not Path(f"/proc/{pid}").exists(), STOP_S)
        seconds = time.monotonic() - started
        return self.wait(), seconds

    @property
    def pid(self) -> int:
        return int(podman("inspect", "--format={{.State.Pid}}", self.name).stdout)

    def close(self) -> None:
        podman("rm", "--force", "--time=0", self.name)


def image_of(architecture: str, extra: str = "demo") -> str:
    """The name that firmware/container/build gives an image."""
    variant = extra.removeprefix("demo").replace(",", "-")
    return f"localhost/plateid:{__version__}-{architecture}{variant}"
