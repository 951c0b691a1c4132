"""Who may see the page, and who may change things: passwords, tokens, sessions, and their file."""

import hashlib
import hmac
import json
import os
import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from plateid.config.service import WebConfig
from plateid.errors import ConfigError, StoreError
from plateid.files import replace_text

Role = Literal["admin", "viewer"]
ROLES: tuple[Role, ...] = ("admin", "viewer")
HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
"""Argon2id as OWASP's Password Storage Cheat Sheet has it: 19 MiB, two passes."""
MIN_LENGTH = 8
MAX_LENGTH = 256
SESSION_S = 12 * 3600.0
MAX_SESSIONS = 256
FAILURES = 5
"""Wrong passwords that an address may try, and then one more each RETRY_S."""
RETRY_S = 60.0
MAX_ADDRESSES = 4096
MAX_CHECKS = 60
"""Passwords of all addresses that are checked within RETRY_S: a check takes a core's time."""


@dataclass(frozen=True)
class Keys:
    """What the file holds: nothing that opens anything by itself.

    Attributes:
        admin, viewer: Argon2 hashes of passwords; empty: there is none.
        token: SHA-256 of the token of the JSON API, hexadecimal.
    """

    admin: str = ""
    viewer: str = ""
    token: str = ""


@dataclass(frozen=True)
class Session:
    """One browser that has logged in.

    Attributes:
        role: What it may do.
        csrf: What each of its forms has to bring along.
        key: The hash of the password that it knew: another password ends the session.
        until: On the monotonic clock.
    """

    role: Role
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    key: str = ""
    until: float = float("inf")


def key_file(store: Path) -> Path:
    """Where the keys of a box are: beside its store."""
    return store.with_name(f"{store.name}.web")


def read_keys(file: Path) -> Keys:
    """The keys of a file; none where there is no file.

    Raises:
        StoreError: It cannot be read, or holds something else.
    """
    try:
        return Keys(**{key: str(value) for key, value in json.loads(file.read_text()).items()})
    except FileNotFoundError:
        return Keys()
    except OSError as error:
        raise StoreError(file, error.strerror) from error
    except (ValueError, TypeError, AttributeError) as error:
        raise StoreError(file, "holds no keys: delete it, and set the password anew") from error


def write_keys(file: Path, keys: Keys) -> None:
    """Replaces the file; it is readable for the owner of its folder only, who runs the service.

    Raises:
        StoreError: It cannot be written; the old one stays.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_text(file, json.dumps(vars(keys)), mode=0o600, first=_give_to_owner_of_folder)
    except OSError as error:
        raise StoreError(file, error.strerror) from error


def _give_to_owner_of_folder(file: Path) -> None:
    if os.geteuid() == 0:
        owner = file.parent.stat()
        os.chown(file, owner.st_uid, owner.st_gid, follow_symlinks=False)


def check_password(web: WebConfig, keys: Keys) -> None:
    """Whoever else could reach the page needs a password.

    Raises:
        ConfigError: There is none.
    """
    if web.needs_password and not keys.admin:
        raise ConfigError("web.host", f"{web.host} needs a password: plateid web set-password")


def hashed(password: str) -> str:
    """The Argon2 hash of a password.

    Raises:
        ValueError: It is too short or too long.
    """
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise ValueError(f"a password has {MIN_LENGTH} to {MAX_LENGTH} characters")
    return HASHER.hash(password)


def token_hash(token: str) -> str:
    """SHA-256 is enough for 256 random bits."""
    return hashlib.sha256(token.encode()).hexdigest()


class Access:
    """Decides who is who. May be used from any thread.

    Attributes:
        file: Where the keys are; looked at again for each decision, so that a new password counts
            at once.
    """

    def __init__(self, file: Path, *, needs_password: bool) -> None:
        """Without `needs_password`, whoever gets here is the owner while no password is set."""
        self.file = file
        self._needs_password = needs_password
        self._open = Session("admin")
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._checks: list[float] = []
        self._lock = threading.Lock()
        self._checking = threading.Lock()
        self._cached: tuple[int, Keys] | None = None

    @property
    def keys(self) -> Keys:
        """The present ones; raises as `read_keys`."""
        try:
            changed = self.file.stat().st_mtime_ns
        except FileNotFoundError:
            return Keys()
        except OSError as error:
            raise StoreError(self.file, error.strerror) from error
        if self._cached is None or self._cached[0] != changed:
            self._cached = changed, read_keys(self.file)
        return self._cached[1]

    @property
    def is_open(self) -> bool:
        """Whether no password is asked for."""
        return not self._needs_password and not self.keys.admin

    def session(self, cookie: str) -> Session | None:
        """Of a browser; None where it has to log in."""
        if self.is_open:
            return self._open
        with self._lock:
            session = self._sessions.get(cookie)
        if session is None or time.monotonic() > session.until:
            return None
        current = getattr(self.keys, session.role)
        return session if current and hmac.compare_digest(session.key, current) else None

    def knows_token(self, token: str) -> bool:
        """Whether it is that of the JSON API."""
        known = self.keys.token
        return bool(known) and hmac.compare_digest(token_hash(token), known)

    def log_in(self, password: str, address: str) -> str | None:
        """The cookie of a new session; None where no role has this password."""
        keys = self.keys
        with self._checking:  # one at a time: each takes 19 MiB and a core
            role = next((role for role in ROLES if _fits(getattr(keys, role), password)), None)
        if role is None:
            return None
        cookie = secrets.token_urlsafe(32)
        until = time.monotonic() + SESSION_S
        with self._lock:
            self._failures.pop(address, None)
            self._sessions[cookie] = Session(role, key=getattr(keys, role), until=until)
            while len(self._sessions) > MAX_SESSIONS:
                self._sessions.popitem(last=False)
        return cookie

    def log_out(self, cookie: str) -> None:
        """Ends a session."""
        with self._lock:
            self._sessions.pop(cookie, None)

    def wait_s(self, address: str) -> float:
        """How long an address has to wait before its next password is looked at.

        Where that is now, it counts as a wrong one until it turns out to be right: whoever sends
        many at once tries no more of them.
        """
        now = time.monotonic()
        with self._lock:
            self._checks = [at for at in self._checks if now - at < RETRY_S]
            if len(self._checks) >= MAX_CHECKS:
                return RETRY_S - (now - self._checks[0])
            at, count = self._failures.get(address, (0.0, 0))
            if count >= FAILURES and now < at + RETRY_S:
                return at + RETRY_S - now
            self._checks.append(now)
            self._failures[address] = now, count + 1
            self._failures.move_to_end(address)
            while len(self._failures) > MAX_ADDRESSES:
                self._failures.popitem(last=False)
            return 0.0


def _fits(known: str, password: str) -> bool:
    try:
        return bool(known) and len(password) <= MAX_LENGTH and HASHER.verify(known, password)
    except (VerifyMismatchError, InvalidHashError):
        return False
