from pathlib import Path

import numpy as np
import pytest

from plateid.core.formats import shipped_formats
from plateid.core.text import CHARSET
from train.synth.flat_plate import draw_plate
from train.synth.layouts import Layout, layouts, regions
from train.synth.plate_texts import random_rows
from train.toml_reading import read_toml
from train.train_error import TrainError

KNOWN = {entry.code for entry in shipped_formats().entries} & set(regions())
GOOD = """region = "ro"
weight = 1
[[plates]]
size = [520, 112]
paper = ["#ffffff"]
ink = ["#101010"]
patterns = ["LL DD LLL"]
family = "din"
aspect = [0.5, 0.6]
cap = [76]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "xx.toml"
    path.write_text(GOOD)
    return path


def test_every_layout_can_be_drawn_and_its_characters_are_where_it_says():
    rng = np.random.default_rng(0)
    for layout in layouts():
        for kind in layout.plates:
            flat = draw_plate(rng, kind, layout.region, cap=24)
            height, width = flat.image.shape[:2]
            assert len(flat.text) == len(flat.boxes) == len(flat.rows) > 0
            assert set(flat.text) <= set(CHARSET)
            assert (flat.boxes > (-2, -2, -2, -2)).all(), layout.region
            assert (flat.boxes < (width + 2, height + 2, width + 2, height + 2)).all()
            lines = len(kind.cap)
            assert set(flat.rows) == set(range(lines))


@pytest.mark.parametrize("region", sorted(KNOWN))
def test_most_plates_obey_the_syntax_that_the_device_knows(region):
    rng = np.random.default_rng(1)
    formats = shipped_formats().expecting([region], key="region")
    kinds = [kind for layout in layouts() if layout.region == region for kind in layout.plates]
    weights = np.array([kind.weight for kind in kinds])
    texts = []
    for index in rng.choice(len(kinds), size=200, p=weights / weights.sum()):
        rows = random_rows(rng, kinds[index])
        texts.append("".join(part.characters for row in rows for part in row))
    least = {"gb": 0.4, "pl": 0.55}.get(region, 0.65)  # of which old ones are drawn as well
    assert np.mean([formats.fits(text) for text in texts]) > least


def test_a_good_file_is_read(file):
    assert read_toml(file, Layout).region == "ro"


def test_what_a_file_says_of_every_plate_a_plate_may_say_otherwise(file):
    every = "[every]\nink = ['#202020']\nbolts = 0.9\n[[plates]]"
    file.write_text(GOOD.replace("[[plates]]", every))
    (plate,) = read_toml(file, Layout).plates
    assert (plate.ink, plate.bolts) == (("#101010",), 0.9)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"ro"', '"Romania"', "region: String should match"),
        ('"LL DD LLL"', '"LL DD ÄÖÜ"', "plates[0].patterns: Ä Ö Ü: not in the charset"),
        ('"LL DD LLL"', '"LL / DD LLL"', "plates[0]: cap has 1 heights, 'LL / DD LLL' has 2 rows"),
        ('family = "din"', 'family = "comic"', "plates[0].family: no family 'comic'"),
        ('"LL DD LLL"', '"LL/DD LLL"', "plates[0].patterns: 'LL/DD LLL' is no pattern"),
        ('"LL DD LLL"', '"[LL DD LLL"', "plates[0].patterns: '[LL DD LLL' is no pattern"),
        ('"LL DD LLL"', '""', "plates[0].patterns: '' is no pattern"),
        ('"LL DD LLL"', '"LL / "', "plates[0].patterns: 'LL / ' is no pattern"),
        ('"LL DD LLL"', '"L|+DD LLL"', "plates[0].patterns: 'L|+DD LLL' is no pattern"),
        ("cap = [76]", "cap = [76]\ncentres = [0.3, 0.7]", "centres has 2 rows, cap has 1"),
        ("weight = 1", "weight = heavy", "line 2"),
        ('ink = ["#101010"]', "", "plates[0].ink: is missing"),
        ('ink = ["#101010"]', "ink = []", "plates[0].ink: must have 1 or more items"),
        ("cap = [76]", "cap = [0]", "plates[0].cap[0]: must be greater than 0"),
        ("cap = [76]", 'cap = [76]\nletters = ""', "plates[0].letters: must not be empty"),
        ("cap = [76]", "cap = [76]\ngaps = []", "plates[0].gaps: must have"),
        ("cap = [76]", "cap = [76]\nfonts = 1", 'unknown key "plates[0].fonts"'),
        ("[[plates]]", "[every]\nfonts = 1\n[[plates]]", 'unknown key "plates[0].fonts"'),
        ("weight = 1", "weight = 1\nevery = 1", 'unknown key "every"'),
        (GOOD[GOOD.index("[[") :], "plates = [1]\n[every]", "plates[0]: must be"),
    ],
)
def test_an_error_names_the_file_the_place_and_the_reason(file, old, new, said):
    file.write_text(GOOD.replace(old, new))
    with pytest.raises(TrainError) as caught:
        read_toml(file, Layout)
    assert "xx.toml: " in str(caught.value)
    assert said in str(caught.value)
