from pathlib import Path

import numpy as np
import pytest

from plateid.core.formats import shipped_formats
from plateid.core.text import CHARSET
from train.synth.flat_plate import draw_plate, layout_of
from train.synth.layouts import Layout, layouts
from train.synth.plate_texts import match_text, random_rows
from train.toml_reading import read_toml
from train.train_error import TrainError

KNOWN = {entry.code for entry in shipped_formats().entries} & {each.region for each in layouts()}
GOOD = """region = "ro"
weight = 1
[[plates]]
size = [520, 112]
background = ["#ffffff"]
ink = ["#101010"]
patterns = ["LL DD LLL"]
family = "din"
aspect = [0.5, 0.6]
cap_heights = [76]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "xx.toml"
    path.write_text(GOOD)
    return path


def test_every_layout_is_drawn_with_the_boxes_of_its_characters():
    rng = np.random.default_rng(0)
    for layout in layouts():
        for kind in layout.plates:
            plate = draw_plate(rng, kind, layout.region, cap=24)
            height, width = plate.image.shape[:2]
            assert len(plate.text) == len(plate.boxes) == len(plate.rows) > 0
            assert set(plate.text) <= set(CHARSET)
            assert (plate.boxes > (-2, -2, -2, -2)).all(), layout.region
            assert (plate.boxes < (width + 2, height + 2, width + 2, height + 2)).all()
            assert set(plate.rows) == set(range(len(kind.cap_heights)))


@pytest.mark.parametrize("region", sorted(KNOWN))
def test_most_random_texts_have_the_syntax_of_their_country(region):
    rng = np.random.default_rng(1)
    formats = shipped_formats().expecting([region], key="region")
    kinds = [kind for layout in layouts() if layout.region == region for kind in layout.plates]
    weights = np.array([kind.weight for kind in kinds])
    texts = []
    for index in rng.choice(len(kinds), size=200, p=weights / weights.sum()):
        rows = random_rows(rng, kinds[index])
        texts.append("".join(part.characters for row in rows for part in row))
    least = {"gb": 0.4, "pl": 0.55}.get(region, 0.65)  # old plates are drawn as well
    assert np.mean([formats.fits(text) for text in texts]) > least


@pytest.mark.parametrize(
    ("region", "text", "rows"),
    [
        ("ro", "B 68 SPK", 1),
        ("de", "MXR3497", 1),
        ("de", "M / XR 3497", 2),
        ("br", "RXL4K93", 1),
        ("us", "7KXH349", 1),
    ],
)
def test_a_given_text_is_drawn_in_the_rows_of_its_pattern(region, text, rows):
    rng = np.random.default_rng(0)
    plate = draw_plate(rng, layout_of(rng, region, text), region, cap=24, text=text)
    assert plate.text == "".join(text.replace("/", "").split())
    assert set(plate.rows) == set(range(rows))


@pytest.mark.parametrize("text", ["B 68 SP", "B 68 SPK X", "B / 68 SPK", "b 68 spk", ""])
def test_a_text_without_a_pattern_has_no_layout(file, text):
    (kind,) = read_toml(file, Layout).plates
    assert match_text(kind, "AB12CDE") == ("LL DD LLL", "AB", "12", "CDE")
    assert match_text(kind, text) == ()
    with pytest.raises(TrainError, match="fits no plate layout of region 'xx'"):
        layout_of(np.random.default_rng(0), "xx", text)


def test_a_key_of_a_plate_overrides_the_default_of_its_file(file):
    defaults = "[defaults]\nink = ['#202020']\nbolts = 0.9\n[[plates]]"
    file.write_text(GOOD.replace("[[plates]]", defaults))
    (plate,) = read_toml(file, Layout).plates
    assert (plate.ink, plate.bolts) == (("#101010",), 0.9)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"ro"', '"Romania"', "region: must match pattern"),
        ('"LL DD LLL"', '"LL DD ÄÖÜ"', "plates[0].patterns[0]: Ä Ö Ü: not in the charset"),
        ('"LL DD LLL"', '"LL / DD LLL"', "cap_heights has 1 rows, 'LL / DD LLL' has 2"),
        ('family = "din"', 'family = "comic"', "plates[0].family: no family 'comic'"),
        ('"LL DD LLL"', '"LL/DD LLL"', "plates[0].patterns[0]: 'LL/DD LLL' is no pattern"),
        ('"LL DD LLL"', '"[LL DD LLL"', "plates[0].patterns[0]: '[LL DD LLL' is no pattern"),
        ('"LL DD LLL"', '""', "plates[0].patterns[0]: '' is no pattern"),
        ('"LL DD LLL"', '"LL / "', "plates[0].patterns[0]: 'LL / ' is no pattern"),
        ('"LL DD LLL"', '"L|+DD LLL"', "plates[0].patterns[0]: 'L|+DD LLL' is no pattern"),
        ("= [76]", "= [76]\nrow_centres = [0.3, 0.7]", "row_centres has 2 rows, cap_heights has 1"),
        ("weight = 1", "weight = heavy", "line 2"),
        ('patterns = ["LL DD LLL"]', "", "plates[0].patterns: is missing"),
        ("[76]", "[0]", "plates[0].cap_heights[0]: must be greater than 0"),
        ("= [76]", "= [76]\nfonts = 1", 'unknown key "plates[0].fonts"'),
        ("[[plates]]", "[defaults]\nfonts = 1\n[[plates]]", 'unknown key "plates[0].fonts"'),
        ("weight = 1", "weight = 1\ndefaults = 1", 'unknown key "defaults"'),
        (GOOD[GOOD.index("[[") :], "plates = [1]\n[defaults]", "plates[0]: must be a"),
    ],
)
def test_a_wrong_layout_is_refused_with_file_key_and_reason(file, old, new, reason):
    file.write_text(GOOD.replace(old, new))
    with pytest.raises(TrainError) as caught:
        read_toml(file, Layout)
    assert "xx.toml: " in str(caught.value)
    assert reason in str(caught.value)
