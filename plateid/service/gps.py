"""The position of the device, from gpsd (https://gpsd.gitlab.io/gpsd/gpsd_json.html)."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from plateid.backoff import Backoff, Outage
from plateid.config.service import GpsConfig
from plateid.core.records import Position
from plateid.errors import GpsError, reason_of

WATCH = b'?WATCH={"enable":true,"json":true};\n'
"""Command that makes gpsd send reports."""
CONNECT_TIMEOUT_S = 5.0
"""Time-out for the TCP connection, seconds."""
SILENCE_S = 30.0
"""Time-out for the next report, seconds. A receiver reports every second, also without a fix."""
CHECK_S = 5.0
"""The same for `Gpsd.check`, seconds."""
STOP_S = 0.2
"""Longest time that a stop waits for the thread, seconds; a connect may take longer."""
MAX_LINE_BYTES = 65536
"""Maximum length of a report; gpsd sends a few kilobytes."""
FIX_2D = 2
"""Lowest `mode` of a report that holds a position."""
BACKOFF = Backoff()


class Gpsd:
    """A client of gpsd in its own thread, which reconnects forever."""

    def __init__(self, config: GpsConfig, *, backoff: Backoff = BACKOFF) -> None:
        self._enabled = config.enabled
        self._address = config.host, config.port
        self._endpoint = f"gpsd {config.host}:{config.port}"
        self._max_age_s = config.max_age_s
        self._last: tuple[Position | None, float] = None, 0.0
        self._outage = Outage("gpsd", backoff)
        self._stopping = threading.Event()
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="gpsd", daemon=True)

    def start(self) -> None:
        """Starts the thread if `[gps]` is enabled."""
        if self._enabled:
            self._thread.start()

    def position(self) -> Position | None:
        """Returns the last position; None if it is older than `gps.max_age_s`. Thread-safe."""
        position, at = self._last
        return position if time.monotonic() - at <= self._max_age_s else None

    def stop(self) -> None:
        """Ends the thread."""
        self._stopping.set()
        if self._socket is not None:
            with suppress(OSError):  # not connected
                self._socket.shutdown(socket.SHUT_RDWR)
        if self._enabled:
            self._thread.join(STOP_S)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with socket.create_connection(self._address, CONNECT_TIMEOUT_S) as connection:
                    self._socket = connection
                    for report in self._reports(connection, SILENCE_S):
                        if (position := position_of(report)) is not None:
                            self._last = position, time.monotonic()
                        if report.get("class") == "TPV":  # VERSION comes without a receiver, too
                            self._outage.recovered()
            except (OSError, UnicodeError, GpsError) as error:
                if not self._stopping.is_set():
                    self._outage.failed(reason_of(error))
                    self._stopping.wait(self._outage.wait_s)

    def check(self) -> str:
        """Returns the position, or that there is none yet; raises GpsError without any report."""
        try:
            with socket.create_connection(self._address, CONNECT_TIMEOUT_S) as connection:
                reports = self._reports(connection, CHECK_S)
                report = next(each for each in reports if each.get("class") == "TPV")
        except (OSError, UnicodeError) as error:
            raise GpsError(self._endpoint, reason_of(error)) from error
        position = position_of(report)
        return f"{position.lat}, {position.lon}" if position else "no position yet"

    def _reports(self, connection: socket.socket, silence_s: float) -> Iterator[dict[str, Any]]:
        connection.sendall(WATCH)
        connection.settimeout(silence_s)
        with connection.makefile("rb") as reports:
            try:
                while (line := reports.readline(MAX_LINE_BYTES)).endswith(b"\n"):
                    yield self._parse(line)
            except TimeoutError as error:
                reason = f"no report for {silence_s:.0f} s: is a receiver attached?"
                raise GpsError(self._endpoint, reason) from error
        is_long = len(line) == MAX_LINE_BYTES
        reason = f"a line is longer than {MAX_LINE_BYTES} bytes" if is_long else "connection lost"
        raise GpsError(self._endpoint, reason)

    def _parse(self, line: bytes) -> dict[str, Any]:
        with suppress(ValueError, RecursionError):
            if isinstance(report := json.loads(line), dict):
                return report
        raise GpsError(self._endpoint, "not a report in JSON")


def position_of(report: dict[str, Any]) -> Position | None:
    """Returns the position of a TPV report with a fix; None for other reports."""
    lat, lon, mode = report.get("lat"), report.get("lon"), report.get("mode")
    fixed = report.get("class") == "TPV" and isinstance(mode, int) and mode >= FIX_2D
    if not fixed or not _is_within(lat, 90) or not _is_within(lon, 180):
        return None
    return Position(float(lat), float(lon))  # type: ignore[arg-type]


def _is_within(value: Any, limit: float) -> bool:
    return isinstance(value, int | float) and abs(value) <= limit
