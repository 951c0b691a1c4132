"""Signed archives of tiny bundles, as `plateid models pack` makes them."""

import subprocess
from pathlib import Path

import cv2
import numpy as np

from plateid.bundles.install import pack_bundle
from tests.support.bundles import detector_network, reader_network, write_bundle


def openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def write_keys(folder: Path, name: str, algorithm: str = "ed25519") -> Path:
    """Writes a key pair; the public key goes to `trusted/`."""
    trusted = folder / "trusted"
    trusted.mkdir(exist_ok=True)
    key = folder / f"{name}.key"
    openssl("genpkey", "-algorithm", algorithm, "-out", key)
    openssl("pkey", "-in", key, "-pubout", "-out", trusted / f"{name}.pem")
    return key


def write_packed(
    folder: Path,
    key: Path,
    *,
    path: str = "-AA-B-11-2",
    name: str = "tiny",
    detector: bytes = b"",
    header: str = "version = 1",
) -> Path:
    """Packs a bundle that detects a plate in every image and reads it by this CTC path."""
    made = folder / f"{name}-bundle"
    write_bundle(made, detector or detector_network([(32, 16, 20, 8, 0.9)]), reader_network(path))
    text = (made / "bundle.toml").read_text()
    (made / "bundle.toml").write_text(text.replace('"tiny"', f'"{name}"\n{header}'))
    image = folder / "street.png"
    cv2.imwrite(str(image), np.full((64, 128, 3), 90, np.uint8))
    archive = folder / f"{name}.tar"
    plate = "".join(
        after for before, after in zip("-" + path, path, strict=False) if after not in ("-", before)
    )
    pack_bundle(made, [(image, plate)], key=key, out=archive)
    return archive
