from pathlib import Path

from tests.config.page import page

REPOSITORY = Path(__file__).parents[2]


def test_the_page_of_all_keys_is_that_of_this_version():
    assert (REPOSITORY / "docs/configuration.md").read_text() == page()


def test_every_key_says_what_it_is_for():
    rows = [line.split(" | ") for line in page().splitlines() if line.startswith("| `")]
    assert len(rows) > 70
    assert [row[0] for row in rows if row[-1].strip(" |") in ("", "None")] == []
