"""Containers with systemd as PID 1 (systemd-nspawn), on the network of the host."""

import os
import shutil
import signal
import site
import subprocess
import sys
from pathlib import Path

from tests.support.broker import until

REPOSITORY = Path(__file__).parents[2]
PROGRAM = f"""#!/bin/sh
export LD_LIBRARY_PATH=/opt/python/lib PYTHONPATH=/opt/plateid/source:/opt/plateid/packages
exec /opt/python/{Path(sys._base_executable).relative_to(sys.base_prefix)} -m plateid "$@"
"""
NSPAWN = ["systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--console=pipe"]


class Container:
    """A container that boots a root file system."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._console = root.with_name(f"{root.name}.log")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        """Boots with options of systemd-nspawn, followed by kernel parameters."""
        name = f"--machine=plateid-{os.getpid()}"
        command = [*NSPAWN, f"--directory={self.root}", name, *options]
        with self._console.open("wb") as console:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=console, stderr=console
            )
        # compare the output: before PID 1 runs, systemctl assumes a chroot and exits with 0
        until(lambda: self.run("systemctl", "is-active", "basic.target").stdout == "active\n")

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Runs a command in the container."""
        enter = ["nsenter", f"--target={self._leader()}", "--all", "--root", "--wd", *command]
        return subprocess.run(enter, capture_output=True, text=True, check=False)

    def systemctl(self, *command: str) -> None:
        done = self.run("systemctl", *command)
        assert done.returncode == 0, done.stderr + self.journal()

    def show(self, key: str, unit: str = "plateid") -> str:
        """Returns a property of a unit."""
        return self.run("systemctl", "show", "--value", "-p", key, unit).stdout.strip()

    def journal(self, unit: str = "plateid") -> str:
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", unit).stdout

    def close(self) -> None:
        if self._process is not None:
            self._process.terminate()  # powers it off
            self._process.wait(30)

    def cut_power(self) -> None:
        """Kills all processes at once."""
        os.kill(self._leader(), signal.SIGKILL)
        self._process.wait(30)

    def _leader(self) -> int:
        """Returns the process id of PID 1 of the container; 0 before it exists."""
        pid = self._process.pid
        assert self._process.poll() is None, self._console.read_text()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0]) if children else 0


class Machine(Container):
    """A container with plateid as `make install` installs it, and the host's /usr, read-only."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        root.chmod(0o755)  # only the owner can read pytest's folders
        for folder in ("usr", "var", "opt/python", "opt/plateid/source/plateid"):
            (root / folder).mkdir(parents=True)
        for folder in ("bin", "sbin", "lib", "lib64"):
            if Path("/", folder).exists():
                (root / folder).symlink_to(f"usr/{folder}")
        install = ["make", "--silent", "install-units", f"DESTDIR={root}", "EXTRA=hub"]
        subprocess.run(install, cwd=REPOSITORY, check=True)
        shutil.copy("/usr/lib/os-release", root / "etc/os-release")
        (root / "etc/nsswitch.conf").write_text("passwd: files systemd\ngroup: files systemd\n")
        (root / "etc/machine-id").write_text(
            f"{os.getpid():032x}\n"
        )  # otherwise systemd assumes a first boot
        program = root / "opt/plateid/bin/plateid"
        program.parent.mkdir()
        program.write_text(PROGRAM)
        program.chmod(0o755)

    def start(self, *options: str) -> None:
        binds = {
            "/usr": "/usr",
            sys.base_prefix: "/opt/python",
            site.getsitepackages()[0]: "/opt/plateid/packages",
            REPOSITORY / "plateid": "/opt/plateid/source/plateid",
        }
        shown = [f"--bind-ro={host}:{here}" for host, here in binds.items()]
        super().start(*shown, *options, "systemd.unit=basic.target")
