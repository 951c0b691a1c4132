"""`--help` of every command."""

import shlex
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from plateid.commands.main import COMMANDS, main


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def resolved(words: list[str]) -> tuple[click.Command, list[str]]:
    command: click.Command = main
    while isinstance(command, click.Group):
        name, *words = words
        command = command.get_command(click.Context(command), name)
    return command, words


@pytest.mark.parametrize("path", [(), *commands(main)])
def test_help_shows_an_example_that_works(path):
    done = CliRunner().invoke(main, [*path, "--help"])
    assert done.exit_code == 0
    example = " ".join(done.output.partition("Example: ")[2].split())
    assert example.startswith(" ".join(("plateid", *path)))
    _, *words = shlex.split(example.partition(" >")[0])
    command, arguments = resolved(words)
    parent = click.Context(main, **main.context_settings)
    command.make_context("example", arguments, parent=parent)


def test_list_of_commands_matches_their_own_help():
    for name, text in COMMANDS.items():
        command = main.get_command(click.Context(main), name)
        assert command.get_short_help_str(limit=200).removesuffix(".") == text.removesuffix(".")


def test_unknown_command_is_an_error():
    done = CliRunner().invoke(main, ["reed"])
    assert done.exit_code == 2
    assert "No such command 'reed'" in done.output
