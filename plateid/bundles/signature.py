"""Detached Ed25519 signatures (RFC 8032) of files, compatible with openssl.

Keys are PEM files, as `openssl genpkey -algorithm ed25519` writes them.
"""

from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from plateid.errors import BundleError, errors_as, os_errors_as
from plateid.models.bundle import bundle_file

SUFFIX = ".sig"
SIGNATURE_BYTES = 64


def sign(data: bytes, key_file: Path) -> bytes:
    """Signs data with an Ed25519 private key, which must not be encrypted."""
    try:
        with os_errors_as(BundleError, key_file):
            key = load_pem_private_key(key_file.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BundleError(key_file, "no private key in PEM form without a password") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise BundleError(key_file, "not an Ed25519 key")
    return key.sign(data)


def check_signature(name: str, data: bytes, signature: bytes, keys: Path) -> Path:
    """Verifies a signature and returns the file of the trusted key (*.pem in `keys`) that made it.

    Raises BundleError with the name of the signed file if no trusted key signed it.
    """
    trusted = sorted(keys.glob("*.pem"))
    if not trusted:
        raise BundleError(keys, "holds no trusted key (*.pem): nothing can be installed")
    if len(signature) != SIGNATURE_BYTES:
        raise BundleError(f"{name}{SUFFIX}", f"is not a signature: {len(signature)} bytes, not 64")
    for file in trusted:
        try:
            public_key(file).verify(signature, data)
        except InvalidSignature:
            continue
        return file
    raise BundleError(name, f"is not signed by a key of {keys}, or was altered or truncated")


def public_key(file: Path) -> Ed25519PublicKey:
    """Reads an Ed25519 public key from a PEM file; raises BundleError if it holds none."""
    reason = "no public key in PEM form"
    with errors_as(BundleError, file, ValueError, UnsupportedAlgorithm, reason=reason):
        key = load_pem_public_key(bundle_file(file))
    if not isinstance(key, Ed25519PublicKey):
        raise BundleError(file, "not an Ed25519 key")
    return key
