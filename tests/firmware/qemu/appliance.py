"""The box: an image of firmware/build in QEMU."""

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.support.broker import free_port, until

REPOSITORY = Path(__file__).parents[3]
BOOT_S = 1800.0
"""Emulation on a busy machine is slow; nothing here judges speed."""


PATIENCE = "[Service]\nWatchdogSec=20min\nTimeoutStartSec=20min\n"
"""For plateid.service: emulated on a busy machine it takes more than 30 s to load its modules."""


class Board(NamedTuple):
    """How QEMU plays it. KVM is not asked for: builders are virtual machines themselves."""

    command: tuple[str, ...]
    firmware: str
    variables: str


BOARDS = {
    "uefi-amd64": Board(
        # onnxruntime's newest instructions are emulated so slowly that the service hangs
        ("qemu-system-x86_64", "-machine", "q35", "-cpu", "Nehalem"),
        "/usr/share/OVMF/OVMF_CODE_4M.fd",
        "/usr/share/OVMF/OVMF_VARS_4M.fd",
    ),
    "uefi-arm64": Board(
        ("qemu-system-aarch64", "-machine", "virt,gic-version=3", "-cpu", "cortex-a76"),
        "/usr/share/AAVMF/AAVMF_CODE.no-secboot.fd",
        "/usr/share/AAVMF/AAVMF_VARS.fd",
    ),
}
BOARDS["raspberrypi5"] = BOARDS["uefi-arm64"]  # QEMU has no Pi 5


class Appliance:
    """One box with its disk; `cut` pulls its plug.

    Attributes:
        disk: Its file.
        console: What it wrote on its serial port, all starts one after the other.
        mqtt_port, ssh_port: On the host.
    """

    def __init__(self, board: str, image: Path, folder: Path) -> None:
        self._board = BOARDS[board]
        self.disk = folder / "disk.img"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.console = folder / "console.log"
        self.mqtt_port, self.ssh_port, self.page_port = free_port(), free_port(), free_port()
        subprocess.run(["cp", "--sparse=always", image, self.disk], check=True)
        subprocess.run(["truncate", "--size=+3G", self.disk], check=True)  # a larger card
        shutil.copy(self._board.variables, folder / "variables.fd")
        key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"]
        subprocess.run(key, check=True)

    @property
    def public_key(self) -> Path:
        return self._folder / "key.pub"

    def start(self) -> None:
        forwards = {self.mqtt_port: 8883, self.ssh_port: 22, self.page_port: 8480}
        rules = "".join(f",hostfwd=tcp:127.0.0.1:{host}-:{box}" for host, box in forwards.items())
        flash = f"if=pflash,unit=0,format=raw,readonly=on,file={self._board.firmware}"
        variables = f"if=pflash,unit=1,format=raw,file={self._folder}/variables.fd"
        drop_in = base64.b64encode(PATIENCE.encode()).decode()
        credential = f"systemd.unit-dropin.plateid.service~emulation={drop_in}"
        command = [
            *(*self._board.command, "-accel", "tcg,thread=multi", "-smp", "2", "-m", "1536"),
            *("-drive", flash, "-drive", variables),
            *("-drive", f"if=virtio,format=raw,file={self.disk}"),
            *("-nic", f"user,model=virtio-net-pci,restrict=on{rules}"),
            *("-smbios", f"type=11,value=io.systemd.credential.binary:{credential}"),
            *("-device", "i6300esb", "-display", "none", "-serial", "stdio"),
        ]
        with self.console.open("ab") as console:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT
            )

    def cut(self) -> None:
        """As if its plug were pulled."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    close = cut

    def stop(self) -> None:
        """Shuts down in order."""
        self.run("systemctl poweroff")
        self._process.wait(BOOT_S)
        self._process = None

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """A command inside, by ssh; without an answer the exit code is 255."""
        options = (
            *("-i", f"{self._folder}/key", "-p", str(self.ssh_port), "-o", "BatchMode=yes"),
            *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
            *("-o", "ConnectTimeout=60", "-o", "LogLevel=ERROR"),
        )
        ssh = ["ssh", *options, "root@127.0.0.1", command]
        return subprocess.run(ssh, capture_output=True, text=True, check=False)

    def answer(self, command: str) -> str:
        """What a command that succeeds prints."""
        done = self.run(command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def wait_until_good(self) -> None:
        """Until its boot loader knows that it has started well."""
        state = "systemctl is-active appliance-good.service"
        until(lambda: self._alive() and self.run(state).stdout == "active\n", BOOT_S)

    def send(self, file: Path, path: str) -> None:
        """Copies a file into it."""
        command = (
            *("scp", "-i", f"{self._folder}/key", "-P", str(self.ssh_port), "-o", "BatchMode=yes"),
            *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
        )
        subprocess.run([*command, file, f"root@127.0.0.1:{path}"], check=True, capture_output=True)

    def lay(self, name: str, file: Path) -> None:
        """Onto the boot partition, as its user does on a PC."""
        place = f"{self.disk}@@{self.offset('plateid-esp')}"
        subprocess.run(["mcopy", "-o", "-i", place, file, f"::/{name}"], check=True)

    def set_kernel_options(self, words: str) -> None:
        """OPTIONS of the boot loader, while the box is off."""
        environment = self._folder / "grubenv"
        place = f"{self.disk}@@{self.offset('plateid-esp')}"
        for command in (
            ["mcopy", "-n", "-i", place, "::/grub/grubenv", environment],
            ["grub-editenv", environment, "set", f"OPTIONS={words}"],
            ["mcopy", "-o", "-i", place, environment, "::/grub/grubenv"],
        ):
            subprocess.run(command, check=True)

    def debugfs(self, request: str, *options: str) -> str:
        """A request to the file system of /var while the box is off."""
        place = f"{self.disk}?offset={self.offset('plateid-var')}"
        command = ["debugfs", *options, "-R", request, place]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def fsck(self) -> subprocess.CompletedProcess[str]:
        """Checks /var while the box is off, and changes nothing."""
        place = f"{self.disk}?offset={self.offset('plateid-var')}"
        command = ["e2fsck", "-fn", place]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def offset(self, label: str) -> int:
        """Bytes before a partition."""
        shown = subprocess.run(["sfdisk", "--json", self.disk], check=True, capture_output=True)
        table = json.loads(shown.stdout)["partitiontable"]["partitions"]
        return 512 * next(int(row["start"]) for row in table if row["name"] == label)

    def _alive(self) -> bool:
        assert self._process.poll() is None, self.console.read_text()[-2000:]
        return True
