"""Login sessions of the web UI, and API tokens."""

import hmac
import secrets
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from plateid.errors import StoreError
from plateid.web.credentials import (
    ROLES,
    Credentials,
    Role,
    hash_password,
    hash_token,
    read_credentials,
    write_credentials,
)
from plateid.web.throttle import LoginError, LoginQueue, LoginThrottle

SESSION_S = 12 * 3600.0
"""Lifetime of a session, seconds."""
MAX_SESSIONS = 128
"""Maximum number of sessions of an account; a new one ends the oldest."""


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

    @property
    def is_personal(self) -> bool:
        """Whether it belongs to one browser; without a password, all users share a session."""
        return bool(self.password_hash)


class Access:
    """Decides which requests have access. Thread-safe.

    Attributes:
        file: The credentials file; each decision checks it for changes, so that a new password is
            valid at once.
        queue: Runs `log_in` for the pages.
        code: The set-up code, with which a user sets the first password; empty: there is none.
    """

    def __init__(self, file: Path, *, needs_password: bool) -> None:
        """Without `needs_password`, everyone is admin until a password is set."""
        self.file = file
        self.queue = LoginQueue()
        self.code = ""
        self._throttle = LoginThrottle()
        self._needs_password = needs_password
        self._open_session = LoginSession("admin")
        self._sessions: dict[str, LoginSession] = {}
        self._lock = threading.Lock()
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

    @property
    def needs_first_password(self) -> bool:
        """Whether nobody has access yet: the set-up code sets the first password."""
        return bool(self.code) and not self.credentials.admin

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

    def log_in(self, password: str, address: str) -> tuple[str, LoginSession]:
        """Starts a session; returns its cookie and the session. One call at a time.

        A wrong password counts for each account that it was compared with; a right one clears the
        count of its own account. Raises LoginError if no account has this password, or may be
        tried now.
        """
        credentials = self.credentials
        waits = {role: self._throttle.wait_s(role, address) for role in ROLES}
        checked = [role for role, wait_s in waits.items() if wait_s <= 0]
        role = credentials.role_of(password, checked)
        if role is None:
            for each in checked:
                self._throttle.fail(each, address)
            raise LoginError(max(waits.values()))
        self._throttle.forgive(role, address)
        known, until = getattr(credentials, role), time.monotonic() + SESSION_S
        session = LoginSession(role, password_hash=known, until=until)
        return self._add(session), session

    def set_first_password(self, password: str, code: str, address: str) -> None:
        """Sets the password of admins; one call at a time.

        Raises LoginError if the code is wrong or may not be tried now, ValueError if there is a
        password, or if this one is too short or too long.
        """
        if (wait_s := self._throttle.wait_s("set-up", address)) > 0:
            raise LoginError(wait_s)
        if self.code and not hmac.compare_digest(code.encode(), self.code.encode()):
            self._throttle.fail("set-up", address)
            raise LoginError
        if self.credentials.admin:
            raise ValueError("a password is set already")
        write_credentials(self.file, replace(self.credentials, admin=hash_password(password)))

    def _add(self, session: LoginSession) -> str:
        cookie = secrets.token_urlsafe(32)
        with self._lock:
            self._sessions[cookie] = session
            own = [each for each, other in self._sessions.items() if other.role == session.role]
            if len(own) > MAX_SESSIONS:
                del self._sessions[own[0]]
        return cookie

    def log_out(self, cookie: str) -> None:
        """Ends a session."""
        with self._lock:
            self._sessions.pop(cookie, None)
