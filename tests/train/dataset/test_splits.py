from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plateid.core.records import Box, Image
from train.dataset.labelled_images import held_out, split
from train.dataset.perceptual_hash import PerceptualHash, fingerprint, near_duplicates
from train.dataset.splits import checked_pictures
from train.train_error import TrainError

PLATE = (60, 40, 140, 60)
HEADER = "image,x1,y1,x2,y2\n"


def scene(seed: int) -> Image:
    """A picture like no other, 200 x 100."""
    cells = np.random.default_rng(seed).integers(0, 255, (12, 24, 3)).astype(np.uint8)
    return cv2.resize(cells, (200, 100), interpolation=cv2.INTER_CUBIC)


def line(name: str, box: tuple[float, ...] | None = PLATE) -> str:
    return f"{name},{','.join(map(str, box)) if box else ',,,'}\n"


def data_set(root: Path, images: dict[str, Image], rows: str | None = None) -> Path:
    (root / "images").mkdir(parents=True, exist_ok=True)
    for name, image in images.items():
        cv2.imwrite(str(root / "images" / name), image)
    (root / "labels.csv").write_text(
        HEADER + ("".join(map(line, images)) if rows is None else rows)
    )
    return root


@pytest.fixture(scope="session")
def good(tmp_path_factory) -> Path:
    images = {f"{n}.png": scene(n) for n in range(30)}
    return data_set(tmp_path_factory.mktemp("good"), images)


def grey(image: Image) -> Image:
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)


def test_good_data_are_as_they_were_and_are_summed_up(good):
    pictures, summary = checked_pictures([good])
    train, validation = split(pictures)
    assert (len(train) + len(validation), summary.pictures, summary.groups) == (30, 30, 30)
    assert summary.validation == len(validation) > 0
    assert summary.heights == (20, 20, 20)
    assert str(summary).splitlines() == [
        f"pictures                30 in 30 groups; {len(validation)} held out",
        "plates                  30; 20 to 20 pixels high",
        "median height           20 pixels",
    ]


def test_that_most_is_held_out_is_said(tmp_path):
    folder = data_set(tmp_path / "yard", {f"{n}.png": scene(n) for n in range(9)})
    names = [f"view {n}" for n in range(99)]
    large = next(name for name in names if held_out(f"yard/{name}"))
    small = next(name for name in names if not held_out(f"yard/{name}"))
    rows = [f"{line(f'{n}.png').strip()},{large if n else small}" for n in range(9)]
    (folder / "labels.csv").write_text("\n".join([f"{HEADER.strip()},scene", *rows]))
    summary = checked_pictures([folder])[1]
    assert (summary.pictures, summary.validation) == (9, 8)
    assert "warning                 most is held out: few groups" in str(summary)


def test_the_data_that_other_tests_train_on_pass(data):
    assert checked_pictures([data])[1].pictures == 14


def test_what_was_repaired_is_counted_and_shown(good, tmp_path):
    more = {f"{n}.png": scene(100 + n) for n in range(6)}
    rows = [
        line("0.png", None),
        line("1.png", (-20, 40, 60, 60)),
        line("2.png", (-0.5, 40, 60, 60)),
        line("3.png", (50, 40, 70, 43)),
        line("4.png"),
    ]
    data = data_set(tmp_path / "more", more, "".join(rows))
    (data / "Test").mkdir()
    cv2.imwrite(str(data / "Test" / "t.png"), scene(1000))
    _, summary = checked_pictures([good, data])
    assert (summary.negatives, summary.clipped, summary.tiny, summary.unlabelled) == (1, 1, 1, 2)
    text = str(summary)
    assert "warning                 1 plates are smaller than 4 pixels" in text
    assert "cut at the border       1 boxes" in text
    assert "without a plate         1" in text
    assert "left out, not labelled  2" in text


def test_boxes_of_other_classes_are_counted(good, tmp_path):
    (tmp_path / "labels").mkdir()
    (tmp_path / "data.yaml").write_text("names: [car, plate]")
    cv2.imwrite(str(tmp_path / "a.png"), scene(99))
    (tmp_path / "a.txt").write_text("0 .5 .5 .9 .9\n1 .5 .5 .2 .1\n0 .1 .1 .1 .1")
    _, summary = checked_pictures([good, tmp_path])
    assert (summary.classes, summary.others) == ({"plate": 1}, {"car": 2})
    assert "plates are              1 plate" in str(summary)
    assert "ignored, other classes  2 car" in str(summary)


def test_turned_copies_are_left_out_of_the_training_side_only(good, tmp_path):
    turned = np.full((100, 200, 3), 200, np.uint8)
    turned[:20, :20] = turned[-20:, -20:] = 0
    names = [f"s{n}_jpg.rf.{copy}.png" for n in range(20) for copy in "ab"]
    images = {
        name: np.where(turned > 0, scene(n), 0).astype(np.uint8) if ".a." in name else scene(n + 50)
        for n, name in enumerate(names)
    }
    pictures, summary = checked_pictures([good, data_set(tmp_path / "copies", images)])
    held = sum(held_out(f"copies/s{n}_jpg") for n in range(20))
    assert 0 < held < 20
    assert summary.turned == 20 - held
    assert len(pictures) == 30 + 40 - summary.turned


@pytest.mark.parametrize("again", ["the same folder", "a copy"])
def test_the_same_files_are_used_once(good, tmp_path, again):
    copy = data_set(tmp_path / "copy", {"z.png": scene(3)}, line("z.png", (61, 40, 140, 60)))
    _, summary = checked_pictures([good, copy if again == "a copy" else good])
    assert summary.pictures == 30
    assert summary.duplicates == (1 if again == "a copy" else 30)


def test_which_of_two_same_files_is_left_moves_nothing_to_the_other_side(good, tmp_path):
    copy = data_set(
        tmp_path / "copy",
        {f"z{n}.png": scene(n) for n in range(30)},
        "".join(line(f"z{n}.png", (61, 40, 140, 60)) for n in range(30)),
    )
    sides = [
        {p.digest for p in split(checked_pictures(folders)[0])[1]}
        for folders in ([good, copy], [copy, good])
    ]
    assert sides[0] == sides[1]


@pytest.mark.parametrize("box", [None, (70, 40, 140, 60)])
def test_the_same_file_with_other_boxes_is_refused_and_both_are_named(good, tmp_path, box):
    copy = data_set(tmp_path / "copy", {"z.png": scene(3)}, line("z.png", box))
    with pytest.raises(TrainError, match=r"z.png: the same file as .*/3.png, but with other boxes"):
        checked_pictures([good, copy])


def test_near_duplicates_of_two_sets_come_to_one_side(good, tmp_path):
    worse = {f"w{n}.jpg": cv2.resize(scene(n), (150, 75)) for n in range(30)}
    rows = "".join(line(name, (45, 30, 105, 45)) for name in worse)
    pictures, summary = checked_pictures([good, data_set(tmp_path / "worse", worse, rows)])
    groups = {picture.path.stem: picture.group for picture in pictures}
    assert all(groups[str(n)] == groups[f"w{n}"] for n in range(30))
    parted = sum(held_out(f"{good.name}/{n}.png") != held_out(f"worse/w{n}.jpg") for n in range(30))
    assert (summary.merged, summary.moved) == (30, parted)
    assert f"groups joined           30; {parted} pictures moved" in str(summary)


def test_cars_before_a_camera_that_never_moves_are_no_near_duplicates(tmp_path):
    street = cv2.resize(scene(0), (1280, 720))
    images = {}
    for n in range(40):
        picture = street.copy()
        picture[300:400, 500:700] = scene(n + 1)
        images[f"{n}.png"] = picture
    rows = "".join(line(name, (560, 340, 640, 360)) for name in images)
    pictures, summary = checked_pictures([data_set(tmp_path / "gate", images, rows)])
    assert summary.merged == 0
    assert all(split(pictures))


def test_the_street_without_cars_is_one_group(good, tmp_path):
    rng = np.random.default_rng(0)
    images = {
        f"{n}.png": np.clip(scene(77) + rng.normal(0, 2, (100, 200, 3)), 0, 255) for n in range(9)
    }
    data = data_set(tmp_path / "street", images, "".join(line(name, None) for name in images))
    assert checked_pictures([good, data])[1].merged == 8


def test_problems_of_all_folders_are_told_together(good, tmp_path):
    empty = data_set(tmp_path / "empty", {})
    bad = data_set(
        tmp_path / "bad", {"a.png": scene(0)}, line("a.png", (1, 1, 1, 1)) + line("b.png")
    )
    with pytest.raises(TrainError) as caught:
        checked_pictures([good, empty, bad, tmp_path / "gone"])
    assert [text.removeprefix(f"{tmp_path}/") for text in str(caught.value).splitlines()] == [
        "empty: no pictures",
        "gone: no such folder",
        "bad/labels.csv: a.png: box 1.0 1.0 1.0 1.0: a box of no size",
        "bad/images/b.png: does not exist",
    ]


@pytest.mark.parametrize("count", [0, 1])
def test_plates_of_fewer_than_two_groups_are_refused_with_their_number(tmp_path, count):
    images = {"0.png": scene(0), "1.png": scene(1), "2.png": scene(2)}
    rows = "".join(line(name, PLATE if n < count else None) for n, name in enumerate(images))
    said = rf"no plate .* part: groups of pictures with plates: {count} .* needs at least two"
    with pytest.raises(TrainError, match=said):
        checked_pictures([data_set(tmp_path / "few", images, rows)])


@pytest.mark.parametrize("count", range(2, 9))
def test_two_groups_of_plates_are_enough(tmp_path, count):
    data = data_set(tmp_path / "few", {f"{n}.png": scene(n) for n in range(count)})
    assert all(split(checked_pictures([data])[0]))


BOXES = st.lists(
    st.tuples(st.floats(0, 150), st.floats(0, 80), st.floats(0.1, 50), st.floats(0.1, 20)).map(
        lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
    ),
    max_size=3,
)


@given(st.integers(0, 9), BOXES, st.integers(-20, 20))
def test_a_picture_is_a_near_duplicate_of_itself_in_another_light(
    seed: int, boxes: list[Box], light
):
    image = grey(scene(seed)) // 2 + 50
    lit = (image.astype(int) + light).astype(np.uint8)
    prints = [fingerprint(image, boxes), fingerprint(lit, boxes[::-1])]
    assert list(near_duplicates(prints)) == [(0, 1)]


def test_there_are_no_near_duplicates_among_none_or_one():
    one = fingerprint(grey(scene(0)), [])
    assert list(near_duplicates([])) == list(near_duplicates([one])) == []
    assert list(near_duplicates([one, fingerprint(grey(scene(0)), [PLATE])])) == []


def test_every_plate_of_near_duplicates_must_be_the_same():
    same, first, second = bytes(16), 8 * b"\xff" + bytes(8), bytes(16) + 8 * b"\xff" + bytes(8)
    prints = [PerceptualHash(bytes(64), plates) for plates in (same + same, first + same, second)]
    assert list(near_duplicates(prints)) == []
    assert list(near_duplicates([prints[0], prints[0]])) == [(0, 1)]
