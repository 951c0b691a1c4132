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
    SHARED,
    Credentials,
    Role,
    Scope,
    User,
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
    """The session of one browser, or of all requests with a token.

    `user` is a name, or the role whose password users share; a token is a viewer with `scopes`.
    `since` is in seconds since the epoch, `until` on the monotonic clock. Each form sends `csrf`.
    Another `password_hash` of the account ends the session.
    """

    role: Role
    user: str = "admin"
    scopes: frozenset[Scope] | None = None
    address: str = ""
    since: float = 0.0
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    password_hash: str = ""
    until: float = float("inf")
    sites: tuple[str, ...] = ()

    @property
    def is_personal(self) -> bool:
        """Whether it belongs to one browser; without a password, all users share a session."""
        return bool(self.password_hash)

    def can(self, *scopes: Scope) -> bool:
        """Returns whether it has one of some scopes."""
        own = ROLES[self.role] if self.scopes is None else self.scopes
        return not own.isdisjoint(scopes)


class Access:
    """Decides which requests have access. Thread-safe.

    Each decision checks `file`, so that a new password is valid at once. `queue` runs `log_in` for
    the pages. With the set-up `code`, if there is one, a user sets the first password.
    """

    def __init__(self, file: Path, *, needs_password: bool) -> None:
        """Without `needs_password`, everyone is admin until a password is set."""
        self.file = file
        self.queue = LoginQueue()
        self.code = self.ingress = ""
        self._throttle = LoginThrottle()
        self._needs_password = needs_password
        self._open_session = LoginSession("admin")
        self._sessions: dict[str, LoginSession] = {}
        self._lock = threading.Lock()
        self._cached: tuple[tuple[int, int], Credentials] | None = None

    @property
    def credentials(self) -> Credentials:
        """The present credentials; raises as `read_credentials`."""
        try:
            found = self.file.stat()
        except FileNotFoundError:
            return Credentials()
        except OSError as error:
            raise StoreError(self.file, error.strerror) from error
        state = found.st_mtime_ns, found.st_ino
        if self._cached is None or self._cached[0] != state:
            self._cached = state, read_credentials(self.file)
        return self._cached[1]

    @property
    def is_open(self) -> bool:
        """Whether everyone has access without a password."""
        return not self._needs_password and not self.credentials.has_admin

    @property
    def needs_first_password(self) -> bool:
        """Whether there is no account yet: the set-up code sets the first password."""
        return bool(self.code) and not self.credentials.has_admin

    def session(self, cookie: str) -> LoginSession | None:
        """Returns the session of a cookie; None if the user must log in."""
        if self.is_open:
            return self._open_session
        with self._lock:
            session = self._sessions.get(hash_token(cookie))
        return session if session and self._is_valid(session) else None

    def _is_valid(self, session: LoginSession) -> bool:
        account = User(session.role, session.password_hash, session.sites)
        return (
            time.monotonic() <= session.until
            and self.credentials.users.get(session.user) == account
        )

    def sessions(self) -> dict[str, LoginSession]:
        """Returns the sessions that are valid, by an id that `end` takes."""
        with self._lock:
            known = dict(self._sessions)
        return {id_: session for id_, session in known.items() if self._is_valid(session)}

    def token_session(self, token: str) -> LoginSession | None:
        """Returns the session of a token of the JSON API; None if it is not valid."""
        digest = hash_token(token)
        for name, known in self.credentials.tokens.items():
            if hmac.compare_digest(digest, known.hash) and known.is_valid:
                session = LoginSession("viewer", f"token {name}", frozenset(known.scopes))
                return replace(session, csrf=digest, password_hash=digest, sites=known.sites)
        return None

    def log_in(self, password: str, address: str, user: str = "") -> tuple[str, LoginSession]:
        """Starts a session; returns its cookie and the session. One call at a time.

        Without a user name, the password is one that users share. A wrong one counts for each
        account that it was compared with, a right one clears the count of its own. Raises
        LoginError if no account has this password, or may be tried now.
        """
        credentials = self.credentials
        names = [user] if user else SHARED
        waits = {name: self._throttle.wait_s(name, address) for name in names}
        checked = [name for name, wait_s in waits.items() if wait_s <= 0]
        name = credentials.account_of(password, checked)
        if name is None:
            for each in checked:
                self._throttle.fail(each, address)
            raise LoginError(max(waits.values()))
        self._throttle.forgive(name, address)
        account = credentials.users[name]
        session = LoginSession(
            account.role,
            name,
            address=address,
            since=time.time(),
            password_hash=account.password,
            sites=account.sites,
            until=time.monotonic() + SESSION_S,
        )
        return self._add(session), session

    def set_first_password(self, code: str, password: str, address: str) -> None:
        """Sets the password of admins; LoginError: wrong code, ValueError: bad password."""
        if (wait_s := self._throttle.wait_s("set-up", address)) > 0:
            raise LoginError(wait_s)
        if self.code and not hmac.compare_digest(code.encode(), self.code.encode()):
            self._throttle.fail("set-up", address)
            raise LoginError
        if self.credentials.has_admin:
            raise ValueError("a password is set already")
        admin = User("admin", hash_password(password))
        write_credentials(self.file, self.credentials.with_user("admin", admin))

    def change_password(self, user: str, old: str, new: str, address: str) -> None:
        """Sets another password of a user; raises as `log_in` and `hash_password`."""
        hashed = hash_password(new)
        _, session = self.log_in(old, address, user)
        changed = self.credentials.with_user(user, User(session.role, hashed, session.sites))
        write_credentials(self.file, changed)

    def _add(self, session: LoginSession) -> str:
        cookie = secrets.token_urlsafe(32)
        with self._lock:
            self._sessions[hash_token(cookie)] = session
            own = [each for each, other in self._sessions.items() if other.user == session.user]
            if len(own) > MAX_SESSIONS:
                del self._sessions[own[0]]
        return cookie

    def log_out(self, cookie: str) -> None:
        """Ends the session of a cookie."""
        self.end(hash_token(cookie))

    def end(self, session_id: str) -> LoginSession | None:
        """Ends a session; returns None if there is no such session."""
        with self._lock:
            return self._sessions.pop(session_id, None)
