"""`plateid hub`: collects the events of a fleet."""

import json
import os
import signal
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from plateid.config.load import load_hub_config
from plateid.config.outputs import MqttConfig
from plateid.config.problems import checked
from plateid.core.lists import compact
from plateid.core.option_types import FilePath
from plateid.errors import ConfigError, ServiceError, errors_as, needs_extra, os_errors_as
from plateid.files import give_to_owner_of_folder, replace_text
from plateid.store.audit_log import AuditLog

POSITIVE = click.FloatRange(0, min_open=True)
CONFIG = click.option(
    "-c",
    "--config",
    "path",
    type=FilePath(),
    default=Path("hub.toml"),
    help="Configuration file of the hub.",
)


@click.group(epilog="Example: plateid hub run -c hub.toml")
def hub() -> None:
    """Collect the events of many devices.

    Keeps them in PostgreSQL. Needs the extra hub: pip install 'plateid[hub]'.
    """
    for module in ("jsonschema_rs", "nats", "psycopg"):
        if find_spec(module) is None:
            raise ConfigError("plateid hub", needs_extra("hub"))


@hub.command(epilog="Example: plateid hub run -c hub.toml")
@CONFIG
def run(path: Path) -> None:
    """Store the events of all devices until stopped.

    Any number of these processes may run on one database: they share the messages.
    """
    config = load_hub_config(path)
    from plateid.hub.ingest import Ingest  # noqa: PLC0415 - needs the extra
    from plateid.service.systemd import Notifier  # noqa: PLC0415 - as above

    ingest = Ingest(config)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ingest.stop())
    ingest.run(Notifier(os.environ.get("NOTIFY_SOCKET", "")).ready)


@hub.command(epilog="Example: plateid hub web -c hub.toml")
@CONFIG
def web(path: Path) -> None:
    """Serve the web UI of the fleet, and manage its devices, until stopped.

    One process of a hub. Without a password, it prints a code that sets the first one.
    """
    config = load_hub_config(path)
    from plateid.hub.server import HubServer  # noqa: PLC0415 - needs the extra
    from plateid.service.systemd import Notifier  # noqa: PLC0415 - as above

    server = HubServer(config)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stop())
    click.echo(f"web UI: {server.address}{server.code_text}", err=True)
    server.run(Notifier(os.environ.get("NOTIFY_SOCKET", "")).ready)


@hub.command(epilog="Example: plateid hub purge --plate B68SPK -c hub.toml")
@CONFIG
@click.option("--plate", required=True, help="Plate to delete everywhere.")
@click.option("--wait", "wait_s", default=60.0, help="Longest wait for the devices, seconds.")
def purge(path: Path, *, plate: str, wait_s: float) -> None:
    """Delete a plate from the database, its images and every device, and prove it.

    The exit code is 1 until each device has confirmed; a device that is away purges when it comes
    back. `plateid hub web` must run.
    """
    config = load_hub_config(path)
    from plateid.hub.database import connect, database_errors  # noqa: PLC0415 - needs the extra
    from plateid.hub.purge import purge_plate, traces, waiting  # noqa: PLC0415 - as above

    with database_errors(config.database), connect(config.database, purpose="purge") as db:
        try:
            done = purge_plate(db, plate)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--plate") from error
        until = time.monotonic() + wait_s
        while (away := waiting(db, done.id)) and time.monotonic() < until:
            time.sleep(0.2)
        click.echo(f"{done.events} events deleted, {traces(db, plate)} left in the database")
    if config.folder.is_dir():  # that of `plateid hub web`
        audit = AuditLog(config.folder / "hub")
        audit.forget(compact(plate))
        audit.add("command line", "plate purged", details=f"events: {done.events}")
    click.echo(f"devices that have not confirmed yet: {', '.join(away) or 'none'}")
    if done.unmanaged:
        click.echo(f"not enrolled, purge them there: {', '.join(done.unmanaged)}")
    if away or done.unmanaged:
        raise SystemExit(1)


@hub.command(epilog="Example: plateid hub rollout bundle.tar --to north -c hub.toml")
@CONFIG
@click.argument("archive")
@click.option("--to", "target", default="", help="Site, group or device; default: all devices.")
@click.option("--trial", "trial_minutes", default=60.0, help="Trial on each device, minutes.")
@click.option("--hold", "hold_h", default=24.0, help="How long a wave must be healthy, hours.")
@click.option("--errors", "max_errors", default=10, help="Failures that a wave may have, percent.")
def rollout(path: Path, archive: str, **plan: Any) -> None:
    """Send a signed bundle to enrolled devices, in waves: 2 % of them, 10 %, all.

    A wave starts when the one before is healthy; one that fails goes back to the bundle before.
    ARCHIVE is a path or URL, with its signature beside it. `plateid hub web` must run.
    """
    config = load_hub_config(path)
    from plateid.bundles.install import fetch_archive  # noqa: PLC0415 - slow to load
    from plateid.hub.database import connect, database_errors  # noqa: PLC0415 - needs the extra
    from plateid.hub.rollouts import Plan, start  # noqa: PLC0415 - as above

    values = checked(Plan, plan, subject="plateid hub rollout")
    with database_errors(config.database), connect(config.database, purpose="rollout") as db:
        click.echo(start(db, fetch_archive(archive), keys=config.trusted_keys, plan=values))


@hub.command(epilog="Example: plateid hub gaps -c hub.toml")
@CONFIG
def gaps(path: Path) -> None:
    """Print the sequence numbers of events that the hub lacks, a line for each device and start.

    The exit code is 1 if there are any.
    """
    config = load_hub_config(path)
    from plateid.hub.gaps import all_gaps  # noqa: PLC0415 - needs the extra

    found = False
    for gap in all_gaps(config.database):
        found = True
        ranges = ", ".join(f"{a}-{b}" if a < b else f"{a}" for a, b in gap.ranges)
        click.echo(f"{gap.device}: {gap.events} missing, requested {gap.requests} times: {ranges}")
    if found:
        raise SystemExit(1)
    click.echo("no event is missing")


@hub.command(epilog="Example: plateid hub rules mosquitto --host broker.example --out conf.d")
@CONFIG
@click.argument("broker", type=click.Choice(["mosquitto", "nats"]))
@click.argument("devices", nargs=-1)
@click.option("--prefix", default="plateid", help="First level of every topic.")
@click.option("--out", type=FilePath(), default=Path(), help="Folder of the files to write.")
@click.option(
    "--host",
    "hosts",
    multiple=True,
    help="Name or address of the broker: also make its certificate, and that of the hub.",
)
def rules(
    path: Path,
    broker: str,
    devices: tuple[str, ...],
    *,
    prefix: str,
    out: Path,
    hosts: tuple[str, ...],
) -> None:
    """Write the configuration of a broker that lets a device write its own topics only.

    It wants TLS, and takes names from client certificates. NATS needs the names of all DEVICES.
    The folder must hold ca.crt, broker.crt and broker.key when the broker starts. With --host, the
    CA of the hub that CONFIG describes signs them. It also signs hub.crt, which goes with hub.key
    and ca.crt to the folder of CONFIG. A key that exists, and its certificate, are kept.
    """
    from plateid.hub.broker_rules import HUB, broker_rules  # noqa: PLC0415 - as above
    from plateid.hub.enrolment import Authority, host_name  # noqa: PLC0415 - as above
    from plateid.hub.messages import NAME  # noqa: PLC0415 - as above

    for name in devices:
        if name == HUB or not NAME.fullmatch(name):
            raise click.BadParameter(f"no name of a device: {name}")
    for host in hosts:
        with errors_as(lambda _, reason: click.BadParameter(reason), host, ValueError):
            host_name(host)
    made = broker_rules(broker, prefix=prefix, folder=out.resolve(), devices=sorted(devices))
    files = [(out, made, 0o600)]
    if hosts:
        authority = Authority.opened(load_hub_config(path).folder)
        for folder, name, of, mode in (out, "broker", hosts, 0o600), (path.parent, HUB, (), 0o640):
            if (key := folder / f"{name}.key").exists():
                click.echo(f"{key} and its certificate are kept; delete the key for new ones")
            else:
                files.append((folder, authority.key_pair(name, of), mode))
    for folder, made, mode in files:
        for name, text in made.items():
            with os_errors_as(ServiceError, folder / name):
                replace_text(folder / name, text, mode=mode, first=give_to_owner_of_folder)
            click.echo(f"{folder / name} written")


@hub.command(epilog="Example: plateid hub simulate --devices 1000 --mqtt localhost:1883")
@click.option("--devices", type=click.IntRange(1, 99_999), default=20, help="Number of devices.")
@click.option("--rate", type=POSITIVE, default=0.1, help="Events a second of each device.")
@click.option("--seconds", type=POSITIVE, default=60.0, help="Duration.")
@click.option(
    "--mqtt",
    "brokers",
    required=True,
    metavar="HOST:PORT[,HOST:PORT...]",
    help="Brokers; devices change to the next one if theirs is away.",
)
@click.option("--seed", type=click.IntRange(0), default=1, help="Seed of times and plates.")
@click.option(
    "--stay",
    "stay_s",
    type=click.FloatRange(0),
    default=0.0,
    help="Seconds that devices stay online afterwards, for requests to resend.",
)
def simulate(brokers: str, **plan: Any) -> None:
    """Publish the events of simulated devices, and print how many the broker has acknowledged.

    Devices connect, send, retry and resend as real ones do. Their names begin with sim-SEED.
    """
    from plateid.hub.simulated_device import Plan  # noqa: PLC0415 - needs the extra
    from plateid.hub.simulation import Simulation  # noqa: PLC0415 - as above

    config = checked(MqttConfig, {"host": brokers.split(",")}, subject="--mqtt")
    click.echo(json.dumps(Simulation(Plan(**plan), config).run()))


@hub.command(epilog="Example: plateid hub verify -c hub.toml --seed 1")
@CONFIG
@click.option("--seed", type=click.IntRange(0), default=1, help="Seed of the simulation.")
def verify(path: Path, seed: int) -> None:
    """Compare the last simulation of a seed with what the hub has stored.

    The exit code is 1 if an event is missing or stored twice.
    """
    config = load_hub_config(path)
    from plateid.hub.simulation import verify as compare  # noqa: PLC0415 - needs the extra

    result = compare(config, seed)
    click.echo(json.dumps(result))
    if result["missing"] or result["duplicated"]:
        raise SystemExit(1)
