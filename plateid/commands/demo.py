"""`plateid demo`: runs plateid on a shipped video, without any set-up."""

import click

from plateid.commands.options import supervisor_with_signals


@click.command(epilog="Example: plateid demo --loop")
@click.option("--loop", is_flag=True, help="Play the video again and again.")
def demo(*, loop: bool) -> None:
    """Play a video through all of plateid and print the events.

    The demo includes an MQTT broker and the web UI; each event is one line of JSON.
    """
    supervisor = supervisor_with_signals()
    from plateid.demo import run_demo  # noqa: PLC0415 - loads slowly; signals must stop it already

    run_demo(supervisor, loop=loop, on_event=click.echo)
