from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.train.dataset.data_sets import data_set
from train.dataset.formats import ImageLabels
from train.dataset.grouping import (
    group_of,
    is_held_out,
    join_groups,
    split_groups,
    with_joined_groups,
    without_rotated_copies,
)
from train.dataset.image_reading import read_images
from train.dataset.labelled_image import LabelledImage
from train.dataset.perceptual_hash import PerceptualHash


def image(
    name: str,
    group: str,
    *boxes: tuple[float, ...],
    is_copy: bool = False,
    is_rotated: bool = False,
) -> LabelledImage:
    labels = ImageLabels(Path("d"), Path(name), Path("s"), (), {"scene": "1"} if is_copy else {})
    empty = PerceptualHash(bytes(64), b"")
    return LabelledImage(labels, boxes, group, 200, 100, 0, b"", empty, is_rotated)


def test_roboflow_copies_are_one_group():
    copies = [
        group_of(Path("d"), {"image": f"{part}/images/cam 1_png.rf.{copy}.jpg"})
        for part, copy in (("train", "0a1b"), ("valid", "9Zx"))
    ]
    assert copies == ["d/cam 1_png", "d/cam 1_png"]
    assert group_of(Path("d"), {"image": "sub/car.rf.jpg"}) == "d/sub/car.rf.jpg"


def test_roboflow_copies_in_two_exports_are_one_group():
    copies = [
        image(f"{export}/train/images/cam_jpg.rf.{copy}.jpg", f"{export}/cam_jpg", (0, 0, 9, 9))
        for export, copy in (("v1", "0a"), ("v2", "1b"))
    ]
    hashes = (PerceptualHash(bytes(64), bytes(16)), PerceptualHash(b"\xff" * 64, bytes(16)))
    one, other = with_joined_groups(
        [replace(p, perceptual_hash=q) for p, q in zip(copies, hashes, strict=True)]
    )
    assert one.group == other.group


def test_groups_do_not_depend_on_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert group_of(Path(), {"image": "a.jpg"}) == f"{tmp_path.name}/a.jpg"


def test_group_is_never_on_both_sides(tmp_path):
    names = tuple(f"{n}.png" for n in range(60))
    rows = "".join(f"{n}.png,1,2,30,40,,clear,v,{20 * n}\n" for n in range(60))
    train, val = split_groups(read_images(data_set(tmp_path / "d", rows, images=names)))
    assert len(train) + len(val) == 60
    assert train
    assert val
    assert not {p.group for p in train} & {p.group for p in val}


PLATE = (1, 2, 30, 40)
NUMBERS = st.sets(st.integers(0, 99), min_size=2, max_size=9)


@given(NUMBERS, NUMBERS, st.booleans())
def test_few_groups_are_on_both_sides_whatever_other_folders_there_are(some, others, one):
    a, b = (
        [image(f"{n}", f"{name}/{n}", PLATE) for n in numbers]
        for name, numbers in (("a", some), ("b", list(others)[: 1 if one else None]))
    )
    sides = split_groups([*a, *b])
    own = tuple([p for p in side if p in a] for side in sides)
    assert all(own)
    assert own == split_groups(a)
    by_hash = [[p for p in a if is_held_out(p.group) is side] for side in (False, True)]
    if all(by_hash):
        assert own == tuple(by_hash)
    else:
        assert min(map(len, own)) == 1


def test_negatives_alone_do_not_make_a_validation_part():
    names = [f"d/{n}" for n in range(99)]
    negative = next(name for name in names if is_held_out(name))
    plates = [name for name in names if not is_held_out(name)][:3]
    train, val = split_groups(
        [image("n", negative), *(image(name, name, PLATE) for name in plates)]
    )
    assert (len(train), len(val)) == (2, 2)


GROUPS = st.lists(st.integers(0, 15).map(str), min_size=1, max_size=40)


@given(GROUPS, st.data())
def test_joined_groups_hold_whole_groups_and_pairs(groups, data):
    positions = st.integers(0, len(groups) - 1)
    pairs = data.draw(st.lists(st.tuples(positions, positions)))
    names = join_groups(groups, pairs)
    assert all(names[i] == names[j] for i, j in pairs)
    assert len(set(zip(groups, names, strict=True))) == len(set(groups))
    assert all(groups.count(a) <= groups.count(b) for a, b in zip(groups, names, strict=True))
    assert join_groups(groups, []) == groups


def test_rotated_copies_are_left_out_if_the_scene_has_others():
    upright, rotated = (
        image("a", "1", is_copy=True),
        image("b", "1", is_copy=True, is_rotated=True),
    )
    alone = image("c", "2", is_copy=True, is_rotated=True)
    night = image("d", "3", is_rotated=True)
    assert without_rotated_copies([upright, rotated, alone, night]) == [upright, night, alone]
