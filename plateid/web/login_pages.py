"""Login and logout."""

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from plateid.web.error_pages import client_address
from plateid.web.guard import COOKIE, check_origin, read_form
from plateid.web.site import page, site_of

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
    form = await read_form(request)
    if (wait_s := access.throttle.wait_s(address)) > 0:
        problem = f"Too many wrong passwords. Try again in {wait_s:.0f} s."
        response = page(request, "login.html", status=429, problem=problem)
        response.headers["Retry-After"] = f"{wait_s:.0f}"
        return response
    cookie = await run_in_threadpool(access.log_in, form.get("password", ""), address)
    if cookie is None:
        log.warning("wrong password", address=address)
        return page(request, "login.html", status=403, problem="Wrong password.")
    response = RedirectResponse("/", 303)
    secure = request.scope["scheme"] == "https"
    response.set_cookie(COOKIE, cookie, httponly=True, samesite="strict", secure=secure)
    return response


async def log_out(request: Request) -> Response:
    """Ends the session."""
    await read_form(request)
    site_of(request).access.log_out(request.cookies.get(COOKIE, ""))
    response = RedirectResponse("/login", 303)
    response.delete_cookie(COOKIE)
    return response
