"""Which scope a request needs: each route of `routes.ROUTES` names it."""

from collections.abc import Callable
from typing import Any

from starlette import routing
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from plateid.web import credentials
from plateid.web.access import LoginSession


class Route(routing.Route):
    """A path that only sessions with one of some scopes may request.

    By default, one of `read_events` to read, and `admin` to change something.
    """

    def __init__(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *needs: credentials.Scope,
        methods: tuple[str, ...] | list[str] = ("GET",),
    ) -> None:
        super().__init__(path, endpoint, methods=list(methods))
        reads = "GET" in methods
        self.needs = needs or ("read_events" if reads else "admin",)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles a request; raises HTTPException: 403 without a scope, 405 for other methods."""
        session: LoginSession = scope["state"]["session"]
        if not session.can(*self.needs):
            raise HTTPException(403, f"{session.user} lacks the permission {self.needs[0]}")
        if scope["method"] not in (self.methods or ()):
            same = (each for each in scope["router"].routes if each.path == self.path)
            methods = sorted(method for each in same for method in each.methods)
            raise HTTPException(405, headers={"Allow": ", ".join(methods)})
        await super().handle(scope, receive, send)
