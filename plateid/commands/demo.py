"""`plateid demo`: runs plateid on a shipped video, without any set-up."""

import json
import logging
import sys
from datetime import datetime
from typing import Any

import click
from rich.console import Group
from rich.live import Live
from rich.table import Table

from plateid.commands.options import supervisor_with_signals
from plateid.service.logs import configure_logs

MAX_ROWS = 12
"""Maximum number of vehicles on the screen; a terminal has 24 lines at least."""
STYLES = {"allow": "green", "deny": "bold red", "watch": "yellow"}
"""Colours of the lists, as in the web UI."""
NEXT = """\
Next:
  plateid read car.jpg   reads the plates of your own images and videos
  plateid run            sets up your camera in the browser
"""


@click.command(epilog="Example: plateid demo --loop")
@click.option("--loop", is_flag=True, help="Play the video again and again.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines in a terminal, too.")
def demo(*, loop: bool, as_json: bool) -> None:
    """Play a video through all of plateid and print the events.

    The demo includes an MQTT broker and the web UI. In a terminal it prints a line for each vehicle
    and goes on until Ctrl-C. Elsewhere, each event is one line of JSON, and the demo ends with the
    video.
    """
    supervisor = supervisor_with_signals()
    tour = sys.stdout.isatty() and not as_json
    if tour:
        click.echo("plateid loads its networks and starts...")
        configure_logs(logging.WARNING)  # other lines would tear the table apart
    from plateid.demo import run_demo  # noqa: PLC0415 - loads slowly; signals must stop it already

    if not tour:
        run_demo(supervisor, loop=loop, tour=False, on_event=click.echo, on_start=lambda _: None)
        return
    screen = Screen()
    with screen.live:
        run_demo(
            supervisor, loop=True, tour=True, on_event=screen.take, on_start=screen.set_address
        )
    click.echo(NEXT)


class Screen:
    """A table of the last vehicles, and below it the address of the web UI."""

    def __init__(self) -> None:
        self.live = Live(auto_refresh=False)
        self._address = ""
        self._rows: dict[str, dict[str, Any]] = {}

    def set_address(self, address: str) -> None:
        """Shows the address of the web UI."""
        self._address = address
        self._show()

    def take(self, text: str) -> None:
        """Shows the JSON of an event: one line for each vehicle."""
        event = json.loads(text)
        self._rows[event["pass_id"]] = event
        self._show()

    def _show(self) -> None:
        table = Table("Time", "Plate", "Confidence", "Direction", "List", box=None)
        for event in list(self._rows.values())[-MAX_ROWS:]:
            table.add_row(*_cells(event))
        end = f"\nWeb UI: {self._address}   Ctrl-C ends the demo"
        self.live.update(Group(table, end), refresh=True)


def _cells(event: dict[str, Any]) -> tuple[str, ...]:
    listed, direction = event["list"], event["direction"] or {}
    style = STYLES[listed["kind"]] if listed else "none"
    return (
        datetime.fromisoformat(event["first_seen"]).astimezone().strftime("%H:%M:%S"),
        f"[{style}]{event['plate_display']}[/]",
        f"{event['confidence']:.0%}",
        direction.get("way") or "",
        f"[{style}]{listed['kind']}: {listed['name']}[/]" if listed else "",
    )
