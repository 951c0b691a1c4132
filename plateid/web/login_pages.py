"""Login and logout."""

import functools
from collections.abc import Callable

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from plateid.web.error_pages import client_address, log_change, log_refusal
from plateid.web.guard import COOKIE, check_origin, read_change, read_form
from plateid.web.site import page, site_of
from plateid.web.throttle import LoginError

SHARED_USER = "plateid"
"""User name under which browsers store a shared password."""
MAX_USER = 64
"""Maximum length of a user name, characters."""
log = structlog.get_logger()


def login_page(request: Request) -> Response:
    """Shows the login form, or the form of the first password."""
    if site_of(request).access.is_open and request.scope["path"] == "/login":
        return RedirectResponse("/", 303)
    return page(request, "login.html", problem="")


async def set_password(request: Request) -> Response:
    """Sets the first password: with the set-up code, or from this device without a password."""
    check_origin(request)
    access = site_of(request).access
    form = await (read_change if access.is_open else read_form)(request)
    if not (access.is_open or access.needs_first_password):
        raise HTTPException(403, "a password is set: plateid web set-password changes it")
    first = functools.partial(access.set_first_password, form.get("code", "").strip().upper())
    return await _set(request, form, first, "")


async def change_password(request: Request) -> Response:
    """Changes the own password of a user; the other sessions of the user end."""
    access, user = site_of(request).access, request.state.session.user
    form = await read_change(request)
    if user not in access.credentials.named:
        raise HTTPException(403, "an admin changes shared passwords on the page People")
    change = functools.partial(access.change_password, user, form.get("old", ""))
    return await _set(request, form, change, user)


async def _set(
    request: Request, form: dict[str, str], save: Callable[[str, str], None], user: str
) -> Response:
    """Saves the password of a form with `save`, which also gets the address, and logs in."""
    access, address = site_of(request).access, client_address(request)
    new = form.get("password", "")
    if new != form.get("repeated"):
        return page(request, "login.html", problem="The passwords differ.")
    try:
        await access.queue.run(lambda: save(new, address), address)
    except LoginError as error:
        return _refused(request, error.wait_s, f"Wrong {'password' if user else 'set-up code'}.")
    except ValueError as error:
        return page(request, "login.html", problem=str(error).capitalize())
    if user:
        await run_in_threadpool(log_change, request, "own password changed", name=user)
    else:
        log.info("first password set", address=address)
    return await _logged_in(request, new, user)


async def log_in(request: Request) -> Response:
    """Checks the password and starts a session."""
    check_origin(request)
    form = await read_form(request)
    user = form.get("user", "").strip()[:MAX_USER]
    password = form.get("password", "")
    return await _logged_in(request, password, "" if user == SHARED_USER else user)


async def _logged_in(request: Request, password: str, user: str = "") -> Response:
    access, address = site_of(request).access, client_address(request)
    try:
        cookie, session = await access.queue.run(
            lambda: access.log_in(password, address, user), address
        )
    except LoginError as error:
        return _refused(request, error.wait_s, "Wrong password.")
    log.info("logged in", account=session.user, address=address)
    response = RedirectResponse("/", 303)
    secure = request.scope["scheme"] == "https"
    response.set_cookie(COOKIE, cookie, httponly=True, samesite="strict", secure=secure)
    return response


def _refused(request: Request, wait_s: int, wrong: str) -> Response:
    """Answers a refused login. A wrong password has no account, so the log names the address."""
    if not wait_s:
        log.warning("wrong password", account="unknown", address=client_address(request))
        return page(request, "login.html", status=403, problem=wrong)
    log_refusal(request, "login throttled", account="unknown")
    problem = f"Too many login attempts. Try again in {wait_s} s."
    response = page(request, "login.html", status=429, problem=problem)
    response.headers["Retry-After"] = str(wait_s)
    return response


async def log_out(request: Request) -> Response:
    """Ends the session."""
    await read_form(request)
    if request.state.session:
        account, address = request.state.session.user, client_address(request)
        log.info("logged out", account=account, address=address)
    site_of(request).access.log_out(request.cookies.get(COOKIE, ""))
    response = RedirectResponse("/login", 303)
    response.delete_cookie(COOKIE)
    return response
