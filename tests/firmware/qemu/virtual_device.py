"""A virtual device: QEMU boots an image of firmware/build."""

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.support.broker import free_port, until

REPOSITORY = Path(__file__).parents[3]
BOOT_S = 1800.0
"""Time-out of a boot, seconds. Emulation on a busy machine is slow."""


PATIENCE = "[Service]\nWatchdogSec=20min\nTimeoutStartSec=20min\n"
"""Drop-in for plateid.service: under emulation it takes more than 30 s to load its modules."""


class Board(NamedTuple):
    """QEMU settings of a board, without KVM: builders are virtual machines themselves."""

    command: tuple[str, ...]
    serial: str
    firmware: str
    variables: str


BOARDS = {
    "uefi-amd64": Board(
        # onnxruntime's newest instructions are emulated so slowly that the service hangs
        ("qemu-system-x86_64", "-machine", "q35", "-cpu", "Nehalem"),
        "ttyS0",
        "/usr/share/OVMF/OVMF_CODE_4M.fd",
        "/usr/share/OVMF/OVMF_VARS_4M.fd",
    ),
    "uefi-arm64": Board(
        ("qemu-system-aarch64", "-machine", "virt,gic-version=3", "-cpu", "cortex-a76"),
        "ttyAMA0",
        "/usr/share/AAVMF/AAVMF_CODE.no-secboot.fd",
        "/usr/share/AAVMF/AAVMF_VARS.fd",
    ),
}
BOARDS["raspberrypi5"] = BOARDS["uefi-arm64"]  # QEMU has no Pi 5


class VirtualDevice:
    """A virtual machine with its disk.

    Attributes:
        disk: File of the disk.
        console: File of the serial output of all boots.
        mqtt_port, ssh_port, page_port: Forwarded ports on the host.
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
        self.set_kernel_options()

    @property
    def public_key(self) -> Path:
        return self._folder / "key.pub"

    def start(self) -> None:
        forwards = {self.mqtt_port: 8883, self.ssh_port: 22, self.page_port: 8480}
        rules = "".join(
            f",hostfwd=tcp:127.0.0.1:{host}-:{device}" for host, device in forwards.items()
        )
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
        """Cuts the power."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    close = cut

    def stop(self) -> None:
        """Shuts down cleanly."""
        self.run("systemctl poweroff")
        self._process.wait(BOOT_S)
        self._process = None

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Runs a command by SSH; without a connection the exit code is 255."""
        options = (
            *("-i", f"{self._folder}/key", "-p", str(self.ssh_port), "-o", "BatchMode=yes"),
            *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
            *("-o", "ConnectTimeout=60", "-o", "LogLevel=ERROR"),
        )
        ssh = ["ssh", *options, "root@127.0.0.1", command]
        return subprocess.run(ssh, capture_output=True, text=True, check=False)

    def answer(self, command: str) -> str:
        """Runs a command that must succeed; returns its output."""
        done = self.run(command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def wait_until_good(self) -> None:
        """Waits until the running root is marked as good."""
        state = "systemctl is-active appliance-good.service"
        until(lambda: self._alive() and self.run(state).stdout == "active\n", BOOT_S)

    def send(self, file: Path, path: str) -> None:
        """Copies a file to the device."""
        command = (
            *("scp", "-i", f"{self._folder}/key", "-P", str(self.ssh_port), "-o", "BatchMode=yes"),
            *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
        )
        subprocess.run([*command, file, f"root@127.0.0.1:{path}"], check=True, capture_output=True)

    def copy_to_boot_partition(self, name: str, file: Path) -> None:
        """Copies a file to the boot partition, as users do on a PC."""
        place = f"{self.disk}@@{self.offset('plateid-esp')}"
        subprocess.run(["mcopy", "-o", "-i", place, file, f"::/{name}"], check=True)

    def set_kernel_options(self, words: str = "") -> None:
        """Sets OPTIONS of the boot loader of a stopped device; its console is the serial port."""
        options = f"console={self._board.serial} {words}"
        environment = self._folder / "grubenv"
        place = f"{self.disk}@@{self.offset('plateid-esp')}"
        for command in (
            ["mcopy", "-n", "-i", place, "::/grub/grubenv", environment],
            ["grub-editenv", environment, "set", f"OPTIONS={options}"],
            ["mcopy", "-o", "-i", place, environment, "::/grub/grubenv"],
        ):
            subprocess.run(command, check=True)

    def debugfs(self, request: str, *options: str) -> str:
        """Runs a debugfs request on /var while the device is off."""
        place = f"{self.disk}?offset={self.offset('plateid-var')}"
        command = ["debugfs", *options, "-R", request, place]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def fsck(self) -> subprocess.CompletedProcess[str]:
        """Checks /var read-only while the device is off."""
        place = f"{self.disk}?offset={self.offset('plateid-var')}"
        command = ["e2fsck", "-fn", place]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def offset(self, label: str) -> int:
        """Returns the offset of a partition, bytes."""
        shown = subprocess.run(["sfdisk", "--json", self.disk], check=True, capture_output=True)
        table = json.loads(shown.stdout)["partitiontable"]["partitions"]
        return 512 * next(int(row["start"]) for row in table if row["name"] == label)

    def _alive(self) -> bool:
        assert self._process.poll() is None, self.console.read_text()[-2000:]
        return True
