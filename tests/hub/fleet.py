"""A whole fleet on this machine: python -m tests.hub.fleet, as `make hub` does.

Starts PostgreSQL, a NATS cluster of three nodes, two ingests, the web UI of the fleet, 20 simulated
devices and one real plateid on the clip of the demo. Ctrl+C ends it.
"""

import json
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from importlib import resources
from pathlib import Path

import psycopg

from tests.hub.campaign import Fleet
from tests.support.broker import free_port, until

COUNTS = "SELECT count(*), count(DISTINCT device), bool_or(device = 'demo') FROM event"
DEVICE = """\
device = "demo"
[mqtt]
host = {hosts}
[[camera]]
name = "gate"
url = "{clip}"
loop = true
"""


def spawn(stack: ExitStack, command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as file:
        process = stack.enter_context(subprocess.Popen(command, stdout=file, stderr=file))
    stack.callback(process.terminate)
    return process


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(seconds: float) -> None:
    """Runs for some seconds, 0: until Ctrl+C."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="plateid-fleet-") as name, ExitStack() as stack:
        folder, port = Path(name), free_port()
        fleet = Fleet(folder, stack)
        fleet.start()
        with fleet.config.open("a") as file:
            file.write(f"[web]\nenabled = true\nport = {port}\n")
        web = folder / "web.log"
        spawn(stack, fleet.command("web", "-c", fleet.config), web)
        clip = resources.files("plateid.demo").joinpath("demo.mp4")
        device = folder / "plateid.toml"
        device.write_text(DEVICE.format(hosts=json.dumps(fleet.brokers), clip=clip))
        run = [sys.executable, "-m", "plateid", "run", "-c", str(device)]
        spawn(stack, run, folder / "device.log")
        words = ("--devices", 20, "--seconds", 86_400, "--mqtt", ",".join(fleet.brokers))
        spawn(stack, fleet.command("simulate", *words), folder / "simulate.log")
        until(lambda: "web UI: " in web.read_text(), 60)
        say(web.read_text()[web.read_text().index("web UI: ") :].splitlines()[0])
        with psycopg.connect(fleet.database.url, autocommit=True) as db:
            seen = 0
            while not seconds or time.monotonic() < started + seconds:
                events, devices, real = db.execute(COUNTS).fetchone()
                if events > seen:
                    after = time.monotonic() - started
                    real = ", the real one too" if real else ""
                    say(f"{after:4.0f} s: {events} events of {devices} devices{real}")
                seen = events
                time.sleep(5)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        main(float(sys.argv[1]) if sys.argv[1:] else 0.0)
    except KeyboardInterrupt:
        say("stopped")
