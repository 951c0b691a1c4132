"""`plateid bench --compare`: readers side by side on the same plates."""

import json
import shutil

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from plateid.alpr import ALPR
from plateid.bench.compare import compare as compared_plates
from plateid.bench.compare import plates_of
from plateid.commands.main import main
from plateid.core.text import best_text
from plateid.errors import SourceError
from tests.support.drop_in import write_slot_reader


@pytest.fixture
def model(tmp_path):
    return write_slot_reader(tmp_path)


@pytest.fixture
def folder(tmp_path):
    """Three images, which the bundle reads as AB12."""
    (tmp_path / "data/images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in "abc":
        image = rng.integers(0, 256, (60, 120, 3)).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f"data/images/{name}.png"), image)
    return tmp_path / "data"


def compare(model, bundle, *words: object) -> Result:
    every = ["bench", "--compare", model, "--bundle", bundle, *words]
    return CliRunner().invoke(main, [*map(str, every)])


def test_accuracy_is_measured_where_texts_are_given(folder, model, bundle, tmp_path):
    rows = ["image,x1,y1,x2,y2,text", "a.png,0,0,60,30,AB12", "b.png,0,0,60,30,", "c.png,,,,,A8I2"]
    (folder / "labels.csv").write_text("\n".join(rows))
    sheet = tmp_path / "sheet.jpg"
    done = compare(model, bundle, "--plates", folder, "--sheet", sheet, "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert (report["plates"], report["different"]) == (2, 2)
    own, other = report["readers"]["tiny-reader"], report["readers"]["other"]
    assert (own["plates"], own["plate_accuracy"]) == (2, 0.5)
    assert (other["plates"], other["plate_accuracy"]) == (2, 0.0)
    assert own["median_ms"] > 0 and other["median_ms"] > 0
    assert cv2.imread(str(sheet)).shape[:2] == (72 + 3 * 18, 8 * 200)


def test_readers_of_one_name_are_told_apart(folder, model, bundle, tmp_path):
    shutil.copytree(tmp_path, tmp_path.with_name("second"), ignore=lambda *_: {"data"})
    second = tmp_path.with_name("second") / model.name
    (folder / "labels.csv").write_text("image,text\na.png,AB12\n")
    done = compare(model, bundle, "--compare", second, "--plates", folder, "--json")
    names = json.loads(done.stdout)["readers"].keys()
    assert list(names) == ["tiny-reader", f"other ({model})", f"other ({second})"]


def test_sheet_has_no_more_plates_than_a_jpeg_can_show(folder, model, bundle, monkeypatch):
    monkeypatch.setattr("plateid.commands.bench.SHEET_PLATES", 1)
    sheet = folder / "sheet.jpg"
    rows = [f"{name}.png,AB12" for name in "abc" * 3]
    (folder / "labels.csv").write_text("\n".join(["image,text", *rows]))
    done = compare(model, bundle, "--plates", folder, "--sheet", sheet)
    assert "9 of 9 plates differ" in done.stdout
    assert cv2.imread(str(sheet)).shape[0] == 72 + 3 * 18  # one row, not two


def test_letters_that_look_like_digits_are_folded(folder, model, bundle):
    (folder / "labels.csv").write_text("image,text\na.png,ABI2\n")
    done = compare(model, bundle, "--plates", folder, "--json")
    own = json.loads(done.stdout)["readers"]["tiny-reader"]
    assert (own["plate_accuracy"], own["plate_accuracy_folded"]) == (0.0, 1.0)


def test_plates_without_labels_are_detected(folder, model, bundle):
    done = compare(model, bundle, "--plates", folder / "images")
    assert done.exit_code == 0, done.output
    assert "tiny-reader                   0        -       -" in done.stdout
    assert "3 of 3 plates differ" in done.stdout


def test_folder_without_a_text_is_refused(folder, model, bundle):
    (folder / "labels.csv").write_text("image,text\na.png,\n")
    done = compare(model, bundle, "--plates", folder)
    assert "--compare: there is no plate, or none with a text in labels.csv" in done.output


def test_plates_are_kept_without_their_images(folder, bundle):
    (folder / "labels.csv").write_text("image,x1,y1,x2,y2,text\na.png,0,0,60,30,AB12\n")
    alpr = ALPR(bundle)
    (plate,) = compared_plates([alpr], plates_of(folder, alpr))
    assert plate.image.shape == (30, 60, 3)
    assert plate.image.base is None


def test_labels_of_the_demo_video_are_those_that_the_default_bundle_reads():
    image, box, text = next(plates_of(None, ALPR()))
    (read,) = ALPR().networks.reader().read(image, [box])
    assert best_text(read.probabilities) == text


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ("picture,text\na.png,AB12\n", "labels.csv: needs image, text and, in pixels, x1, y1"),
        ("image,x1,text\na.png,left,AB12\n", "labels.csv: needs image, text and"),
        ("text,image\nAB12\n", "labels.csv: needs image, text and"),
        ("image,text\ngone.png,AB12\n", "gone.png: does not exist"),
    ],
)
def test_wrong_labels_are_one_clear_line(folder, bundle, labels, reason):
    (folder / "labels.csv").write_text(labels)
    with pytest.raises(SourceError, match=reason):
        list(plates_of(folder, ALPR(bundle)))
