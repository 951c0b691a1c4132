"""Reports of tiny bundles."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.support.bundles import detector_network, reader_network, write_bundle
from tests.train.evaluation.evaluation_samples import ELSEWHERE, PLATE, folder, write_video
from train.evaluation.evaluate import Evaluation, EvaluationRun, evaluate
from train.evaluation.evaluation_report import precision_recall, write_report
from train.evaluation.evaluation_tables import number, tables
from train.train_error import TrainError

VOID = {"meta", "img", "br"}


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    detector = detector_network([(32, 16, 20, 8, 0.9)])
    return write_bundle(tmp_path / "bundle", detector, reader_network("AA-O-1-2"))


@pytest.fixture
def evaluation(tmp_path: Path, tiny: Path) -> Evaluation:
    """Everything that a report can hold."""
    rows = [f"{n}.png,{PLATE},{'AO12' if n % 2 else 'X9'}" for n in range(60)]
    timed = [f"{row},ride,{60 * n}" for n, row in enumerate(rows)]
    a = folder(tmp_path / "a & <b>", *timed, header="image,x1,y1,x2,y2,text,video,t")
    c = folder(tmp_path / "c", *rows, *(f"{n}.png,{ELSEWHERE}," for n in range(60)))
    crops = folder(tmp_path / "cut", *(f"{n}.png,A012" for n in range(30)), header="image,text")
    run = EvaluationRun(
        (a, c),
        tiny,
        crops=(crops,),
        calibrate=True,
        held_out=True,
        is_open=True,
        negatives=(write_video(tmp_path / "street.mp4", 15),),
        out=tmp_path / "deep" / "out",
    )
    return evaluate(run)


class Page(HTMLParser):
    """The text and links of a page. Checks that tags are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.figures = 0
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.links += [value for name, value in attributes if name in {"src", "href"}]
        self.figures += tag == "figure"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        """Tags of an SVG, which may only link inside it."""
        assert tag in {"g", "path", "rect", "use"}
        assert not {name for name, _ in attributes} & {"src", "href"}
        assert all(value[0] == "#" for name, value in attributes if name == "xlink:href")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def page_of(evaluation: Evaluation) -> Page:
    return Page(write_report(evaluation).read_text(encoding="utf-8"))


def test_page_is_one_file_with_all_tables_and_images(evaluation):
    html = write_report(evaluation).read_text(encoding="utf-8")
    page = Page(html)
    assert page.links
    assert all(link.startswith("data:image/jpeg;base64,") for link in page.links)
    assert set(re.findall('[^ ]+="http', html)) == {'xmlns="http', 'xmlns:xlink="http'}
    assert html.count("<svg") == 2
    assert page.figures == len(page.links)
    for text in ("tiny-detector", "tiny-reader", "python -m train", "≥", "a & <b>"):
        assert text in page.text
    for table in tables(evaluation):
        assert table.title in page.text
    assert f"temperature {evaluation.reader.temperature.value}" in page.text


def test_record_holds_all_results(evaluation):
    record = json.loads(write_report(evaluation).with_name("report.json").read_text())
    assert record["threshold"] == 0.3
    assert record["commit"]
    assert re.fullmatch("[0-9a-f]{64}", record["data_sha256"])
    assert [part["name"] for part in record["parts"]["source"]] == ["a & <b>", "c"]
    (all_,) = record["parts"]["all"]
    assert all_["recall"] == pytest.approx(evaluation.parts["all"][0].recall, abs=1e-4)
    assert record["parts"]["height"][0]["recall"] is None
    assert len(all_["curve"]) == len(record["curve_recalls"]) == 101
    assert record["negatives"][0]["false_per_frame"] == 1
    reader = record["reader"]
    assert [part["name"] for part in reader["parts"]["source"]] == ["a & <b>", "c", "cut"]
    assert {"exact", "folded", "cer", "sure", "crops_exact"} <= set(reader["parts"]["all"][0])
    assert reader["temperature"]["value"] == evaluation.reader.temperature.value
    assert [each["name"] for each in reader["passes"]] == ["a & <b>"]
    assert {each["read"] for each in reader["worst"]} == {"AO12"}
    assert {each["truth"] for each in reader["worst"]} == {"X9"}
    kinds = {error["kind"] for image in record["worst"] for error in image["errors"]}
    assert kinds == {"missed"}


def test_a_second_report_replaces_the_first(evaluation):
    write_report(evaluation)
    write_report(evaluation)
    assert {file.name for file in evaluation.run.out.iterdir()} == {"report.html", "report.json"}


def test_sections_without_data_are_left_out(tmp_path, tiny):
    data = folder(tmp_path / "data", f"a.png,{PLATE},")
    page = page_of(evaluate(EvaluationRun((data,), tiny, out=tmp_path / "out")))
    for text in ("Reader, end", "without plates", "≥", "errors"):
        assert text not in page.text
    crops = folder(tmp_path / "cut", "a.png,AO12", "b.png,X9", "c.png,", header="image,text")
    street = write_video(tmp_path / "street.mp4", 3)
    run = EvaluationRun((), tiny, crops=(crops,), negatives=(street,), out=tmp_path / "out")
    page = page_of(evaluate(run))
    assert page.figures == 1
    assert "Images without plates" in page.text
    assert "mAP50" not in page.text


def test_a_report_that_cannot_be_written_is_named(evaluation):
    (evaluation.run.out / "report.json").mkdir()
    with pytest.raises(TrainError, match=r"report\.json.*: Is a directory"):
        write_report(evaluation)


def test_tables_show_groups_lower_bounds_and_numbers(evaluation):
    found = {table.title: str(table).splitlines() for table in tables(evaluation)}
    detector = found["Detector"]
    assert detector[1].split()[:2] == ["images", "plates"]
    names = ["by source", "a & <b>", "c", "by height of the plate", "< 12 px"]
    assert [line.split("  ")[0] for line in detector[2:7]] == names
    assert detector[3].count("≥") == 3
    negatives = found["Images without plates"][-1]
    assert negatives.split() == ["street.mp4", "15", "15", "1.000"]
    cut = next(line for line in found["Reader, true boxes"] if line.startswith("cut"))
    assert cut.split()[2:5] == ["0.000", "1.000", "0.250"]
    assert [line.split()[0] for line in found["Confidence"][2:]] == ["before", "temperature"]
    assert found["Vehicle passes"][2].strip() == "a & <b>"
    assert ["0", "O"] in [line.split()[:2] for line in found["Confused characters"]]


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (0.0, "0.000"), (0.98765, "0.988"), (3, "3")]
)
def test_numbers_have_three_places(value, text):
    assert number(value) == text


def test_axes_start_at_half_if_every_point_lies_above_it(tmp_path, tiny):
    good = folder(tmp_path / "good $x$", f"a.png,{PLATE},")
    poor = folder(tmp_path / "<poor>", *(f"{n}.png,{ELSEWHERE}," for n in range(3)))

    def texts(*folders: Path) -> list[str]:
        svg = precision_recall(evaluate(EvaluationRun(folders, tiny, out=tmp_path / "out")))
        assert svg.count("currentColor") > 10
        return re.findall("<text[^>]*>(.*?)</text>", svg)

    alone, both = texts(good), texts(good, poor)
    assert (alone[0], alone[-1]) == ("0.5", "all")
    assert (both[0], both[-3:]) == ("0.0", ["good $x$", "&lt;poor&gt;", "all"])
