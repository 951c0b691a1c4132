"""Reports of tiny bundles."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.bundles import detector_network, reader_network, write_bundle
from tests.train.evaluation.test_evaluate import ELSEWHERE, PLATE, folder, write_clip
from train.errors import TrainError
from train.evaluation.chart import chart
from train.evaluation.evaluate import Evaluation, EvaluationRun, evaluate
from train.evaluation.report import share, table, write

VOID = {"meta", "img"}


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    detector = detector_network([(32, 16, 20, 8, 0.9)])
    return write_bundle(tmp_path / "bundle", detector, reader_network("AA-O-1-2"))


@pytest.fixture
def evaluation(tmp_path: Path, tiny: Path) -> Evaluation:
    """Everything that a report can hold."""
    rows = [f"{n}.png,{PLATE},AO12" for n in range(60)]
    a = folder(tmp_path / "a & <b>", *rows)
    c = folder(tmp_path / "c", *rows, *(f"{n}.png,{ELSEWHERE}," for n in range(60)))
    clip = write_clip(tmp_path / "street.mp4", 15)
    return evaluate(
        EvaluationRun(
            (a, c),
            tiny,
            held_out=True,
            is_open=True,
            negatives=(clip,),
            choose_threshold=True,
            out=tmp_path / "deep" / "out",
        )
    )


class Page(HTMLParser):
    """Tags that are closed as they were opened, and what is in them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.figures = 0
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.links += [value for name, value in attributes if name in {"src", "href"}]
        self.figures += tag == "figure"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        """Of SVG: they need not be closed, and link to what is in it."""
        assert tag in {"g", "path", "rect", "use"}
        assert not {name for name, _ in attributes} & {"src", "href"}
        assert all(value[0] == "#" for name, value in attributes if name == "xlink:href")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_page_is_one_file_that_says_what_was_found(evaluation):
    path = write(evaluation)
    html = path.read_text(encoding="utf-8")
    page = Page(html)
    assert page.open == []
    assert page.links
    assert all(link.startswith("data:image/jpeg;base64,") for link in page.links)
    assert set(re.findall('[^ ]+="http', html)) == {'xmlns="http', 'xmlns:xlink="http'}
    assert html.count("<svg") == 1
    assert page.figures == min(40, len(page.links))
    for text in ("tiny-detector", "tiny-reader", evaluation.run.command, "≥", "a & <b>"):
        assert text in page.text
    assert "street.mp4, 1.0 s" in page.text
    assert "Threshold: 0.9" in page.text


def test_the_record_holds_all_figures(evaluation):
    record = json.loads(write(evaluation).with_name("report.json").read_text())
    assert record["threshold"] == 0.3
    assert record["command"] == evaluation.run.command
    assert re.fullmatch("[0-9a-f]{64}", record["data_sha256"])
    assert record["commit"]
    assert [part["name"] for part in record["parts"]["source"]] == ["a & <b>", "c"]
    (all_,) = record["parts"]["all"]
    assert all_["recall"] == pytest.approx(evaluation.parts["all"][0].recall, abs=1e-4)
    assert record["parts"]["height"][0]["recall"] is None
    assert len(all_["curve"]) == len(record["curve_recalls"]) == 101
    assert record["negatives"][0]["false_per_frame"] == 1
    assert record["choice"]["threshold"] == 0.9
    kinds = {fault["kind"] for picture in record["worst"] for fault in picture["faults"]}
    assert kinds == {"missed", "false box"}


def test_a_second_report_replaces_the_first_and_leaves_nothing_else(evaluation):
    write(evaluation)
    write(evaluation)
    assert {file.name for file in evaluation.run.out.iterdir()} == {"report.html", "report.json"}


def test_where_nothing_is_wrong_and_nothing_was_asked_the_page_is_short(tmp_path, tiny):
    data = folder(tmp_path / "data", f"a.png,{PLATE},")
    evaluation = evaluate(EvaluationRun((data,), tiny, out=tmp_path / "out"))
    page = Page(write(evaluation).read_text(encoding="utf-8"))
    assert "Nothing is wrong with any." in page.text
    for text in ("texts read", "Where there are no plates", "Threshold:", "≥"):
        assert text not in page.text


def test_a_folder_without_plates_gives_a_page_too(tmp_path, tiny):
    data = folder(tmp_path / "data", "a.png,,,,,")
    evaluation = evaluate(EvaluationRun((data,), tiny, out=tmp_path / "out"))
    assert Page(write(evaluation).read_text(encoding="utf-8")).figures == 1
    assert "0.000" in table(evaluation)


def test_a_report_that_cannot_be_written_is_named(evaluation):
    (evaluation.run.out / "report.json").mkdir()
    with pytest.raises(TrainError, match=r"report\.json.*: Is a directory"):
        write(evaluation)


def test_the_table_shows_parts_negatives_and_the_choice(evaluation):
    lines = table(evaluation).splitlines()
    assert lines[0].split()[:3] == ["pictures", "plates", "recall"]
    assert [line[:14].strip() for line in lines[1:10]] == [
        *("a & <b>", "c", "< 12 px", "12-20 px", "20-40 px", "> 40 px", "day", "night", "all")
    ]
    assert lines[1].count("≥") == 3
    assert lines[10].startswith("≥: ")
    assert lines[11] == (
        "street.mp4, second half: 8 false boxes in 8 frames without plates, 1.000 a frame"
    )
    assert lines[12].startswith("threshold 0.9: the lowest")
    assert lines[-1].split() == ["0.95", "0.000", "-", "0.000"]


@pytest.mark.parametrize(("number", "text"), [(None, "-"), (0.0, "0.000"), (0.98765, "0.988")])
def test_shares_have_three_places(number, text):
    assert share(number) == text


def test_curves_begin_where_there_is_something_to_see(tmp_path, tiny):
    good = folder(tmp_path / "good $x$", f"a.png,{PLATE},")
    poor = folder(tmp_path / "<poor>", *(f"{n}.png,{ELSEWHERE}," for n in range(3)))

    def texts(*folders: Path) -> list[str]:
        svg = chart(evaluate(EvaluationRun(folders, tiny, out=tmp_path / "out")))
        assert svg.count("currentColor") > 10
        return re.findall("<text[^>]*>(.*?)</text>", svg)

    alone, both = texts(good), texts(good, poor)
    assert (alone[0], alone[-1]) == ("0.5", "all")
    assert (both[0], both[-3:]) == ("0.0", ["good $x$", "&lt;poor&gt;", "all"])
