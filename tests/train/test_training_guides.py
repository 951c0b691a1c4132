"""The commands in the training guides are valid."""

import re
import shlex
from pathlib import Path

import click
import pytest

from train.__main__ import main

ROOT = Path(__file__).parents[2]
GUIDES = (
    ROOT / "train" / "README.md",
    ROOT / "docs" / "training.md",
    ROOT / "docs" / "your-country.md",
)
COMMAND = re.compile(r"^(?:train|\.venv-train/bin/python -m train) (.+?)(?: +#.*)?$", re.MULTILINE)
COMMANDS = [line for guide in GUIDES for line in COMMAND.findall(guide.read_text())]


@pytest.mark.parametrize("command", sorted({*COMMANDS} - {"--help"}))
def test_command_of_a_guide_is_valid(command):
    name, *arguments = shlex.split(command)
    assert main.commands[name].make_context(name, arguments)


def test_guides_show_every_command():
    assert {shlex.split(command)[0] for command in COMMANDS} >= set(main.commands)


@pytest.mark.parametrize(
    "command",
    [
        "detector --data ''",
        "export --reader '' --out x",
        "latency ''",
        "reader --data x --real nan",
        "detector --data x --epochs true",
    ],
)
def test_empty_path_and_nan_are_refused(command):
    name, *arguments = shlex.split(command)
    with pytest.raises(click.BadParameter, match=r"must not be empty|not a (number|valid)"):
        main.commands[name].make_context(name, arguments)
