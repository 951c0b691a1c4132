"""Login and logout."""

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from plateid.web.error_pages import client_address, log_change, log_refusal
from plateid.web.guard import COOKIE, check_origin, read_form
from plateid.web.site import page, site_of
from plateid.web.throttle import LoginError

log = structlog.get_logger()


def login_page(request: Request) -> Response:
    """Shows the login form."""
    if site_of(request).access.is_open:
        return RedirectResponse("/", 303)
    return page(request, "login.html", problem="")


async def log_in(request: Request) -> Response:
    """Checks the password and starts a session."""
    check_origin(request)
    access, address = site_of(request).access, client_address(request)
    password = (await read_form(request)).get("password", "")
    try:
        cookie, session = await access.queue.run(lambda: access.log_in(password, address), address)
    except LoginError as error:
        return _refused(request, error.wait_s)
    log.info("logged in", account=session.role, address=address)
    response = RedirectResponse("/", 303)
    secure = request.scope["scheme"] == "https"
    response.set_cookie(COOKIE, cookie, httponly=True, samesite="strict", secure=secure)
    return response


def _refused(request: Request, wait_s: int) -> Response:
    """Answers a refused login. A wrong password has no account, so the log names the address."""
    if not wait_s:
        log.warning("wrong password", account="unknown", address=client_address(request))
        return page(request, "login.html", status=403, problem="Wrong password.")
    log_refusal(request, "login throttled", account="unknown")
    problem = f"Too many login attempts. Try again in {wait_s} s."
    response = page(request, "login.html", status=429, problem=problem)
    response.headers["Retry-After"] = str(wait_s)
    return response


async def log_out(request: Request) -> Response:
    """Ends the session."""
    await read_form(request)
    if request.state.session:
        log_change(request, "logged out")
    site_of(request).access.log_out(request.cookies.get(COOKIE, ""))
    response = RedirectResponse("/login", 303)
    response.delete_cookie(COOKIE)
    return response
