"""`plateid web`: manages the passwords and API tokens of the web UI."""

import secrets
import sys
from datetime import datetime, timedelta
from pathlib import Path

import click

from plateid.commands.options import CONFIG
from plateid.config.load import load_config
from plateid.errors import reason_of
from plateid.store.audit_log import AuditLog
from plateid.web.credentials import (
    ROLES,
    TOKEN_SCOPES,
    Credentials,
    Role,
    Scope,
    Token,
    User,
    credentials_file,
    hash_password,
    hash_token,
    read_credentials,
    write_credentials,
)


@click.group(epilog="Example: plateid web set-password")
def web() -> None:
    """Set the passwords and tokens of the web UI."""


@web.command("set-password", epilog="Example: plateid web set-password --user ana --role operator")
@CONFIG
@click.option("--viewer", is_flag=True, help="Set the shared password of viewers.")
@click.option("--user", help="Set the password of this user, not one that users share.")
@click.option("--role", type=click.Choice(list(ROLES)), help="Role of --user; default: as before.")
@click.option("--remove", is_flag=True, help="Remove the password, or the user.")
def set_password(path: Path, *, viewer: bool, user: str, role: Role | None, remove: bool) -> None:
    """Set a password of the web UI.

    The password is typed twice on a terminal; otherwise it is a line of standard input. A viewer
    only reads, an operator changes lists and labels, an admin changes everything.
    """
    if role and not user:
        raise click.UsageError("--role needs --user")
    store, file, known = _known(path)
    name = user or ("viewer" if viewer else "admin")
    before = known.users.get(name)
    kind: Role = role or (before.role if before else "viewer" if user or viewer else "admin")
    try:
        sites = before.sites if before else ()
        account = None if remove else User(kind, hash_password(_typed_password()), sites)
        write_credentials(file, known.with_user(name, account))
    except ValueError as error:
        raise click.ClickException(reason_of(error)) from error
    done = f"removed {name}" if remove else f"set the password of {name}, role {kind}"
    click.echo(f"{file}: {done}")
    AuditLog(store).add("command line", done)


def _known(path: Path) -> tuple[Path, Path, Credentials]:
    config = load_config(path)
    file = credentials_file(config.store.path, config.web)
    return config.store.path, file, read_credentials(file)


def _typed_password() -> str:
    if sys.stdin.isatty():
        password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        return password
    return sys.stdin.readline().rstrip("\n")


@web.command(
    "new-token", epilog="Example: plateid web new-token --name booking --scope write_lists"
)
@CONFIG
@click.option("--name", default="token", help="Name of the token.")
@click.option(
    "scopes",
    "--scope",
    type=click.Choice(TOKEN_SCOPES),
    multiple=True,
    default=TOKEN_SCOPES[:2],
    help="What the token may do; may be repeated.",
)
@click.option("--days", type=click.IntRange(1, 36500), help="Days until it expires.")
def new_token(path: Path, *, name: str, scopes: tuple[Scope, ...], days: int | None) -> None:
    """Print a new token for the JSON API; the previous one of this name becomes invalid."""
    store, file, known = _known(path)
    token = secrets.token_urlsafe(32)
    expires = datetime.now().astimezone().date() + timedelta(days=days) if days else None
    try:
        changed = known.with_token(name, Token(hash_token(token), scopes, expires))
    except ValueError as error:
        raise click.ClickException(reason_of(error)) from error
    write_credentials(file, changed)
    click.echo(token)  # first: the previous one is invalid, though the audit log may fail
    AuditLog(store).add("command line", f"new token {name} ({', '.join(scopes)})")
