"""The pages match the program: links, commands and configuration exist as written."""

import json
import re
import shlex
from functools import cache
from pathlib import Path

import click
import jsonschema
import pytest

from docs.generate import PAGES as GENERATED
from docs.generate import configuration, rendered
from plateid.commands.main import main
from plateid.config.hub import HubConfig
from plateid.config.load import load_config, load_hub_config
from tests.docs.markdown import PAGES, REPOSITORY, blocks, links

CAMERA = '[[camera]]\nname = "drive"\nurl = "rtsp://camera.local/stream"\n\n'
HUB = 'database.url = "postgresql://localhost/plateid"\n'
README_LINES = 150
MANUAL = [page for page in PAGES if page.name != "training-log.md"]


@pytest.mark.parametrize("page", GENERATED)
def test_a_generated_page_is_up_to_date(page):
    assert (REPOSITORY / "docs" / page).read_text() == rendered(page), "run python docs/generate.py"


def test_every_configuration_key_has_a_description():
    parts = [*configuration(), *configuration(HubConfig)]
    rows = [row.split(" | ") for part in parts for row in part.splitlines()]
    keys = [row for row in rows if row[0].startswith("| `")]
    assert len(keys) > 120
    assert [row[0] for row in keys if row[-1].strip(" |") in ("", "None")] == []


def test_every_key_that_a_page_names_exists():
    keys: dict[str, set[str]] = {}
    for line in "\n".join([*configuration(), *configuration(HubConfig)]).splitlines():
        if line.startswith("## "):
            section = keys.setdefault(line.strip("# `[]"), set())
        elif keys and line.startswith("| `"):
            section.add(line.split("`")[1])
    pages = [page for page in MANUAL if page.name not in ("CHANGELOG.md", "mqtt.md")]
    text = "".join(page.read_text() for page in pages)
    used = re.findall(r"`(?:\[\[?)?([a-z]+)\]*\.([a-z_]+)\b(?!\()", text)
    assert [f"{a}.{b}" for a, b in used if a in keys and b not in keys[a]] == []


@pytest.mark.parametrize("page", MANUAL, ids=lambda page: page.name)
def test_every_linked_file_exists(page):
    assert [link for link in links(page) if not (page.parent / link).exists()] == []


def test_the_readme_is_short():
    assert len((REPOSITORY / "README.md").read_text().splitlines()) <= README_LINES


@pytest.mark.parametrize(("page", "text"), blocks("toml", MANUAL))
def test_a_configuration_example_is_valid(page, text, tmp_path):
    file = tmp_path / f"{page}.toml"
    if "[database]" in text or "[nats]" in text:
        file.write_text(text if "[database]" in text else HUB + text)
        assert load_hub_config(file).database
        return
    file.write_text(text if "[[camera]]" in text else CAMERA + text)
    assert load_config(file).camera


@cache
def options_of(*names: str) -> frozenset[str]:
    """Returns the options of a plateid command."""
    command: click.Command = main
    for name in names:
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), name)
    return frozenset(option for parameter in command.params for option in parameter.opts)


def commands() -> list[list[str]]:
    texts = [text.replace("\\\n", " ") for _, text in blocks("sh", MANUAL)]
    lines = [line.split(" # ")[0] for text in texts for line in text.splitlines()]
    words = [shlex.split(line.split(" > ")[0], comments=True) for line in lines]
    words = [line[1:] if line[:1] == ["sudo"] else line for line in words]
    return [line[1:] for line in words if line[:1] == ["plateid"]]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_a_command_exists_with_its_options(words):
    depth = 2 if isinstance(main.get_command(click.Context(main), words[0]), click.Group) else 1
    known = options_of(*words[:depth])
    assert {word for word in words[depth:] if word.startswith("-")} <= known


def test_the_glossary_defines_each_term_once():
    rows = re.findall(r"^\| (.*?) \|", page_text("docs/glossary.md"), re.MULTILINE)
    terms = [re.sub(r"<.*?>", "", row) for row in rows if row not in ("term", "---")]
    assert len(terms) > 80
    assert len(terms) == len(set(terms))


def test_every_make_target_and_module_exists():
    text = "".join(page.read_text() for page in MANUAL)
    makefile = page_text("Makefile")
    targets = set(re.findall(r"`make ([a-z-]+)|^(?:sudo )?make ([a-z-]+)", text, re.MULTILINE))
    assert targets
    assert [t for t in map("".join, targets) if f"\n{t}:" not in makefile] == []
    modules = set(re.findall(r"python -m (tests[\w.]+)", text))
    files = {m: REPOSITORY / m.replace(".", "/") for m in modules}
    ends = (".py", "/__main__.py")
    assert [
        m for m, file in files.items() if not any(Path(f"{file}{e}").exists() for e in ends)
    ] == []


def test_the_event_of_the_mqtt_page_follows_the_schema():
    schema = REPOSITORY / "plateid/core/schema/plate-event.v1.json"
    (event,) = (text for page, text in blocks("json") if page == "mqtt.md")
    jsonschema.validate(json.loads(event), json.loads(schema.read_text()))


def page_text(path: str) -> str:
    return (REPOSITORY / path).read_text()


ROOMS = sorted(path.parent for path in REPOSITORY.glob("plateid/*/__init__.py"))


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_docstring_of_a_room_lists_its_modules(room):
    docstring = (room / "__init__.py").read_text().split('"""')[1]
    listed = re.sub(r"  \S.*", "", docstring.partition("\n")[2])
    assert sorted(re.findall(r"\w+", listed)) == sorted(path.stem for path in room.glob("[!_]*.py"))


def proven_rows(page: str) -> list[str]:
    rows = page_text(f"docs/{page}").splitlines()
    return [row for row in rows if row.startswith("| ") and "tests/" in row]


@pytest.mark.parametrize(("page", "count"), [("faults.md", 60), ("security.md", 35)])
def test_every_fault_and_promise_names_a_test_that_exists(page, count):
    assert len(proven_rows(page)) >= count
    for row in proven_rows(page):
        proofs = re.findall(r"`(tests/\S+\.py)::(test_\w+)`", row)
        missing = [
            f"{file}::{test}"
            for file, test in proofs
            if not (REPOSITORY / file).exists()
            or f"def {test}(" not in (REPOSITORY / file).read_text()
        ]
        assert proofs
        assert missing == [], row


def quoted_messages() -> list[str]:
    """Returns the messages of plateid that the troubleshooting page quotes in its first column."""
    rows = re.findall(r"^\| (.*?) \|", page_text("docs/troubleshooting.md"), re.MULTILINE)
    spans = [span for row in rows for span in re.findall(r"`([^`]+)`", row)]
    return [span for span in spans if " " in span and "=" not in span.replace("enabled =", "")]


def test_every_quoted_message_is_in_the_program():
    sources = "".join(path.read_text() for path in REPOSITORY.glob("plateid/**/*.py"))
    program = re.sub(r'"\s*f?"', "", sources).replace("\\", "")
    assert len(quoted_messages()) >= 25
    parts = [part.strip("' \"") for text in quoted_messages() for part in text.split("…")]
    assert [part for part in parts if part not in program] == []
