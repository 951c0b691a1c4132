"""Update bundles for tests: with a foreign signature, or with a damaged root."""

import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.firmware.qemu.virtual_device import VirtualDevice

MANIFEST = """[update]
compatible=plateid-{board}
version=test

[bundle]
format=verity

[image.rootfs]
filename=rootfs.squashfs
"""


def make_key(folder: Path) -> Path:
    """Creates a folder with a key and a certificate like those of `firmware/build`."""
    folder.mkdir()
    subject = ("-subj", "/CN=stranger", "-keyout", folder / "key.pem", "-out", folder / "cert.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-noenc", *subject]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def make_bundle(board: str, root: Path, keys: Path, bundle: Path) -> Path:
    """Packs a root folder as a signed update bundle."""
    content = bundle.with_suffix(".content")
    content.mkdir()
    pack = ["mksquashfs", root, content / "rootfs.squashfs", "-quiet", "-comp", "gzip"]
    subprocess.run(pack, check=True, capture_output=True)
    (content / "manifest.raucm").write_text(MANIFEST.format(board=board))
    pair = (f"--cert={keys / 'cert.pem'}", f"--key={keys / 'key.pem'}")
    subprocess.run(["rauc", "bundle", *pair, content, bundle], check=True, capture_output=True)
    return bundle


def altered_root(device: VirtualDevice, folder: Path, alter: Callable[[Path], None]) -> Path:
    """Unpacks the root of a device and alters it."""
    place = ["-o", str(device.offset("plateid-root-a")), "-d", folder]
    subprocess.run(["unsquashfs", "-quiet", *place, device.disk], check=True, capture_output=True)
    alter(folder)
    return folder
