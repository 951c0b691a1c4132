"""The credentials file: users, roles and API tokens of the web UI, with hashes of their secrets."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from typing import Literal, TypeVar, get_args

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from pydantic import ConfigDict, TypeAdapter

from plateid.config.service import WebConfig
from plateid.errors import ConfigError, StoreError, os_errors_as
from plateid.files import give_to_owner_of_folder, replace_text

Value = TypeVar("Value")
Role = Literal["admin", "operator", "viewer"]
Scope = Literal[
    "read_events",
    "read_images",
    "write_lists",
    "install_models",
    "post_events",
    "review",
    "admin",
    "device",
]
"""A permission. `routes.Route` names those of which a request needs one."""
TOKEN_SCOPES: tuple[Scope, ...] = get_args(Scope)[:5]
"""Scopes that a token can have."""
ROLES: Mapping[Role, frozenset[Scope]] = {
    "viewer": frozenset(("read_events", "read_images")),
    "operator": frozenset(("read_events", "read_images", "write_lists", "review")),
    "admin": frozenset((*TOKEN_SCOPES, "review", "admin")),
}
"""Scopes of each role."""
SHARED: tuple[Role, ...] = ("admin", "viewer")
"""Accounts without a user name: everyone who knows the password shares them."""
NAME = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
"""Form of the name of a user or a token."""
HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
"""Argon2id with the parameters of OWASP's Password Storage Cheat Sheet: 19 MiB, two passes."""
UNSET = f"$argon2id$v=19$m=19456,t=2,p=1${'A' * 22}${'A' * 43}"
"""Hash that is compared instead of one that is not set, so that both take the same time."""
MIN_LENGTH, MAX_LENGTH = 8, 256
"""Length of a password, characters: the minimum of NIST SP 800-63B; a bound for the hash."""


@dataclass(frozen=True)
class User:
    """A user, with the Argon2 hash of the password; on a hub of some `sites` only, if any."""

    role: Role
    password: str
    sites: tuple[str, ...] = ()


@dataclass(frozen=True)
class Token:
    """A token of the JSON API: its SHA-256, hexadecimal, its last day, and `sites` as of a user."""

    hash: str
    scopes: tuple[Scope, ...] = ("read_events", "read_images")
    expires: date | None = None
    sites: tuple[str, ...] = ()

    @property
    def is_valid(self) -> bool:
        """Whether it has not expired."""
        return self.expires is None or datetime.now().astimezone().date() <= self.expires


@dataclass(frozen=True)
class Credentials:
    """Users and tokens by name, with hashes; users of `SHARED` are passwords that several share."""

    __pydantic_config__ = ConfigDict(extra="forbid")
    users: Mapping[str, User] = field(default_factory=dict)
    tokens: Mapping[str, Token] = field(default_factory=dict)

    @property
    def named(self) -> dict[str, User]:
        """The users other than the shared passwords."""
        return {name: user for name, user in self.users.items() if name not in SHARED}

    @property
    def has_admin(self) -> bool:
        """Whether anyone can log in as admin."""
        return any(user.role == "admin" for user in self.users.values())

    def account_of(self, password: str, names: Iterable[str] = SHARED) -> str | None:
        """Returns the one of some accounts that has this password.

        It takes a core and 19 MiB for a while. The time depends neither on the account that
        matches nor on whether its password is set.
        """
        known = self.users
        hashes = {name: known[name].password if name in known else "" for name in names}
        found = [name for name, hashed in hashes.items() if _matches(hashed, password)]
        return found[0] if found else None

    def with_user(self, name: str, user: User | None) -> "Credentials":
        """Returns a copy with a user set or removed; ValueError: wrong name or role."""
        _check_name(name)
        if name in SHARED and user is not None and user.role != name:
            raise ValueError(f"{name} is the account with the role {name}")
        return replace(self, users=_with(self.users, name, user))

    def with_token(self, name: str, token: Token | None) -> "Credentials":
        """Returns a copy with a token added or replaced, or without it; raises as `with_user`."""
        _check_name(name)
        return replace(self, tokens=_with(self.tokens, name, token))


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise ValueError("a name has 1 to 64 letters, digits, or characters of _.@-")


def _with(known: Mapping[str, Value], name: str, value: Value | None) -> dict[str, Value]:
    others = {key: each for key, each in known.items() if key != name}
    return others if value is None else others | {name: value}


FILE: TypeAdapter[Credentials] = TypeAdapter(Credentials)
"""Converts the JSON of the file."""


def credentials_file(store: Path, web: WebConfig | None = None) -> Path:
    """Returns the path of the file, which is next to the store unless `[web]` says another."""
    return (web and web.users_file) or store.with_name(f"{store.name}.web")


def read_credentials(file: Path) -> Credentials:
    """Reads the file; a missing file holds no credentials. Raises StoreError."""
    try:
        return FILE.validate_json(file.read_bytes())
    except FileNotFoundError:
        return Credentials()
    except OSError as error:
        raise StoreError(file, error.strerror) from error
    except ValueError as error:
        reason = "is not a credentials file: delete it and set the password again"
        raise StoreError(file, reason) from error


def write_credentials(file: Path, credentials: Credentials) -> None:
    """Replaces the file, which only the owner of its folder, the service, can read; StoreError."""
    with os_errors_as(StoreError, file):
        file.parent.mkdir(parents=True, exist_ok=True)
        text = FILE.dump_json(credentials).decode()
        replace_text(file, text, mode=0o600, first=give_to_owner_of_folder)


def require_password(web: WebConfig, credentials: Credentials) -> None:
    """Raises ConfigError if other hosts can reach the web UI without a password."""
    if web.needs_password and not credentials.has_admin:
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
