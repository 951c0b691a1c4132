"""Reports of tiny bundles."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.support.bundles import detector_network, reader_network, write_bundle
from tests.train.evaluation.test_evaluate import ELSEWHERE, PLATE, folder, write_video
from train.evaluation.chart import precision_recall
from train.evaluation.evaluate import Evaluation, evaluate
from train.evaluation.figures import share
from train.evaluation.report import table, write
from train.evaluation.run import EvaluationRun
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
    clip = write_video(tmp_path / "street.mp4", 15)
    return evaluate(
        EvaluationRun(
            (a, c),
            tiny,
            crops=(crops,),
            calibrate=True,
            jitter=True,
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
    assert html.count("<svg") == 3
    assert page.figures == len(page.links)
    for text in ("tiny-detector", "tiny-reader", evaluation.run.command, "≥", "a & <b>"):
        assert text in page.text
    assert "street.mp4, 1.0 s" in page.text
    assert "Threshold: 0.9" in page.text
    for title in ("A pass against a frame", "Boxes that are a little off", "Characters taken"):
        assert title in page.text
    assert f"Temperature {evaluation.reader.temperature.value}: " in page.text


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
    reader = record["reader"]
    assert [part["name"] for part in reader["parts"]["source"]] == ["a & <b>", "c", "cut"]
    assert reader["temperature"]["value"] == evaluation.reader.temperature.value
    assert [each["name"] for each in reader["passes"]] == ["a & <b>"]
    assert [(each["x"], each["y"]) for each in reader["jitter"]["shares"]][4] == (0, 0)
    assert {len(row) for row in reader["confusion"]["matrix"]} == {37}
    assert {each["read"] for each in reader["worst"]} == {"AO12"}
    assert {each["truth"] for each in reader["worst"]} == {"X9"}
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


def test_plates_that_are_cut_out_are_all_that_a_page_is_about(tmp_path, tiny):
    crops = folder(tmp_path / "cut", "a.png,AO12", "b.png,X9", "c.png,", header="image,text")
    evaluation = evaluate(EvaluationRun((), tiny, crops=(crops,), out=tmp_path / "out"))
    assert table(evaluation).startswith("reader ")
    page = Page(write(evaluation).read_text(encoding="utf-8"))
    assert page.figures == 1
    assert "of 2 crops read" in page.text
    assert "mAP50" not in page.text
    assert "recall" not in page.text


def test_negatives_beside_plates_that_are_cut_out_are_told(tmp_path, tiny):
    crops = folder(tmp_path / "cut", "a.png,AO12", header="image,text")
    street = write_video(tmp_path / "street.mp4", 3)
    run = EvaluationRun((), tiny, crops=(crops,), negatives=(street,), out=tmp_path / "out")
    evaluation = evaluate(run)
    assert "street.mp4: 3 false boxes in 3 frames without plates" in table(evaluation)
    page = Page(write(evaluation).read_text(encoding="utf-8"))
    assert "Where there are no plates" in page.text


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
    assert lines[lines.index("") - 1].split() == ["0.95", "0.000", "-", "0.000"]


def test_the_table_shows_what_was_read(evaluation):
    lines = table(evaluation).splitlines()
    reader = lines[lines.index("") + 1 :]
    assert reader[0].split()[:4] == ["reader", "plates", "exact", "folded"]
    end = 1 + next(n for n, line in enumerate(reader) if line.startswith("all"))
    rows = {line[:14].strip(): line.split()[-10:] for line in reader[1:end]}
    assert list(rows)[:3] == ["a & <b>", "c", "cut"]
    assert list(rows)[-2:] == ["trained text", "all"]
    assert rows["cut"][:2] == ["0", "-"]
    assert rows["cut"][-3:] == ["0.000", "1.000", "0.250"]
    text = "\n".join(reader[end:])
    for said in ("expected calibration error", "at 0.9 and more", "temperature ", "as it was: "):
        assert said in text
    assert "a & <b>: " in text
    assert "at most 0.0 points worse" in text
    assert "0 for O" not in text
    assert "O for 0 " in text


@pytest.mark.parametrize(("number", "text"), [(None, "-"), (0.0, "0.000"), (0.98765, "0.988")])
def test_shares_have_three_places(number, text):
    assert share(number) == text


def test_curves_begin_where_there_is_something_to_see(tmp_path, tiny):
    good = folder(tmp_path / "good $x$", f"a.png,{PLATE},")
    poor = folder(tmp_path / "<poor>", *(f"{n}.png,{ELSEWHERE}," for n in range(3)))

    def texts(*folders: Path) -> list[str]:
        svg = precision_recall(evaluate(EvaluationRun(folders, tiny, out=tmp_path / "out")))
        assert svg.count("currentColor") > 10
        return re.findall("<text[^>]*>(.*?)</text>", svg)

    alone, both = texts(good), texts(good, poor)
    assert (alone[0], alone[-1]) == ("0.5", "all")
    assert (both[0], both[-3:]) == ("0.0", ["good $x$", "&lt;poor&gt;", "all"])
