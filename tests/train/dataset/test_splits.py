from pathlib import Path

import cv2
import numpy as np
import pytest

from plateid.core.records import Image
from tests.train.dataset.data_sets import scene
from train.dataset.grouping import is_held_out
from train.dataset.splits import load_split, summary_text
from train.train_error import TrainError

PLATE = (60, 40, 140, 60)
HEADER = "image,x1,y1,x2,y2\n"


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


def test_good_data_are_unchanged_and_summarised(good):
    (train, validation), summary = load_split([good])
    assert len(train) + len(validation) == 30
    assert len(validation) > 0
    assert summary_text(summary).splitlines() == [
        f"images                  30 in 30 groups; {len(validation)} held out",
        "plates                  30; 20 to 20 px high",
        "median height           20 px",
    ]


def test_large_validation_part_gives_a_warning(tmp_path):
    folder = data_set(tmp_path / "yard", {f"{n}.png": scene(n) for n in range(9)})
    names = [f"view {n}" for n in range(99)]
    large = next(name for name in names if is_held_out(f"yard/{name}"))
    small = next(name for name in names if not is_held_out(f"yard/{name}"))
    rows = [f"{line(f'{n}.png').strip()},{large if n else small}" for n in range(9)]
    (folder / "labels.csv").write_text("\n".join([f"{HEADER.strip()},scene", *rows]))
    summary = load_split([folder])[1]
    assert summary["images"].startswith("9 in ")
    assert summary["images"].endswith("; 8 held out")
    assert summary["warning"] == "most images are held out: there are few groups"


def test_data_of_the_training_tests_pass(data):
    assert len(load_split([data])[0].images) == 14


def test_changes_are_counted_and_shown(good, tmp_path):
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
    _, summary = load_split([good, data])
    assert summary["without a plate"] == summary["clipped boxes"] == 1
    assert summary["skipped, no label"] == 2
    assert summary["tiny plates"] == "1 are smaller than 4 px"


def test_other_classes_are_counted(good, tmp_path):
    (tmp_path / "labels").mkdir()
    (tmp_path / "data.yaml").write_text("names: [car, plate]")
    cv2.imwrite(str(tmp_path / "a.png"), scene(99))
    (tmp_path / "a.txt").write_text("0 .5 .5 .9 .9\n1 .5 .5 .2 .1\n0 .1 .1 .1 .1")
    _, summary = load_split([good, tmp_path])
    assert (summary["classes"], summary["ignored classes"]) == ("1 plate", "2 car")


def test_rotated_copies_are_left_out_of_the_training_side_only(good, tmp_path):
    turned = np.full((100, 200, 3), 200, np.uint8)
    turned[:20, :20] = turned[-20:, -20:] = 0
    names = [f"s{n}_jpg.rf.{copy}.png" for n in range(20) for copy in "ab"]
    images = {
        name: np.where(turned > 0, scene(n), 0).astype(np.uint8) if ".a." in name else scene(n + 50)
        for n, name in enumerate(names)
    }
    split, summary = load_split([good, data_set(tmp_path / "copies", images)])
    held = sum(is_held_out(f"copies/s{n}_jpg") for n in range(20))
    assert 0 < held < 20
    assert summary["skipped, rotated copy"] == 20 - held
    assert len(split.images) == 30 + 40 - (20 - held)


@pytest.mark.parametrize("again", ["the same folder", "a copy"])
def test_identical_files_are_used_once(good, tmp_path, again):
    copy = data_set(tmp_path / "copy", {"z.png": scene(3)}, line("z.png", (61, 40, 140, 60)))
    split, summary = load_split([good, copy if again == "a copy" else good])
    assert len(split.images) == 30
    assert summary["skipped, same file"] == (1 if again == "a copy" else 30)


def test_order_of_identical_files_does_not_change_the_split(good, tmp_path):
    copy = data_set(
        tmp_path / "copy",
        {f"z{n}.png": scene(n) for n in range(30)},
        "".join(line(f"z{n}.png", (61, 40, 140, 60)) for n in range(30)),
    )
    sides = [
        {p.digest for p in load_split(folders)[0].validation}
        for folders in ([good, copy], [copy, good])
    ]
    assert sides[0] == sides[1]


@pytest.mark.parametrize("box", [None, (70, 40, 140, 60)])
def test_identical_files_with_other_boxes_are_refused(good, tmp_path, box):
    copy = data_set(tmp_path / "copy", {"z.png": scene(3)}, line("z.png", box))
    with pytest.raises(TrainError, match=r"z.png: the same file as .*/3.png, but with other boxes"):
        load_split([good, copy])


def test_near_duplicates_of_two_data_sets_are_on_one_side(good, tmp_path):
    worse = {f"w{n}.jpg": cv2.resize(scene(n), (150, 75)) for n in range(30)}
    rows = "".join(line(name, (45, 30, 105, 45)) for name in worse)
    split, summary = load_split([good, data_set(tmp_path / "worse", worse, rows)])
    groups = {image.path.stem: image.group for image in split.images}
    assert all(groups[str(n)] == groups[f"w{n}"] for n in range(30))
    parted = sum(
        is_held_out(f"{good.name}/{n}.png") != is_held_out(f"worse/w{n}.jpg") for n in range(30)
    )
    assert summary["joined groups"] == f"30; {parted} images changed side"


def test_cars_of_a_fixed_camera_are_no_near_duplicates(tmp_path):
    street = cv2.resize(scene(0), (1280, 720))
    images = {}
    for n in range(40):
        picture = street.copy()
        picture[300:400, 500:700] = scene(n + 1)
        images[f"{n}.png"] = picture
    rows = "".join(line(name, (560, 340, 640, 360)) for name in images)
    split, summary = load_split([data_set(tmp_path / "gate", images, rows)])
    assert "joined groups" not in summary
    assert all(split)


def test_empty_street_is_one_group(good, tmp_path):
    rng = np.random.default_rng(0)
    images = {
        f"{n}.png": np.clip(scene(77) + rng.normal(0, 2, (100, 200, 3)), 0, 255) for n in range(9)
    }
    data = data_set(tmp_path / "street", images, "".join(line(name, None) for name in images))
    assert load_split([good, data])[1]["joined groups"].startswith("8; ")


def test_problems_of_all_folders_are_reported_together(good, tmp_path):
    empty = data_set(tmp_path / "empty", {})
    bad = data_set(
        tmp_path / "bad", {"a.png": scene(0)}, line("a.png", (1, 1, 1, 1)) + line("b.png")
    )
    with pytest.raises(TrainError) as caught:
        load_split([good, empty, bad, tmp_path / "gone"])
    assert [text.removeprefix(f"{tmp_path}/") for text in str(caught.value).splitlines()] == [
        "empty: no images",
        "gone: no such folder",
        "bad/labels.csv: a.png: box 1.0 1.0 1.0 1.0: is empty",
        "bad/images/b.png: does not exist",
    ]


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_groups_with_plates_are_refused(tmp_path, count):
    images = {"0.png": scene(0), "1.png": scene(1), "2.png": scene(2)}
    rows = "".join(line(name, PLATE if n < count else None) for n, name in enumerate(images))
    said = rf"no plate in the .* part: the data have {count} groups .* needs at least two"
    with pytest.raises(TrainError, match=said):
        load_split([data_set(tmp_path / "few", images, rows)])


@pytest.mark.parametrize("count", range(2, 9))
def test_two_groups_with_plates_are_enough(tmp_path, count):
    data = data_set(tmp_path / "few", {f"{n}.png": scene(n) for n in range(count)})
    assert all(load_split([data])[0])
