"""Who made a file: detached Ed25519 signatures over all its bytes (RFC 8032), as openssl has them.

Keys are in PEM, as of `openssl genpkey -algorithm ed25519`.
"""

from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from plateid.errors import BundleError

SUFFIX = ".sig"
SIGNATURE_BYTES = 64


def sign(data: bytes, key_file: Path) -> bytes:
    """The signature of `data` by a private key without a password.

    Raises:
        BundleError: The key cannot be read, or is of another kind.
    """
    try:
        key = load_pem_private_key(key_file.read_bytes(), password=None)
    except OSError as error:
        raise BundleError(key_file, error.strerror) from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BundleError(key_file, "no private key in PEM form without a password") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise BundleError(key_file, "not an Ed25519 key")
    return key.sign(data)


def check_signature(name: str, data: bytes, signature: bytes, keys: Path) -> Path:
    """The key file, of those in a folder, whose owner has signed `data`.

    Args:
        name: Of what was signed, for error messages.
        data: All of it.
        signature: 64 bytes.
        keys: Folder of trusted public keys, *.pem.

    Raises:
        BundleError: Nobody of them has signed exactly this, nobody is trusted, or a key is none.
    """
    trusted = sorted(keys.glob("*.pem"))
    if not trusted:
        raise BundleError(keys, "holds no key that is trusted (*.pem): nothing can be installed")
    if len(signature) != SIGNATURE_BYTES:
        raise BundleError(f"{name}{SUFFIX}", f"is no signature: {len(signature)} bytes, not 64")
    for file in trusted:
        try:
            public_key(file).verify(signature, data)
        except InvalidSignature:
            continue
        return file
    raise BundleError(name, f"is not signed by a key of {keys}, or was altered or cut off")


def public_key(file: Path) -> Ed25519PublicKey:
    """The key of a PEM file.

    Raises:
        BundleError: It holds none of this kind.
    """
    try:
        key = load_pem_public_key(file.read_bytes())
    except OSError as error:
        raise BundleError(file, error.strerror) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BundleError(file, "no public key in PEM form") from error
    if not isinstance(key, Ed25519PublicKey):
        raise BundleError(file, "not an Ed25519 key")
    return key
