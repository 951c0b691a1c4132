"""The pages "People" and "Changes": users, tokens and sessions, and the audit log."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from plateid.core.event_csv import csv_lines
from plateid.core.records import rfc3339
from plateid.store.audit_log import COLUMNS, AuditLog
from plateid.web.access import Access
from plateid.web.credentials import (
    ROLES,
    TOKEN_SCOPES,
    Credentials,
    Token,
    User,
    hash_password,
    hash_token,
    write_credentials,
)
from plateid.web.error_pages import client_address, log_change
from plateid.web.guard import read_change
from plateid.web.site import download, page, site_of
from plateid.web.throttle import LoginError

MAX_ROWS = 200
"""Maximum number of changes that the page shows."""


@dataclass(frozen=True)
class PeopleChange:
    """What was done to whom, with the permissions before and after; a new token is shown once."""

    done: str
    name: str
    before: str = ""
    after: str = ""
    token: str = ""


def show(request: Request, *, problem: str = "", token: str = "") -> Response:
    """Shows users, tokens and sessions."""
    access = site_of(request).access
    sessions = access.sessions()
    return page(
        request,
        "people.html",
        users=access.credentials.users,
        tokens=access.credentials.tokens,
        sessions=sessions,
        since={key: rfc3339(datetime.fromtimestamp(s.since, UTC)) for key, s in sessions.items()},
        roles=ROLES,
        scopes=TOKEN_SCOPES,
        problem=problem,
        token=token,
    )


async def change(request: Request) -> Response:
    """Changes users and tokens, or ends a session."""
    access, form = site_of(request).access, await read_change(request)
    try:  # in the queue: hashing takes 19 MiB, and no other change comes between
        changed = await access.queue.run(lambda: _change(access, form), client_address(request))
    except LoginError as error:
        raise HTTPException(503, f"too many logins: try again in {error.wait_s} s") from error
    except ValueError as error:
        return show(request, problem=str(error))
    await run_in_threadpool(
        log_change,
        request,
        changed.done,
        name=changed.name,
        before=changed.before,
        after=changed.after,
    )
    if changed.token:
        return show(request, token=changed.token)
    return RedirectResponse("/people", 303)


def _change(access: Access, form: Mapping[str, str]) -> PeopleChange:
    known, name, token = access.credentials, form.get("name", "").strip(), ""
    match form.get("do"):
        case "user":
            done, wanted = "user saved", known.with_user(name, _user(known, name, form))
        case "remove":
            done, wanted = "user removed", known.with_user(name, None)
        case "token":
            token = secrets.token_urlsafe(32)
            done, wanted = "token created", known.with_token(name, _token(token, form))
        case "withdraw":
            done, wanted = "token withdrawn", known.with_token(name, None)
        case "end":
            if (session := access.end(form.get("session", ""))) is None:
                raise ValueError("This session has ended already.")
            return PeopleChange("session ended", session.user)
        case _:
            raise ValueError("do: must be user, remove, token, withdraw or end")
    if done.startswith("user") and not wanted.has_admin:
        raise ValueError("One user must be an admin.")
    write_credentials(access.file, wanted)
    return PeopleChange(done, name, _permissions(known, name), _permissions(wanted, name), token)


def _user(known: Credentials, name: str, form: Mapping[str, str]) -> User:
    before = known.users.get(name)
    role = next((each for each in ROLES if each == form.get("role")), None)
    if role is None:
        raise ValueError(f"role: must be one of {', '.join(ROLES)}")
    if before is None and not form.get("password"):
        raise ValueError("A new user needs a password.")
    password, sites = form.get("password", ""), tuple(form.get("sites", "").split())
    if role == "admin" and sites:
        raise ValueError("sites: an admin has all sites.")
    hashed = before.password if before and not password else hash_password(password)
    return User(role, hashed, sites)


def _token(token: str, form: Mapping[str, str]) -> Token:
    scopes = tuple(scope for scope in TOKEN_SCOPES if form.get(scope))
    if not scopes:
        raise ValueError("A token needs a scope.")
    expires, sites = form.get("expires", "").strip(), tuple(form.get("sites", "").split())
    try:
        day = date.fromisoformat(expires) if expires else None
        return Token(hash_token(token), scopes, day, sites)
    except ValueError as error:
        raise ValueError("expires: must be a day, such as 2026-12-31") from error


def _permissions(known: Credentials, name: str) -> str:
    """Describes the user and the token of a name; a new password has another version."""
    texts = []
    if user := known.users.get(name):
        sites = f" at {' '.join(user.sites)}" if user.sites else ""
        texts.append(f"{user.role}{sites}, password version {hash_token(user.password)[:8]}")
    if token := known.tokens.get(name):
        sites = f" at {' '.join(token.sites)}" if token.sites else ""
        scopes, day = " ".join(token.scopes), token.expires or "never"
        texts.append(f"token: {scopes}{sites}, expires {day}")
    return "; ".join(texts)


def changes(request: Request) -> Response:
    """Shows the newest entries of the audit log that contain a text."""
    wanted = request.query_params.get("q", "").strip()
    found = AuditLog(site_of(request).config.store.path).find(wanted)
    count = len(found)
    return page(request, "changes.html", wanted=wanted, found=found[:MAX_ROWS], count=count)


def changes_csv(request: Request) -> Response:
    """Exports these entries, all of them."""
    found = AuditLog(site_of(request).config.store.path).find(request.query_params.get("q", ""))
    rows = csv_lines([COLUMNS, *(entry.values() for entry in found)])
    return download(rows, "text/csv", "changes.csv")
