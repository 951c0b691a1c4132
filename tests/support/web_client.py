"""A browser without scripts."""

import contextlib
import http.client
from urllib.parse import urlencode


class WebClient:
    """A client of the web UI at localhost, which keeps the cookie of its login."""

    def __init__(self, port: int, timeout_s: float = 20) -> None:
        self.port, self.timeout_s, self.cookie = port, timeout_s, ""

    def request(self, path: str, form: dict[str, str] | None = None) -> tuple[int, str]:
        """Returns status and text."""
        connection = http.client.HTTPConnection("localhost", self.port, timeout=self.timeout_s)
        kind = {"Content-Type": "application/x-www-form-urlencoded"} if form is not None else {}
        with contextlib.closing(connection):
            method = "GET" if form is None else "POST"
            body = None if form is None else urlencode(form)
            connection.request(method, path, body, kind | {"Cookie": self.cookie})
            answer = connection.getresponse()
            self.cookie = (answer.headers["Set-Cookie"] or self.cookie).split(";")[0]
            return answer.status, answer.read().decode(errors="replace")

    def post(self, path: str, page: str = "/start", **form: str) -> tuple[int, str]:
        """Submits a form of a page."""
        token = self.request(page)[1].split('name="csrf" value="')[1].split('"')[0]
        return self.request(path, {"csrf": token} | form)
