"""Updates that nobody should have signed, and some that somebody should not have."""

import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.firmware.qemu.appliance import Appliance

MANIFEST = """[update]
compatible=plateid-{board}
version=test

[bundle]
format=verity

[image.rootfs]
filename=rootfs.squashfs
"""


def make_key(folder: Path) -> Path:
    """A folder with a key and a certificate, as `firmware/build` makes them."""
    folder.mkdir()
    subject = ("-subj", "/CN=somebody", "-keyout", folder / "key.pem", "-out", folder / "cert.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-noenc", *subject]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def make_bundle(board: str, root: Path, keys: Path, bundle: Path) -> Path:
    """Packs and signs the folder of a root."""
    content = bundle.with_suffix(".content")
    content.mkdir()
    pack = ["mksquashfs", root, content / "rootfs.squashfs", "-quiet", "-comp", "gzip"]
    subprocess.run(pack, check=True, capture_output=True)
    (content / "manifest.raucm").write_text(MANIFEST.format(board=board))
    pair = (f"--cert={keys / 'cert.pem'}", f"--key={keys / 'key.pem'}")
    subprocess.run(["rauc", "bundle", *pair, content, bundle], check=True, capture_output=True)
    return bundle


def altered_root(box: Appliance, folder: Path, alter: Callable[[Path], None]) -> Path:
    """The root of a box with something done to it."""
    place = ["-o", str(box.offset("plateid-root-a")), "-d", folder]
    subprocess.run(["unsquashfs", "-quiet", *place, box.disk], check=True, capture_output=True)
    alter(folder)
    return folder
