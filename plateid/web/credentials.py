"""The credentials file: hashes of the web UI's passwords and of the API token."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from plateid.config.service import WebConfig
from plateid.errors import ConfigError, StoreError, os_errors_as
from plateid.files import replace_text

Role = Literal["admin", "viewer"]
ROLES: tuple[Role, ...] = ("admin", "viewer")
HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
"""Argon2id with the parameters of OWASP's Password Storage Cheat Sheet: 19 MiB, two passes."""
UNSET = f"$argon2id$v=19$m=19456,t=2,p=1${'A' * 22}${'A' * 43}"
"""Hash that is compared instead of one that is not set, so that both take the same time."""
MIN_LENGTH, MAX_LENGTH = 8, 256
"""Length of a password, characters: the minimum of NIST SP 800-63B; a bound for the hash."""


@dataclass(frozen=True)
class Credentials:
    """The content of the file: hashes only.

    Attributes:
        admin, viewer: Argon2 hashes of the passwords; empty if none is set.
        token: SHA-256 of the JSON API's token, hexadecimal.
    """

    admin: str = ""
    viewer: str = ""
    token: str = ""

    def role_of(self, password: str, roles: Sequence[Role] = ROLES) -> Role | None:
        """Returns the one of some roles that has this password.

        It takes a core and 19 MiB for a while. The time depends neither on the role that matches
        nor on whether its password is set.
        """
        found = [role for role in roles if _matches(getattr(self, role), password)]
        return found[0] if found else None


def credentials_file(store: Path) -> Path:
    """Returns the path of the file, which is next to the store."""
    return store.with_name(f"{store.name}.web")


def read_credentials(file: Path) -> Credentials:
    """Reads the file; a missing file holds no credentials. Raises StoreError."""
    try:
        values = json.loads(file.read_text())
        return Credentials(**{key: str(value) for key, value in values.items()})
    except FileNotFoundError:
        return Credentials()
    except OSError as error:
        raise StoreError(file, error.strerror) from error
    except (ValueError, TypeError, AttributeError) as error:
        reason = "is not a credentials file: delete it and set the password again"
        raise StoreError(file, reason) from error


def write_credentials(file: Path, credentials: Credentials) -> None:
    """Replaces the file. Only the owner of its folder, who runs the service, can read it.

    Raises StoreError if that fails; the old file stays.
    """
    with os_errors_as(StoreError, file):
        file.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(vars(credentials))
        replace_text(file, text, mode=0o600, first=_give_to_owner_of_folder)


def _give_to_owner_of_folder(file: Path) -> None:
    if os.geteuid() == 0:
        owner = file.parent.stat()
        os.chown(file, owner.st_uid, owner.st_gid, follow_symlinks=False)


def require_password(web: WebConfig, credentials: Credentials) -> None:
    """Raises ConfigError if other hosts can reach the web UI without a password."""
    if web.needs_password and not credentials.admin:
        raise ConfigError("web.host", f"{web.host} needs a password: plateid web set-password")


def hash_password(password: str) -> str:
    """Returns the Argon2 hash of a password; raises ValueError if it is too short or too long."""
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise ValueError(f"a password has {MIN_LENGTH} to {MAX_LENGTH} characters")
    return HASHER.hash(password)


def hash_token(token: str) -> str:
    """Returns the SHA-256 of a token; a fast hash is enough for 256 random bits."""
    return hashlib.sha256(token.encode()).hexdigest()


def _matches(known: str, password: str) -> bool:
    try:
        is_equal = len(password) <= MAX_LENGTH and HASHER.verify(known or UNSET, password)
        return is_equal and bool(known)
    except (VerifyMismatchError, InvalidHashError):
        return False
