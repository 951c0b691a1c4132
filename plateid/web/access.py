"""Login sessions of the web UI, API tokens, and the throttling of login attempts."""

import hmac
import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

from plateid.errors import StoreError
from plateid.web.credentials import Credentials, Role, hash_token, read_credentials

SESSION_S = 12 * 3600.0
"""Lifetime of a session, seconds."""
MAX_SESSIONS = 256
"""Maximum number of sessions; a new one ends the oldest."""
FREE_ATTEMPTS = 5
"""Wrong passwords that an address may try without waiting."""
RETRY_S = 60.0
"""Wait between two attempts after that, seconds."""
MAX_ADDRESSES = 4096
"""Maximum number of addresses whose failed attempts are remembered."""
MAX_CHECKS = 60
"""Maximum number of password checks within `RETRY_S` for all addresses; each occupies a core."""


@dataclass(frozen=True)
class LoginSession:
    """The session of one browser.

    Attributes:
        role: The role of the user.
        csrf: The token that each form of this session must send.
        password_hash: Hash of the password of the login; a new password ends the session.
        until: End of the session on the monotonic clock.
    """

    role: Role
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    password_hash: str = ""
    until: float = float("inf")


class LoginThrottle:
    """Limits password checks per address and in total. Thread-safe."""

    def __init__(self) -> None:
        self._attempts: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._checks: list[float] = []
        self._lock = threading.Lock()

    def wait_s(self, address: str) -> float:
        """Returns how long an address must wait; 0 allows one check and counts it as failed.

        `forgive` takes that back after a right password. Counting first means that parallel
        requests get no extra attempts.
        """
        now = time.monotonic()
        with self._lock:
            self._checks = [at for at in self._checks if now - at < RETRY_S]
            if len(self._checks) >= MAX_CHECKS:
                return RETRY_S - (now - self._checks[0])
            at, count = self._attempts.get(address, (0.0, 0))
            if count >= FREE_ATTEMPTS and now < at + RETRY_S:
                return at + RETRY_S - now
            self._checks.append(now)
            self._attempts[address] = now, count + 1
            self._attempts.move_to_end(address)
            while len(self._attempts) > MAX_ADDRESSES:
                self._attempts.popitem(last=False)
            return 0.0

    def forgive(self, address: str) -> None:
        """Forgets the failed attempts of an address."""
        with self._lock:
            self._attempts.pop(address, None)


class Access:
    """Decides which requests have access. Thread-safe.

    Attributes:
        file: The credentials file; each decision checks it for changes, so that a new password is
            valid at once.
        throttle: Limits login attempts.
    """

    def __init__(self, file: Path, *, needs_password: bool) -> None:
        """Without `needs_password`, everyone is admin until a password is set."""
        self.file = file
        self.throttle = LoginThrottle()
        self._needs_password = needs_password
        self._open_session = LoginSession("admin")
        self._sessions: OrderedDict[str, LoginSession] = OrderedDict()
        self._lock = threading.Lock()
        self._checking = threading.Lock()
        self._cached: tuple[int, Credentials] | None = None

    @property
    def credentials(self) -> Credentials:
        """The present credentials; raises as `read_credentials`."""
        try:
            changed_ns = self.file.stat().st_mtime_ns
        except FileNotFoundError:
            return Credentials()
        except OSError as error:
            raise StoreError(self.file, error.strerror) from error
        if self._cached is None or self._cached[0] != changed_ns:
            self._cached = changed_ns, read_credentials(self.file)
        return self._cached[1]

    @property
    def is_open(self) -> bool:
        """Whether everyone has access without a password."""
        return not self._needs_password and not self.credentials.admin

    def session(self, cookie: str) -> LoginSession | None:
        """Returns the session of a cookie; None if the user must log in."""
        if self.is_open:
            return self._open_session
        with self._lock:
            session = self._sessions.get(cookie)
        if session is None or time.monotonic() > session.until:
            return None
        current = getattr(self.credentials, session.role)
        valid = current and hmac.compare_digest(session.password_hash, current)
        return session if valid else None

    def has_token(self, token: str) -> bool:
        """Whether this is the token of the JSON API."""
        known = self.credentials.token
        return bool(known) and hmac.compare_digest(hash_token(token), known)

    def log_in(self, password: str, address: str) -> str | None:
        """Starts a session and returns its cookie; None if the password is wrong."""
        credentials = self.credentials
        with self._checking:  # one at a time: each check takes 19 MiB and a core
            role = credentials.role_of(password)
        if role is None:
            return None
        self.throttle.forgive(address)
        cookie = secrets.token_urlsafe(32)
        until = time.monotonic() + SESSION_S
        session = LoginSession(role, password_hash=getattr(credentials, role), until=until)
        with self._lock:
            self._sessions[cookie] = session
            while len(self._sessions) > MAX_SESSIONS:
                self._sessions.popitem(last=False)
        return cookie

    def log_out(self, cookie: str) -> None:
        """Ends a session."""
        with self._lock:
            self._sessions.pop(cookie, None)
