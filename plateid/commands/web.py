"""`plateid web`: manages the passwords and API tokens of the web UI."""

import secrets
import sys
from dataclasses import replace
from pathlib import Path

import click

from plateid.commands.options import CONFIG
from plateid.config.load import load_config
from plateid.errors import reason_of
from plateid.web import credentials


@click.group(epilog="Example: plateid web set-password")
def web() -> None:
    """Set the passwords and tokens of the web UI."""


@web.command("set-password", epilog="Example: plateid web set-password --viewer")
@CONFIG
@click.option("--viewer", is_flag=True, help="Set the password of viewers, who change nothing.")
@click.option("--remove", is_flag=True, help="Remove the password.")
def set_password(path: Path, *, viewer: bool, remove: bool) -> None:
    """Set a password of the web UI.

    The password is typed twice on a terminal; otherwise it is a line of standard input.
    """
    file = credentials.credentials_file(load_config(path).store.path)
    role = "viewer" if viewer else "admin"
    try:
        password = "" if remove else _typed_password()
        hashed = password and credentials.hash_password(password)
    except ValueError as error:
        raise click.ClickException(reason_of(error)) from error
    credentials.write_credentials(
        file, replace(credentials.read_credentials(file), **{role: hashed})
    )
    click.echo(f"{file}: password of {role}s {'removed' if remove else 'set'}")


def _typed_password() -> str:
    if sys.stdin.isatty():
        password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        return password
    return sys.stdin.readline().rstrip("\n")


@web.command("new-token", epilog="Example: plateid web new-token -c plateid.toml")
@CONFIG
def new_token(path: Path) -> None:
    """Print a new token for the JSON API; the previous one becomes invalid."""
    file = credentials.credentials_file(load_config(path).store.path)
    token = secrets.token_urlsafe(32)
    known = replace(credentials.read_credentials(file), token=credentials.hash_token(token))
    credentials.write_credentials(file, known)
    click.echo(token)
