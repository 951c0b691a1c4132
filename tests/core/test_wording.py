import pytest

from plateid.core.wording import counted


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 cameras"), (1, "1 camera"), (2, "2 cameras"), (1500, "1,500 cameras")],
)
def test_noun_follows_its_number(number, text):
    assert counted(number, "camera") == text
