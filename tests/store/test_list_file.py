"""The file of the lists: read when it changes, and kept when it is wrong."""

from pathlib import Path

import pytest

from plateid.config.outputs import ListsConfig
from plateid.core.records import ListMatch
from plateid.errors import ConfigError
from plateid.store.list_file import ListFile
from tests.support.samples import SEEN, said

FIRST = "plate,list,name\nB68SPK,allow,Ana\n"
SECOND = "plate,list,name\nB68SPK,deny,Bob\n"
BAD = "plate,list\nB68SPK,white\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "plates.csv").write_text(FIRST)
    return tmp_path / "plates.csv"


def opened(file: Path) -> ListFile:
    return ListFile(ListsConfig(file=file), ("gate",))


def matched(lists: ListFile) -> ListMatch | None:
    return lists.lists.match(SEEN.plate, camera=SEEN.camera, at=SEEN.last_seen)


def matched_name(lists: ListFile) -> str | None:
    match = matched(lists)
    return match and match.name


def test_plate_is_matched_by_the_lists_of_the_file(file):
    assert matched(opened(file)) == ListMatch("Ana", "allow", 0)
    assert matched_name(ListFile(ListsConfig(), ("gate",))) is None


@pytest.mark.parametrize("content", [SECOND, SECOND.replace("Bob", "Ano")])
def test_edited_file_is_read_once_it_no_longer_changes(file, content):
    lists = opened(file)
    file.write_text(content)
    lists.check()
    assert matched_name(lists) == "Ana"  # it may be in the middle of being written
    lists.check()
    assert matched_name(lists) != "Ana"


def test_file_that_is_written_slowly_is_read_at_the_end(file, logs):
    lists = opened(file)
    for text in ("", "plate,list,na", "plate,list,name\nB6", SECOND):
        file.write_text(text)
        lists.check()
        assert matched_name(lists) == "Ana"
    lists.check()
    assert matched_name(lists) == "Bob"
    assert said(logs, "lists refused, the previous lists stay in use") == []


def test_replaced_file_is_read_and_an_unchanged_one_is_not(file, logs):
    lists = opened(file)
    for _ in range(3):
        lists.check()
    assert said(logs, "lists read") == []
    other = file.with_suffix(".new")
    other.write_text(SECOND)
    other.replace(file)
    for _ in range(3):
        lists.check()
    assert matched_name(lists) == "Bob"
    assert len(said(logs, "lists read")) == 1


@pytest.mark.parametrize("spoil", [lambda f: f.write_text(BAD), lambda f: f.unlink()])
def test_invalid_file_is_logged_once_and_the_old_lists_stay(file, spoil, logs):
    lists = opened(file)
    spoil(file)
    for _ in range(5):
        lists.check()
    assert matched_name(lists) == "Ana"
    (reason,) = said(logs, "lists refused, the previous lists stay in use")
    assert reason.startswith(str(file))
    file.write_text(SECOND)
    for _ in range(2):
        lists.check()
    assert matched_name(lists) == "Bob"


def test_reload_reads_at_once_or_raises(file):
    lists = opened(file)
    file.write_text(SECOND)
    lists.reload()
    assert matched_name(lists) == "Bob"
    file.write_text(BAD)
    with pytest.raises(ConfigError, match=r"plates.csv: line 2: list: 'white' is not one of"):
        lists.reload()
    assert matched_name(lists) == "Bob"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        (b"plate,list\n\xff", "line 2 is not UTF-8"),
        (BAD.encode(), "line 2: list: 'white'"),
        (b"plate,list\n" + 100_001 * b"A1,deny\n", "has 100001 entries, the maximum is 100000"),
    ],
)
def test_invalid_file_at_the_start_is_an_error(tmp_path, content, reason):
    file = tmp_path / "plates.csv"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=f"plates.csv: .*{reason}"):
        opened(file)
